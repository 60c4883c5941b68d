package slack

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

func TestMentionIsReadInEveryCommonForm(t *testing.T) {
	for setting, want := range map[string]string{
		"":                                "",
		"  ":                              "",
		",":                               "",
		"here":                            "<!here>",
		"@here":                           "<!here>",
		"<!here>":                         "<!here>",
		"channel":                         "<!channel>",
		"@everyone":                       "<!everyone>",
		"<!everyone>":                     "<!everyone>",
		"U0123456789":                     "<@U0123456789>",
		"@U0123456789":                    "<@U0123456789>",
		"<@U0123456789>":                  "<@U0123456789>",
		"W0123456789":                     "<@W0123456789>",
		"S0123456789":                     "<!subteam^S0123456789>",
		"@S0123456789":                    "<!subteam^S0123456789>",
		"<!subteam^S0123456789>":          "<!subteam^S0123456789>",
		"here,U0123456789, <@W012>, @S01": "<!here> <@U0123456789> <@W012> <!subteam^S01>",
		" here , ,channel ":               "<!here> <!channel>",
	} {
		if got, err := ParseMention(setting); err != nil || got != want {
			t.Errorf("%q is %q (%v), want %q", setting, got, err, want)
		}
	}
}

func TestInvalidMentionIsAnError(t *testing.T) {
	for _, setting := range []string{
		"data-team", "@john.doe", "john", "HERE", "u0123456789", "U", "<!date^1^{date}|x>", "<https://example.com|x>", "<@U012|name>",
		"<!here", "here channel", "here;channel", "C0123456789", "U0123456789\n<!channel>", "<!here><!channel>", "<!subteam^U012>", "*",
		strings.Repeat("U", 1000),
	} {
		got, err := ParseMention(setting)
		if err == nil || got != "" {
			t.Errorf("%q is %q", setting, got)
			continue
		}
		if !strings.Contains(err.Error(), "SlackMention") || len(err.Error()) > 400 {
			t.Errorf("%q: the error does not name the setting, or is too long: %v", setting, err)
		}
	}
	if got, err := ParseMention("here,data-team"); err == nil || got != "" {
		t.Errorf("beside a valid one: %q", got)
	}
}

// pattern is the AllowedPattern of template.yaml's SlackMention.
func pattern(t *testing.T) string {
	t.Helper()
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n  SlackMention:\n.*?\n    AllowedPattern: '([^']*)'`).FindSubmatch(source)
	if found == nil {
		t.Fatal("template.yaml has no AllowedPattern for SlackMention")
	}
	return string(found[1])
}

func TestMentionThatTheTemplateAcceptsIsValid(t *testing.T) {
	text := rapid.StringMatching(strings.TrimSuffix(strings.TrimPrefix(pattern(t), "^"), "$"))
	rapid.Check(t, func(t *rapid.T) {
		setting := text.Draw(t, "setting")
		if _, err := ParseMention(setting); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTemplateAcceptsEachMentionThatItsDescriptionNames(t *testing.T) {
	allowed := regexp.MustCompile(pattern(t))
	for _, setting := range []string{"", "here", "channel", "@here", "U0123456789", "S0123456789", "<@U0123456789>", "<!subteam^S0123456789>", "here,U0123456789", "here, U0123456789 ,S0123456789"} {
		if !allowed.MatchString(setting) {
			t.Errorf("%q is not accepted", setting)
		}
	}
	for _, setting := range []string{"data-team", "@john.doe", "here channel"} {
		if allowed.MatchString(setting) {
			t.Errorf("%q is accepted", setting)
		}
	}
}
