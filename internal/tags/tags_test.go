package tags_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestOwnTagsAreThoseWithThePrefixAndWithinTheLimits(t *testing.T) {
	many := make(map[string]string)
	for n := range 30 {
		many[fmt.Sprintf("idmapping:a%02d", n)] = "x"
	}
	many["idmapping:owner"], many["idmapping:mute-until"] = "CRM team", "never"
	for _, c := range []struct {
		name string
		all  map[string]string
		want map[string]string
	}{
		{"none", nil, nil},
		{"only others", map[string]string{"team": "crm", "idmappings:owner": "x", "idmapping": "x", "idmapping:": "x"}, nil},
		{"with a meaning and without", map[string]string{"idmapping:owner": "CRM team", "idmapping:cost-center": "7", "team": "crm"}, map[string]string{"owner": "CRM team", "cost-center": "7"}},
		{"an empty value", map[string]string{"idmapping:owner": ""}, map[string]string{"owner": ""}},
		{"in another case", map[string]string{"IDMapping:owner": "x", "idmapping:Owner": "y"}, map[string]string{"Owner": "y"}},
		{"a long value", map[string]string{"idmapping:owner": strings.Repeat("é", 300)}, map[string]string{"owner": strings.Repeat("é", 256)}},
		{"bytes that are no text", map[string]string{"idmapping:owner": "a\xffb"}, map[string]string{"owner": "a\uFFFDb"}},
		{"a long key", map[string]string{"idmapping:" + strings.Repeat("k", 129): "x", "idmapping:" + strings.Repeat("é", 128): "y"}, map[string]string{strings.Repeat("é", 128): "y"}},
	} {
		if got := tags.Own(c.all); !maps.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	got := tags.Own(many)
	if len(got) != 20 || got["owner"] != "CRM team" || got["mute-until"] != "never" || got["a17"] != "x" {
		t.Errorf("of many: %q", slices.Sorted(maps.Keys(got)))
	}
}

func TestSettingsAreWhatTheTagsSay(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       tags.Settings
	}{
		{"slack-channel", "C0123456789 G0123456789,C0123456789", tags.Settings{SlackChannels: []string{"C0123456789", "G0123456789"}}},
		{"email", "a@example.com, b@example.com", tags.Settings{Emails: []string{"a@example.com", "b@example.com"}}},
		{"mention", "U0123456789 S0123456789 W0123456789", tags.Settings{Mentions: []string{"U0123456789", "S0123456789", "W0123456789"}}},
		{"statuses", "failed SUCCEEDED +paused", tags.Settings{Statuses: []jobs.Status{jobs.Failed, jobs.Succeeded, "PAUSED"}}},
		{"runbook", " https://wiki.example.com/a?b=c#d ", tags.Settings{Runbook: "https://wiki.example.com/a?b=c#d"}},
		{"owner", " CRM team ", tags.Settings{Owner: "CRM team"}},
		{"overdue-after", "90m", tags.Settings{Overdue: &jobs.OverdueRule{After: 90 * time.Minute}}},
		{"overdue-after", "off", tags.Settings{Overdue: &jobs.OverdueRule{Off: true}}},
		{"expect-every", "24h", tags.Settings{ExpectEvery: 24 * time.Hour}},
		{"expect-every", "off", tags.Settings{ExpectOff: true}},
		{"mute-until", "2026-11-23T19:00:00+01:00", tags.Settings{MuteUntil: noon.Add(6 * time.Hour)}},
		{"mute-until", noon.Add(tags.MaxMute).Format(time.RFC3339), tags.Settings{MuteUntil: noon.Add(tags.MaxMute)}},
		{"mute-until", "2026-11-23T11:00:00Z", tags.Settings{MuteUntil: noon.Add(-time.Hour)}},
		{"mute-reason", "moving the export", tags.Settings{MuteReason: "moving the export"}},
		{"cost-center", "7", tags.Settings{}},
	} {
		if got := tags.Parse(map[string]string{c.key: c.value}, noon); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %q: %+v, want %+v", c.key, c.value, got, c.want)
		}
	}
	for _, key := range []string{"slack-channel", "email", "mention", "statuses", "runbook", "owner", "overdue-after", "expect-every", "mute-until", "mute-reason"} {
		if got := tags.Parse(map[string]string{key: "  "}, noon); !reflect.DeepEqual(got, tags.Settings{}) || !tags.Known(key) {
			t.Errorf("%s without a value: %+v", key, got)
		}
	}
}

func TestTagThatCannotBeUsedIsIgnoredByItself(t *testing.T) {
	for key, values := range map[string][]string{
		"slack-channel": {"#data-jobs", "D0123456789", "c0123456789", "U0123456789", "C0", "C0123456789012345678901", "C01é3456789", "C012345\n", "<!channel>", "C0123;C0456"},
		"email": {"@example.com", "a@", "a", "CRM<a@example.com>", "<a@example.com>", `"a"@example.com`, "a@example.com;b@example.com", "a@b@example.com",
			"a@example.com\r\nBcc:x@example.com", "ü@example.com", "a@exämple.com", "a@[127.0.0.1]", strings.Repeat("a", 65) + "@example.com"},
		"mention":       {"channel", "!channel", "<!here>", "C0123456789", "@crm", "u0123456789"},
		"statuses":      {"DONE", "+", "FAILED;SUCCEEDED", "*"},
		"runbook":       {"http://wiki.example.com", "wiki.example.com", "javascript:alert(1)", "https://", "https:///x", "https://a b", "https://a|b", "https://a>b", `https://a"b`, "https://a\u202Eb", "https://a/\u2028b", "data:text/html,x", "https://x y"},
		"overdue-after": {"4 hours", "1d", "90", "-2h", "0", "59s", "OFF!", "1e9h", "9999999h"},
		"expect-every":  {"daily", "1w", "30s", "-24h", "on"},
		"mute-until":    {"tomorrow", "2026-11-24", "2026-11-24T10:00:00", "24h", "1764000000", noon.Add(tags.MaxMute + time.Second).Format(time.RFC3339), "9999-12-31T23:59:59Z"},
	} {
		for _, value := range values {
			s := tags.Parse(map[string]string{key: value, "owner": "CRM team"}, noon)
			ignored := s.Ignored
			s.Ignored = nil
			if !reflect.DeepEqual(s, tags.Settings{Owner: "CRM team"}) || len(ignored) == 0 || ignored[0].Key != key || !strings.HasPrefix(ignored[0].Reason, "is ") {
				t.Errorf("%s %q: %+v, ignored %q", key, value, s, ignored)
			}
		}
	}
	s := tags.Parse(map[string]string{"slack-channel": "C0123456789 data-jobs", "email": "a@example.com b", "statuses": "FAILED DONE", "mention": "U0123456789 all"}, noon)
	if len(s.SlackChannels) != 1 || len(s.Emails) != 1 || len(s.Statuses) != 1 || len(s.Mentions) != 1 || len(s.Ignored) != 4 {
		t.Errorf("what is valid does not count: %+v", s)
	}
}

func TestMuteEndsAtItsTime(t *testing.T) {
	s := tags.Parse(map[string]string{"mute-until": "2026-11-23T18:00:00Z"}, noon)
	for at, want := range map[string]bool{"12:00:00": true, "17:59:59": true, "18:00:00": false, "18:00:01": false} {
		observed, err := time.Parse(time.RFC3339, "2026-11-23T"+at+"Z")
		if err != nil || s.Muted(observed) != want {
			t.Errorf("at %s: %v (%v)", at, s.Muted(observed), err)
		}
	}
	if (tags.Settings{}).Muted(noon) {
		t.Error("a workflow without tags is muted")
	}
}

func TestRoutingIsWhoIsNotifiedOfWhat(t *testing.T) {
	all := map[string]string{"slack-channel": "C1", "email": "a", "mention": "U1", "statuses": "FAILED", "mute-until": "x", "owner": "o", "runbook": "r", "overdue-after": "4h", "cost-center": "7"}
	if got, want := tags.Routing(all), map[string]string{"slack-channel": "C1", "email": "a", "mention": "U1", "statuses": "FAILED"}; !maps.Equal(got, want) {
		t.Errorf("routing %v, want %v", got, want)
	}
	if got := tags.Routing(map[string]string{"owner": "o"}); got != nil {
		t.Errorf("routing %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("C0123456789 #x", "a@example.com,b", "FAILED +X", "https://a", "90m", "2026-11-23T18:00:00Z")
	f.Add("", "", "", "", "", "")
	f.Add("C\xff", "\"\"@x", "+", "https://%", "9223372036854775807ns", "0001-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, channel, email, statuses, runbook, duration, until string) {
		check(t, tags.Own(map[string]string{"idmapping:slack-channel": channel, "idmapping:email": email, "idmapping:mention": channel, "idmapping:statuses": statuses, "idmapping:runbook": runbook,
			"idmapping:owner": runbook, "idmapping:overdue-after": duration, "idmapping:expect-every": duration, "idmapping:mute-until": until, "idmapping:mute-reason": channel}))
	})
}

func TestParsedTagsAreUsedOrIgnored(t *testing.T) {
	word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"C0123456789", "U0123456789", "a@example.com", "FAILED", "+PAUSED", "off", "90m", "https://a.example", "2026-11-24T00:00:00Z"}))
	value := rapid.Map(rapid.SliceOfN(word, 0, 5), func(words []string) string { return strings.Join(words, " ") })
	keys := rapid.SampledFrom([]string{"slack-channel", "email", "mention", "statuses", "runbook", "owner", "overdue-after", "expect-every", "mute-until", "mute-reason", "else"})
	rapid.Check(t, func(t *rapid.T) {
		all := make(map[string]string)
		for key, value := range rapid.MapOf(keys, value).Draw(t, "tags") {
			all["idmapping:"+key] = value
		}
		check(t, tags.Own(all))
	})
}

// check checks that each word of the tags is used or ignored, and not both.
func check(t interface{ Fatalf(string, ...any) }, own map[string]string) {
	s := tags.Parse(own, noon)
	ignored := make(map[string][]string)
	for _, i := range s.Ignored {
		if i.Reason == "" || !tags.Known(i.Key) || !utf8.ValidString(i.Value) {
			t.Fatalf("ignored %q", i)
		}
		ignored[i.Key] = append(ignored[i.Key], i.Value)
	}
	var statuses []string
	for _, status := range s.Statuses {
		statuses = append(statuses, string(status))
	}
	for key, used := range map[string][]string{"slack-channel": s.SlackChannels, "email": s.Emails, "mention": s.Mentions, "statuses": statuses} {
		words := strings.FieldsFunc(own[key], func(r rune) bool { return r == ' ' || r == ',' })
		for _, word := range words {
			status := strings.ToUpper(strings.TrimPrefix(word, "+"))
			isUsed := slices.Contains(used, word) || key == "statuses" && slices.Contains(used, status) && !slices.Contains(ignored[key], word)
			if isUsed == slices.Contains(ignored[key], word) {
				t.Fatalf("%s: %q is used or ignored in %+v", key, word, s)
			}
		}
		if len(used) > len(words) {
			t.Fatalf("%s: %q of %q", key, used, words)
		}
	}
	for key, used := range map[string]bool{"runbook": s.Runbook != "", "overdue-after": s.Overdue != nil, "expect-every": s.ExpectOff || s.ExpectEvery > 0,
		"mute-until": !s.MuteUntil.IsZero()} {
		if value := strings.TrimSpace(own[key]); value != "" && used == (len(ignored[key]) > 0) {
			t.Fatalf("%s: %q is used: %v, ignored: %q", key, value, used, ignored[key])
		}
	}
	if s.MuteUntil.Sub(noon) > tags.MaxMute {
		t.Fatalf("muted until %s", s.MuteUntil)
	}
}
