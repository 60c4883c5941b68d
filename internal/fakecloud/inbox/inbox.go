// Package inbox shows sent messages as people see them.
package inbox

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/slack"
)

// Handler serves a page with a Slack channel, its threads and the emails.
type Handler struct {
	Messages func() []slack.Message
	Emails   func() []aws.Email
}

// ServeHTTP serves the page, and under /email/N the HTML of the Nth email.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// All text is escaped. The policy limits the damage should that ever fail.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'")
	emails := h.Emails()
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/email/%d", &n); err == nil && n >= 0 && n < len(emails) {
		_, _ = fmt.Fprint(w, emails[n].HTML)
		return
	}
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	var b strings.Builder
	b.WriteString(Page("ID mapping notifier: inbox", `<meta http-equiv="refresh" content="5">`))
	b.WriteString(`<main class="two"><section><h1># data-jobs</h1>`)
	b.WriteString(Slack(h.Messages()))
	b.WriteString(`</section><section><h1>Email</h1>`)
	for n := len(emails) - 1; n >= 0; n-- {
		b.WriteString(renderEmail(n, emails[n]))
	}
	b.WriteString(`</section></main>`)
	_, _ = fmt.Fprint(w, b.String())
}

func renderEmail(n int, e aws.Email) string {
	esc := html.EscapeString
	var headers strings.Builder
	for name, value := range e.Headers {
		fmt.Fprintf(&headers, "%s: %s\n", name, value)
	}
	return fmt.Sprintf(`<article class="mail"><div class="subject">%s</div><div class="meta">%s → %s · %s</div>
<iframe src="/email/%d" sandbox title="email"></iframe><details><summary>Text part and headers</summary><pre>%s
%s</pre></details></article>`, esc(e.Subject), esc(e.From), esc(strings.Join(e.To, ", ")), e.At.Format("15:04:05"),
		n, esc(headers.String()), esc(e.Text))
}

// Page returns the start of an HTML page with Slack's style; head is added to
// its <head>.
func Page(title, head string) string {
	return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>` + html.EscapeString(title) + `</title>` + head + `<style>` + style + `</style></head><body>`
}

const style = `
*{box-sizing:border-box}body{margin:0;font:15px/1.46668 Lato,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;color:#1d1c1d;background:#fff}
main.two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:24px;padding:16px 24px}h1{font-size:18px;margin:8px 0 16px}
.msg{display:grid;grid-template-columns:36px minmax(0,1fr);gap:8px;padding:8px 12px;max-width:720px}.thread{margin:4px 0 0;border-left:2px solid #ddd;padding-left:4px}
.avatar{width:36px;height:36px;border-radius:6px;background:#4a154b;color:#fff;font-weight:700;display:grid;place-items:center;font-size:13px}
.who b{font-weight:900}.app{font-size:10px;background:#ddd;border-radius:2px;padding:1px 3px;margin:0 6px;color:#616061}.when{color:#616061;font-size:12px}
.header{font-size:18px;font-weight:900;margin:4px 0 8px;line-height:1.3}.section{margin:6px 0}.fields{display:grid;grid-template-columns:1fr 1fr;gap:8px 16px;margin:6px 0}
.rich{margin:4px 0}ol.rich,ul.rich{padding-left:24px}table.grid{border-collapse:collapse;margin:8px 0;font-size:14px}table.grid td{border:1px solid #ddd;padding:4px 10px}table.grid tr:first-child td{font-weight:700;background:#f8f8f8}
.replies{color:#1264a3;font-size:13px;font-weight:700;margin:6px 0}
.context{color:#616061;font-size:13px;margin:8px 0 0}.also{color:#616061;font-size:12px}
pre.code{overflow-wrap:anywhere;background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;font:12px/1.5 Monaco,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre-wrap;word-break:break-word;margin:4px 0}
code{overflow-wrap:anywhere;background:#f8f8f8;border:1px solid #ddd;border-radius:3px;padding:1px 3px;font-size:12px;color:#e01e5a}a{color:#1264a3;text-decoration:none}.mention{background:#fdf0cd;color:#1264a3;border-radius:3px;padding:0 2px}
.mail{border:1px solid #ddd;border-radius:8px;margin:0 0 16px;overflow:hidden}.subject{font-weight:700;padding:10px 12px 0}.meta{color:#616061;font-size:12px;padding:0 12px 8px}
iframe{width:100%;height:560px;border:0;border-top:1px solid #ddd}details{padding:8px 12px}details pre{white-space:pre-wrap;font-size:12px}
`

// Slack renders a channel's messages, each with its thread below it.
func Slack(messages []slack.Message) string {
	var b strings.Builder
	for _, m := range messages {
		if m.ThreadTS != "" && !m.Broadcast {
			continue
		}
		if m.ThreadTS != "" {
			b.WriteString(renderMessage(m, `<div class="also">replied to a thread</div>`))
			continue
		}
		var thread strings.Builder
		for _, reply := range messages {
			if reply.ThreadTS != "" && reply.ThreadTS == m.TS && reply.Channel == m.Channel {
				also := ""
				if reply.Broadcast {
					also = `<div class="also">Also sent to the channel</div>`
				}
				thread.WriteString(renderMessage(reply, also))
			}
		}
		replies := ""
		if thread.Len() > 0 {
			replies = `<div class="thread">` + thread.String() + `</div>`
		}
		b.WriteString(renderMessage(m, replies))
	}
	return b.String()
}

// Channel renders what a channel shows: each card with the number of its replies,
// and the replies that were also sent to the channel as messages of their own.
func Channel(messages []slack.Message) string {
	var b strings.Builder
	for _, m := range messages {
		switch {
		case m.ThreadTS == "":
			n := 0
			for _, reply := range messages {
				if reply.ThreadTS == m.TS {
					n++
				}
			}
			below := ""
			if n > 0 {
				below = fmt.Sprintf(`<div class="replies">%d replies</div>`, n)
			}
			b.WriteString(renderMessage(m, below))
		case m.Broadcast:
			b.WriteString(renderMessage(m, `<div class="also">replied to a thread</div>`))
		}
	}
	return b.String()
}

// Thread renders a card and the replies in its thread.
func Thread(messages []slack.Message, ts string) string {
	var b strings.Builder
	b.WriteString(`<h1 style="padding:0 12px">Thread</h1>`)
	for _, m := range messages {
		if m.TS == ts || m.ThreadTS == ts {
			b.WriteString(renderMessage(m, ""))
		}
	}
	return b.String()
}

func renderMessage(m slack.Message, below string) string {
	var b strings.Builder
	edited := ""
	if m.Edits > 0 {
		edited = ` <span class="when">(edited)</span>`
	}
	fmt.Fprintf(&b, `<div class="msg"><div class="avatar">ID</div><div><div class="who"><b>ID mapping</b><span class="app">APP</span><span class="when">%s</span>%s</div>`,
		m.At.Format("15:04"), edited)
	if len(m.Blocks.BlockSet) == 0 {
		fmt.Fprintf(&b, `<div class="section">%s</div>`, mrkdwnHTML(m.Text))
	}
	for _, block := range m.Blocks.BlockSet {
		b.WriteString(renderBlock(block))
	}
	b.WriteString(below + `</div></div>`)
	return b.String()
}

// renderBlock draws one block as Slack does. It panics on a type that it does not
// know: a picture without the block would look as if nothing was missing.
func renderBlock(block slackgo.Block) string {
	var b strings.Builder
	switch block := block.(type) {
	case *slackgo.HeaderBlock:
		fmt.Fprintf(&b, `<div class="header">%s</div>`, textHTML(block.Text))
	case *slackgo.SectionBlock:
		if block.Text != nil {
			fmt.Fprintf(&b, `<div class="section">%s</div>`, textHTML(block.Text))
		}
		if len(block.Fields) > 0 {
			b.WriteString(`<div class="fields">`)
			for _, f := range block.Fields {
				fmt.Fprintf(&b, `<div>%s</div>`, textHTML(f))
			}
			b.WriteString(`</div>`)
		}
	case *slackgo.ContextBlock:
		b.WriteString(`<div class="context">`)
		for _, e := range block.ContextElements.Elements {
			b.WriteString(textHTML(e.(*slackgo.TextBlockObject)) + " ")
		}
		b.WriteString(`</div>`)
	case *slackgo.RichTextBlock:
		for _, e := range block.Elements {
			b.WriteString(richHTML(e))
		}
	case *slackgo.TableBlock:
		b.WriteString(tableHTML(block))
	default:
		panic(fmt.Sprintf("inbox: %T cannot be drawn", block))
	}
	return b.String()
}

func richHTML(e slackgo.RichTextElement) string {
	switch e := e.(type) {
	case *slackgo.RichTextSection:
		return `<div class="rich">` + spansHTML(e.Elements) + `</div>`
	case *slackgo.RichTextPreformatted:
		return `<pre class="code">` + spansHTML(e.Elements) + `</pre>`
	case *slackgo.RichTextList:
		tag := "ul"
		if e.Style == slackgo.RTEListOrdered {
			tag = "ol"
		}
		var b strings.Builder
		for _, item := range e.Elements {
			b.WriteString("<li>" + richHTML(item) + "</li>")
		}
		return `<` + tag + ` class="rich">` + b.String() + `</` + tag + `>`
	default:
		panic(fmt.Sprintf("inbox: %T cannot be drawn", e))
	}
}

func spansHTML(elements []slackgo.RichTextSectionElement) string {
	var b strings.Builder
	for _, e := range elements {
		switch e := e.(type) {
		case *slackgo.RichTextSectionTextElement:
			text := html.EscapeString(e.Text)
			if e.Style != nil && e.Style.Code {
				text = "<code>" + text + "</code>"
			}
			if e.Style != nil && e.Style.Bold {
				text = "<b>" + text + "</b>"
			}
			b.WriteString(text)
		case *slackgo.RichTextSectionLinkElement:
			if !strings.HasPrefix(e.URL, "https://") && !strings.HasPrefix(e.URL, "http://") {
				panic(fmt.Sprintf("inbox: a link to %.40q", e.URL))
			}
			fmt.Fprintf(&b, `<a href="%s">%s</a>`, html.EscapeString(e.URL), html.EscapeString(e.Text))
		case *slackgo.RichTextSectionDateElement:
			b.WriteString(html.EscapeString(dateHTML(e.Timestamp.Time(), e.Format)))
		default:
			panic(fmt.Sprintf("inbox: %T cannot be drawn", e))
		}
	}
	return b.String()
}

// dateHTML shows a time as Slack does to a reader in UTC.
func dateHTML(at time.Time, format string) string {
	return strings.NewReplacer("{date_short_pretty}", at.UTC().Format("Jan 2, 2006"), "{time}", at.UTC().Format("3:04 PM")).Replace(format)
}

func tableHTML(table *slackgo.TableBlock) string {
	var b strings.Builder
	b.WriteString(`<table class="grid">`)
	for _, row := range table.Rows {
		b.WriteString("<tr>")
		for i, cell := range row {
			align := slackgo.ColumnAlignmentLeft
			if i < len(table.ColumnSettings) {
				align = table.ColumnSettings[i].Align
			}
			fmt.Fprintf(&b, `<td align="%s">%s</td>`, align, html.EscapeString(cell.(*slackgo.TableRawTextCell).Text))
		}
		b.WriteString("</tr>")
	}
	return b.String() + "</table>"
}

func textHTML(t *slackgo.TextBlockObject) string {
	if t.Type == "plain_text" {
		return strings.ReplaceAll(html.EscapeString(html.UnescapeString(t.Text)), "\n", "<br>")
	}
	return mrkdwnHTML(t.Text)
}

// handles are the names that a workspace shows for IDs.
var handles = map[string]string{"S0DATATEAM": "data-oncall"}

var (
	codePart  = regexp.MustCompile("(?s)```(.*?)```|`([^`\n]+)`")
	bold      = regexp.MustCompile(`\*([^*\n]+)\*`)
	slackLink = regexp.MustCompile(`^<(https?://[^|>"]+)\|([^>]*)>$`)
	mention   = regexp.MustCompile(`^<(![a-z]+|@[A-Z0-9]+|!subteam\^[A-Z0-9]+)>$`)
	slackDate = regexp.MustCompile(`^<!date\^(\d+)\^([^|>]*)\|[^>]*>$`)
	markup    = regexp.MustCompile(`<[^<>]*>`)
)

// mrkdwnHTML renders the part of mrkdwn that the product uses. Entities stay:
// they mean the same in HTML. Within code, nothing has a meaning.
func mrkdwnHTML(s string) string {
	var b strings.Builder
	end := 0
	for _, at := range codePart.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(formatsHTML(s[end:at[0]]))
		if at[2] >= 0 {
			b.WriteString(`<pre class="code">` + noTags(strings.Trim(s[at[2]:at[3]], "\n")) + `</pre>`)
		} else {
			b.WriteString(`<code>` + noTags(s[at[4]:at[5]]) + `</code>`)
		}
		end = at[1]
	}
	b.WriteString(formatsHTML(s[end:]))
	return b.String()
}

// formatsHTML renders mrkdwn without code.
func formatsHTML(s string) string {
	var b strings.Builder
	end := 0
	for _, at := range markup.FindAllStringIndex(s, -1) {
		b.WriteString(textOnlyHTML(s[end:at[0]]))
		b.WriteString(markupHTML(s[at[0]:at[1]]))
		end = at[1]
	}
	b.WriteString(textOnlyHTML(s[end:]))
	return b.String()
}

func textOnlyHTML(s string) string {
	return strings.ReplaceAll(bold.ReplaceAllString(noTags(s), "<b>$1</b>"), "\n", "<br>")
}

// markupHTML renders what is within a pair of angle brackets.
func markupHTML(s string) string {
	if parts := slackDate.FindStringSubmatch(s); parts != nil {
		seconds, _ := strconv.ParseInt(parts[1], 10, 64) // digits
		return html.EscapeString(dateHTML(time.Unix(seconds, 0), parts[2]))
	}
	if parts := slackLink.FindStringSubmatch(s); parts != nil {
		return `<a href="` + parts[1] + `">` + noTags(parts[2]) + `</a>`
	}
	if mention.MatchString(s) {
		name := strings.TrimPrefix(strings.Trim(s, "<>!@"), "subteam^")
		if handle, ok := handles[name]; ok {
			name = handle
		}
		return `<span class="mention">@` + name + `</span>`
	}
	return noTags(s)
}

func noTags(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(s)
}
