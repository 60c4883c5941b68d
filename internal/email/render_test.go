package email

import (
	"encoding/json"
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/drawn"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/golden"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
	"github.com/idmapping/notifier/internal/slack"
)

// now is long after every observation: every message is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var settings = message.Settings{RunbookURL: "https://wiki.example.com/id-mapping"}

var reason = Reason("a@example.com", "idmapping")

func composed(t testing.TB, name string) message.Message {
	t.Helper()
	e, err := event.Decode(eventtest.Examples()[name])
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt, settings)
}

func TestEmailsMatchGoldenFiles(t *testing.T) {
	for name := range eventtest.Examples() {
		subject, htmlBody, text := Render(composed(t, name), reason)
		t.Run(name, func(t *testing.T) {
			golden.File(t, name+".html", []byte(htmlBody))
			golden.File(t, name+".txt", []byte("Subject: "+subject+"\n\n"+text))
		})
	}
}

func TestNoticesMatchGoldenFiles(t *testing.T) {
	for name, m := range messagetest.Notices() {
		subject, htmlBody, text := Render(m, reason)
		t.Run(name, func(t *testing.T) {
			golden.File(t, name+".html", []byte(htmlBody))
			golden.File(t, name+".txt", []byte("Subject: "+subject+"\n\n"+text))
		})
	}
}

// element is every element that a rendering may have.
var element = regexp.MustCompile(`<(/?)(!DOCTYPE html|html|head|meta|title|style|body|table|tr|td|th|p|h1|h2|pre|ol|li|div|a|b|code)(( [a-z-]+="[^"<>]*")*)>`)

func TestTextFromOutsideIsInert(t *testing.T) { rapid.Check(t, inert) }

func inert(t *rapid.T) {
	m := message.Compose(drawn.Event(t), now, settings)
	subject, body, text := Render(m, reason)
	if left := element.ReplaceAllString(body, ""); strings.ContainsAny(left, "<>") {
		at := strings.IndexAny(left, "<>")
		t.Fatalf("markup at %q", left[max(0, at-40):min(len(left), at+80)])
	}
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !ours.MatchString(href[1]) && href[1] != settings.RunbookURL && html.UnescapeString(href[1]) != drawn.Runbook {
			t.Fatalf("link to %q", href[1])
		}
	}
	if strings.ContainsAny(subject, "\r\n\x00") || len([]rune(subject)) > 60 || subject == "" {
		t.Fatalf("subject %q", subject)
	}
	if missing := lacking(m, body, text); missing != "" {
		t.Fatal(missing)
	}
}

// ours is every page that a link may open, besides the runbook.
var ours = regexp.MustCompile(`^https://([a-z0-9-]+\.)?console\.(aws\.amazon\.com|amazonaws-us-gov\.com|amazonaws\.cn)/`)

func TestHTMLAndTextHaveTheSameFactsInTheSameOrder(t *testing.T) {
	all := messagetest.Notices()
	for name := range eventtest.Examples() {
		all[name] = composed(t, name)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range all {
		m.Zone = zone
		_, body, text := Render(m, reason)
		if missing := lacking(m, body, text); missing != "" {
			t.Errorf("%s: %s", name, missing)
		}
	}
}

// lacking returns a fact of the message that one of the bodies lacks, or has not in
// its place.
func lacking(m message.Message, body, text string) string {
	var facts []string
	lines := func(all ...message.Line) {
		for _, l := range all {
			facts = append(facts, l.Plain(m.Zone))
		}
	}
	numbers := func(all []message.Number) {
		for _, n := range all {
			facts = append(facts, n.Label, n.Value, n.Share)
		}
	}
	links := func(all []message.Link) {
		for _, l := range all {
			facts = append(facts, l.Label, l.URL)
		}
	}
	facts = append(facts, m.Title())
	lines(m.Lead...)
	lines(m.Trend...)
	lines(m.Steps...)
	lines(m.Retry)
	links(m.Links[:min(1, len(m.Links))])
	numbers(m.Numbers)
	links(m.Jobs)
	if m.MoreJobs > 0 {
		facts = append(facts, "and "+message.Grouped(int64(m.MoreJobs))+" more")
	}
	if m.Error != nil {
		facts = append(facts, strings.Split(m.Error.Text, "\n")...)
	}
	numbers(m.Counters)
	links(m.Outputs)
	links(m.Links[min(1, len(m.Links)):])
	lines(m.Notes...)
	lines(m.Facts...)
	facts = append(facts, reason)
	for channel, rest := range map[string]string{"HTML": shown(body), "text": text} {
		for _, fact := range facts {
			_, after, found := strings.Cut(rest, fact)
			if !found {
				return fmt.Sprintf("%s lacks %q in its place", channel, fact)
			}
			rest = after
		}
	}
	if m.WorkflowName != "" {
		for _, whole := range []string{m.WorkflowName, m.JobID} {
			if !strings.Contains(shown(body), whole) || !strings.Contains(text, whole) {
				return fmt.Sprintf("%q is not in full", whole)
			}
		}
	}
	return ""
}

var (
	anchor = regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>`)
	tag    = regexp.MustCompile(`<[^>]*>`)
)

// shown is what a reader sees of the card, with the URL after each link.
func shown(body string) string {
	_, card, _ := strings.Cut(body, "<h1")
	return html.UnescapeString(tag.ReplaceAllString(anchor.ReplaceAllString("<h1"+card, "$2 $1"), ""))
}

func TestColorsHaveEnoughContrast(t *testing.T) {
	var pairs [][2]string
	for _, s := range []scheme{light, dark} {
		for _, text := range []string{s.text, s.small, s.link} {
			pairs = append(pairs, [2]string{text, s.card})
		}
		pairs = append(pairs, [2]string{s.text, s.code})
	}
	pairs = append(pairs, [2]string{light.small, light.code}) // code in the small print
	for _, c := range colors {
		pairs = append(pairs, [2]string{"#ffffff", c})
	}
	for _, p := range pairs {
		a, b := luminance(t, p[0]), luminance(t, p[1])
		if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
			t.Errorf("%s on %s has a contrast of %.2f", p[0], p[1], ratio)
		}
	}
}

// luminance is WCAG's relative luminance.
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	var rgb [3]uint8
	if _, err := fmt.Sscanf(color, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		t.Fatalf("%s: %v", color, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}

// Outlook for Windows ignores padding elsewhere.
func TestOnlyCellsHavePadding(t *testing.T) {
	for name := range eventtest.Examples() {
		_, body, _ := Render(composed(t, name), reason)
		for _, found := range regexp.MustCompile(`<([a-z0-9]+) [^>]*style="[^"]*padding[^:]*:([^;]*);`).FindAllStringSubmatch(body, -1) {
			if cell := found[1] == "td" || found[1] == "th"; !cell && found[2] != "0" {
				t.Errorf("%s: %s", name, found[0])
			}
		}
	}
}

// Whatever the message says is in the HTML and the text alike, and, short of
// Slack's cut, in the card and its thread.
func TestEachChannelShowsTheSameFacts(t *testing.T) {
	for name := range eventtest.Examples() {
		if name == "hostile" {
			continue // cut and defused; the golden files show it
		}
		m := composed(t, name)
		_, body, text := Render(m, reason)
		var card strings.Builder
		for _, b := range slices.Concat(slack.RenderCard(m, "").Blocks, slack.RenderReply(m, "").Blocks) {
			card.WriteString(asText(b))
		}
		facts := []string{m.Title()}
		for _, l := range slices.Concat(m.Lead, m.Trend, m.Steps, m.Notes, []message.Line{m.Retry}) {
			for _, span := range l {
				facts = append(facts, span.Text)
			}
		}
		for _, row := range append(m.Numbers, m.Counters...) {
			facts = append(facts, row.Label, row.Value, row.Share)
		}
		if m.Error != nil {
			facts = append(facts, strings.Split(m.Error.Text, "\n")...)
		}
		for _, l := range slices.Concat(m.Outputs, m.Links, m.Jobs) {
			facts = append(facts, l.Label, l.URL)
		}
		if m.MoreJobs > 0 {
			facts = append(facts, fmt.Sprintf("and %d more", m.MoreJobs))
		}
		if m.WorkflowName != "" {
			facts = append(facts, m.JobID)
		}
		for _, l := range m.Facts {
			facts = append(facts, l[0].Text)
		}
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
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(all.String())
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
