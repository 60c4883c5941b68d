package email

import (
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
	"github.com/idmapping/notifier/internal/slack"
)

// now is long after every observation: every message is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func composed(t testing.TB, name string) message.Message {
	t.Helper()
	e, err := event.Decode(eventtest.Examples()[name])
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt)
}

func TestEmailsMatchGoldenFiles(t *testing.T) {
	for name := range eventtest.Examples() {
		subject, htmlBody, text := Render(composed(t, name))
		t.Run(name, func(t *testing.T) {
			eventtest.Golden(t, name+".html", []byte(htmlBody))
			eventtest.Golden(t, name+".txt", []byte("Subject: "+subject+"\n\n"+text))
		})
	}
}

func TestNoticesMatchGoldenFiles(t *testing.T) {
	for name, m := range messagetest.Notices() {
		subject, htmlBody, text := Render(m)
		t.Run(name, func(t *testing.T) {
			eventtest.Golden(t, name+".html", []byte(htmlBody))
			eventtest.Golden(t, name+".txt", []byte("Subject: "+subject+"\n\n"+text))
		})
	}
}

// element is every element that a rendering may have.
var element = regexp.MustCompile(`<(/?)(!DOCTYPE html|html|head|meta|title|body|table|tr|td|th|p|h2|pre|ul|li|div|a)(( [a-z-]+="[^"<>]*")*)>`)

func TestTextFromOutsideIsInert(t *testing.T) { rapid.Check(t, inert) }

func inert(t *rapid.T) {
	subject, body, _ := Render(message.Compose(eventtest.Event(t), now))
	if left := element.ReplaceAllString(body, ""); strings.ContainsAny(left, "<>") {
		at := strings.IndexAny(left, "<>")
		t.Fatalf("markup at %q", left[max(0, at-40):min(len(left), at+80)])
	}
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(href[1], "https://") {
			t.Fatalf("link to %q", href[1])
		}
	}
	if strings.ContainsAny(subject, "\r\n\x00") || len([]rune(subject)) > 200 || subject == "" {
		t.Fatalf("subject %q", subject)
	}
}

// Whatever the message says is in the HTML and the text alike, and, short of
// Slack's cut, in the card.
func TestEachChannelShowsTheSameFacts(t *testing.T) {
	for name := range eventtest.Examples() {
		if name == "hostile" {
			continue // cut and defused; the golden files show it
		}
		m := composed(t, name)
		_, body, text := Render(m)
		var card strings.Builder
		rendered := slack.RenderCard(m, "")
		for _, b := range rendered.Blocks {
			card.WriteString(asText(b))
		}
		facts := []string{m.Headline}
		for _, f := range m.Fields {
			facts = append(facts, f.Label, f.Value)
		}
		for _, row := range m.Metrics {
			facts = append(facts, row.Label, row.Value, row.Share)
		}
		if m.Failure != nil {
			facts = append(facts, string(m.Failure.Category))
			facts = append(facts, strings.Split(m.Failure.Text, "\n")...)
			facts = append(facts, m.Failure.Advice...)
		}
		for _, l := range slices.Concat(m.Outputs, m.Links, m.Jobs) {
			facts = append(facts, l.Label, l.URL)
		}
		if m.MoreJobs > 0 {
			facts = append(facts, fmt.Sprintf("and %d more", m.MoreJobs))
		}
		facts = append(append(facts, m.Notes...), m.Footer...)
		for _, fact := range facts {
			for channel, all := range map[string]string{"HTML": html.UnescapeString(body), "text": text, "Slack": card.String()} {
				if !strings.Contains(all, fact) {
					t.Errorf("%s: %s lacks %q", name, channel, fact)
				}
			}
		}
	}
}

// asText is what a reader sees of a block, as JSON unescaped.
func asText(block any) string {
	b, err := json.Marshal(block)
	if err != nil {
		panic(err)
	}
	var value any
	if err := json.Unmarshal(b, &value); err != nil {
		panic(err)
	}
	var all strings.Builder
	collect(value, &all)
	return strings.ReplaceAll(html.UnescapeString(all.String()), "\u200B", "")
}

func collect(value any, into *strings.Builder) {
	switch v := value.(type) {
	case string:
		into.WriteString(v + "\n")
	case []any:
		for _, e := range v {
			collect(e, into)
		}
	case map[string]any:
		for _, e := range v {
			collect(e, into)
		}
	}
}
