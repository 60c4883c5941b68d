package inbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/fakecloud/slack"
)

func drawn(t *testing.T, blocks string) string {
	t.Helper()
	var m slack.Message
	if err := json.Unmarshal([]byte(blocks), &m.Blocks); err != nil {
		t.Fatal(err)
	}
	return Slack([]slack.Message{m})
}

func TestBlocksAreDrawnAsSlackDoes(t *testing.T) {
	for blocks, want := range map[string]string{
		`[{"type":"header","text":{"type":"plain_text","text":"a &lt;b&gt; *c*"}}]`:                                                                                                                                                          `<div class="header">a &lt;b&gt; *c*</div>`,
		`[{"type":"section","text":{"type":"mrkdwn","text":"*b* <https://x/?a=1&amp;b|l *m*> <!here>\n<!date^0^{time}|x>"}}]`:                                                                                                                `<b>b</b> <a href="https://x/?a=1&amp;b">l *m*</a> <span class="mention">@here</span><br>12:00 AM`,
		"[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":\"`*a* &lt;!here&gt; <!here>` ```*b*\\n_c_```\"}}]":                                                                                                                   "<code>*a* &lt;!here&gt; &lt;!here&gt;</code> <pre class=\"code\">*b*\n_c_</pre>",
		`[{"type":"section","text":{"type":"mrkdwn","text":"<img src=x> \u0001b\u0002 <javascript:x|y> <https://x\" y|z>"}}]`:                                                                                                                "&lt;img src=x&gt; \x01b\x02 &lt;javascript:x|y&gt; &lt;https://x\" y|z&gt;",
		`[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"<a>","style":{"code":true}},{"type":"text","text":"*b*","style":{"bold":true}},{"type":"link","url":"https://x","text":"<l>"}]}]}]`: `<code>&lt;a&gt;</code><b>*b*</b><a href="https://x">&lt;l&gt;</a>`,
		`[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"date","timestamp":1795399212,"format":"<{date_short_pretty} {time}>","fallback":"x"}]}]}]`:                                                        `&lt;Nov 23, 2026 2:00 AM&gt;`,
		`[{"type":"rich_text","elements":[{"type":"rich_text_list","style":"ordered","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"a"}]}]}]}]`:                                                                  `<ol class="rich"><li><div class="rich">a</div></li></ol>`,
		`[{"type":"rich_text","elements":[{"type":"rich_text_preformatted","elements":[{"type":"text","text":"a\n<b>"}]}]}]`:                                                                                                                 "<pre class=\"code\">a\n&lt;b&gt;</pre>",
		`[{"type":"table","column_settings":[{"align":"left"},{"align":"right"}],"rows":[[{"type":"raw_text","text":"<a>"},{"type":"raw_text","text":"1"}]]}]`:                                                                               `<td align="left">&lt;a&gt;</td><td align="right">1</td>`,
		`[{"type":"context","elements":[{"type":"mrkdwn","text":"*a*"}]}]`:                                                                                                                                                                   `<div class="context"><b>a</b> </div>`,
	} {
		if got := drawn(t, blocks); !strings.Contains(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", blocks, got, want)
		}
	}
}

func TestWhatCannotBeDrawnFails(t *testing.T) {
	for name, blocks := range map[string]string{
		"a block":       `[{"type":"divider"}]`,
		"an element":    `[{"type":"rich_text","elements":[{"type":"rich_text_quote","elements":[]}]}]`,
		"a span":        `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"emoji","name":"tada"}]}]}]`,
		"a script link": `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"link","url":"javascript:x","text":"x"}]}]}]`,
		"a cell":        `[{"type":"table","rows":[[{"type":"raw_number","value":1}]]}]`,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is drawn", name)
				}
			}()
			drawn(t, blocks)
		}()
	}
}

// Every message that the notifier sends can be drawn, and its text adds no tag.
func TestEachGoldenMessageIsDrawn(t *testing.T) {
	files, err := filepath.Glob("../../slack/testdata/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d golden messages, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var m struct{ Blocks slackgo.Blocks }
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if got := Slack([]slack.Message{{Blocks: m.Blocks}}); strings.Contains(got, "<script") || strings.Contains(got, "<img") {
			t.Errorf("%s is drawn with a tag of its text", file)
		}
	}
}
