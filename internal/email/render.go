// Package email renders a message as an email and sends it by SES.
package email

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/idmapping/notifier/internal/message"
)

// colors of the title and the button, with white text.
var colors = map[message.Severity]string{
	message.Neutral: "#1f5fa8",
	message.Good:    "#1a7f37",
	message.Check:   "#8a5a00",
	message.Bad:     "#c62828",
}

// scheme is the colors of everything else. Text on its background has a contrast
// of 4.5 or more (WCAG 2.2, 1.4.3 Contrast).
type scheme struct{ page, card, text, small, line, code, link string }

var (
	light = scheme{page: "#f3f4f6", card: "#ffffff", text: "#1f2328", small: "#57606a", line: "#e5e7eb", code: "#f1f3f5", link: "#0b5cad"}
	dark  = scheme{page: "#0d1117", card: "#161b22", text: "#e6edf3", small: "#9ea7b3", line: "#30363d", code: "#262c34", link: "#6cb6ff"}
)

// Render gives subject, HTML and text. Both bodies have the same facts in the same
// order. reason says why the reader gets the email, and how to stop it.
func Render(m message.Message, reason string) (subject, htmlBody, textBody string) {
	return m.Subject, renderHTML(m, reason), renderText(m, reason)
}

const (
	allCounters = "All counters"
	output      = "Output"
)

func renderText(m message.Message, reason string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	lines := func(all []message.Line) {
		for _, l := range all {
			line("%s", l.Plain(m.Zone))
		}
	}
	first, others := m.Links[:min(1, len(m.Links))], m.Links[min(1, len(m.Links)):]
	line("%s\n", m.Title())
	lines(m.Lead)
	lines(m.Trend)
	for i, step := range m.Steps {
		if i == 0 {
			line("\nNext step:")
		}
		line("%d. %s", i+1, step.Plain(m.Zone))
	}
	if len(m.Retry) > 0 {
		line("%s", m.Retry.Plain(m.Zone))
	}
	for _, l := range first {
		line("\n%s: %s", l.Label, l.URL)
	}
	textNumbers(&b, numbersTitle(m), m.Numbers)
	textLinks(&b, "Jobs", m.Jobs)
	if m.MoreJobs > 0 {
		line("%s", moreJobs(m))
	}
	if m.Error != nil {
		line("\n%s:\n%s", errorTitle(m.Error), indent(m.Error.Text))
	}
	textNumbers(&b, allCounters, m.Counters)
	textLinks(&b, output, m.Outputs)
	for i, l := range others {
		if i == 0 {
			line("")
		}
		line("%s: %s", l.Label, l.URL)
	}
	for _, n := range m.Notes {
		line("\n%s", n.Plain(m.Zone))
	}
	line("\n%s", facts(m).Plain(m.Zone))
	line("\n-- \n%s", reason)
	return b.String()
}

func textNumbers(b *strings.Builder, title string, numbers []message.Number) {
	if len(numbers) == 0 {
		return
	}
	label, value := 0, 0
	for _, n := range numbers {
		label, value = max(label, utf8.RuneCountInString(n.Label)), max(value, len(n.Value))
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, n := range numbers {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %*s  %6s", label, n.Label, value, n.Value, n.Share), " ") + "\n")
	}
}

func textLinks(b *strings.Builder, title string, links []message.Link) {
	for i, l := range links {
		if i == 0 {
			fmt.Fprintf(b, "\n%s:\n", title)
		}
		b.WriteString(l.Label + "\n")
		if l.URL != "" {
			b.WriteString("  " + l.URL + "\n")
		}
	}
}

// facts is the small print on one line, with the job ID and the workflow's name in
// full, to search by.
func facts(m message.Message) message.Line {
	all := slices.Clone(m.Facts)
	if m.WorkflowName != "" {
		for i, l := range all {
			if last := len(l) - 1; last >= 0 && l[last].Code && strings.HasPrefix(m.JobID, l[last].Text) {
				all[i] = append(slices.Clone(l[:last]), message.Span{Text: m.JobID, Code: true})
			}
		}
		if m.WorkflowName != m.Name {
			all = append(all, message.Line{{Text: "workflow "}, {Text: m.WorkflowName, Code: true}})
		}
	}
	var joined message.Line
	for i, l := range all {
		if i > 0 {
			joined = append(joined, message.Span{Text: " · "})
		}
		joined = append(joined, l...)
	}
	return joined
}

// numbersTitle is the title of the numbers: of a summary they count jobs.
func numbersTitle(m message.Message) string {
	if len(m.Jobs) > 0 {
		return "Jobs by status"
	}
	return "Records"
}

func errorTitle(e *message.Error) string {
	if e.Category == "" || e.Category == "OTHER" {
		return "Error"
	}
	return fmt.Sprintf("Error (%s)", e.Category)
}

func moreJobs(m message.Message) string {
	return fmt.Sprintf("and %s more", message.Grouped(int64(m.MoreJobs)))
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// Light styles are inline, because some mail programs drop style sheets; the style
// sheet has the dark ones, for those that know the reader's preference.
const (
	font    = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;"
	mono    = "font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;"
	wrap    = "overflow-wrap:anywhere;word-wrap:break-word;word-break:break-word;"
	heading = "margin:18px 0 6px;font-size:13px;font-weight:700;"
)

var styleSheet = fmt.Sprintf("@media (prefers-color-scheme:dark){"+
	".page{background:%s!important}"+
	".card,.text{background:%s!important;color:%s!important}"+
	".small{color:%s!important}"+
	".line{border-color:%s!important}"+
	".code{background:%s!important;color:%s!important}"+
	".link{color:%s!important}}",
	dark.page, dark.card, dark.text, dark.small, dark.line, dark.code, dark.text, dark.link)

// renderHTML uses tables with inline styles: mail programs support little else.
// Padding is on cells, because Outlook ignores it elsewhere.
func renderHTML(m message.Message, reason string) string {
	b := &page{zone: m.Zone}
	b.add(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`)
	b.add(`<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"><title>%s</title><style>%s</style></head>`, m.Subject, raw(styleSheet))
	b.add(`<body class="page" style="margin:0;padding:0;background:%s;%sfont-size:14px;line-height:1.45;color:%s;">`, raw(light.page), raw(font), raw(light.text))
	if m.Preheader != "" {
		b.add(`<div style="display:none;max-height:0;overflow:hidden;mso-hide:all;">%s</div>`, m.Preheader)
	}
	b.add(`<table role="presentation" width="100%%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:12px 8px;">`)
	b.add(`<table role="presentation" class="card" width="600" cellpadding="0" cellspacing="0" bgcolor="%s" style="width:100%%;max-width:600px;table-layout:fixed;background:%s;border-radius:8px;">`, raw(light.card), raw(light.card))
	b.add(`<tr><td align="left" bgcolor="%s" style="background:%s;color:#ffffff;padding:12px 16px;border-radius:8px 8px 0 0;"><h1 style="margin:0;font-size:17px;line-height:1.3;font-weight:700;color:#ffffff;%s">%s</h1></td></tr>`,
		raw(colors[m.Severity]), raw(colors[m.Severity]), raw(wrap), m.Title())
	b.add(`<tr><td align="left" class="text" style="padding:14px 16px 18px;color:%s;%s">`, raw(light.text), raw(wrap))
	for i, l := range m.Lead {
		b.paragraph(l, map[bool]string{true: "margin:0 0 6px;font-size:15px;", false: "margin:0 0 6px;"}[i == 0])
	}
	for _, l := range m.Trend {
		b.paragraph(l, "margin:0 0 4px;")
	}
	b.steps(m.Steps)
	if len(m.Retry) > 0 {
		b.paragraph(m.Retry, "margin:6px 0 0;")
	}
	if len(m.Links) > 0 {
		b.button(m.Links[0])
	}
	b.numbers(numbersTitle(m), m.Numbers)
	b.list("Jobs", m.Jobs)
	if m.MoreJobs > 0 {
		b.add(`<div>%s</div>`, moreJobs(m))
	}
	b.error(m.Error)
	b.numbers(allCounters, m.Counters)
	b.list(output, m.Outputs)
	b.links(m.Links)
	for _, n := range m.Notes {
		b.add(`<p class="small" style="margin:14px 0 0;color:%s;">%s</p>`, raw(light.small), b.line(n))
	}
	b.add(`</td></tr><tr><td align="left" class="small line" style="padding:10px 16px 14px;border-top:1px solid %s;font-size:12px;color:%s;%s">`, raw(light.line), raw(light.small), raw(wrap))
	b.add(`<p style="margin:0;">%s</p><p style="margin:8px 0 0;">%s</p>`, b.line(facts(m)), reason)
	b.add(`</td></tr></table></td></tr></table></body></html>`)
	b.WriteByte('\n')
	return b.String()
}

// page builds HTML. All text that it is given is escaped, but raw.
type page struct {
	strings.Builder
	zone *time.Location
}

// raw is HTML of our own.
type raw string

func (b *page) add(format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case raw:
			args[i] = string(a)
		case string:
			args[i] = html.EscapeString(a)
		}
	}
	fmt.Fprintf(b, format, args...)
}

func (b *page) paragraph(l message.Line, style string) {
	b.add(`<p style="%s">%s</p>`, raw(style), b.line(l))
}

// line is a line in HTML: code is what people copy.
func (b *page) line(l message.Line) raw {
	var out strings.Builder
	for _, s := range l {
		text := html.EscapeString(s.Plain(b.zone))
		switch {
		case s.Code:
			out.WriteString(`<code class="code" style="` + mono + `font-size:12px;background:` + light.code + `;">` + text + `</code>`)
		case s.Bold:
			out.WriteString(`<b>` + text + `</b>`)
		default:
			out.WriteString(text)
		}
	}
	return raw(out.String())
}

func (b *page) heading(title string) {
	b.add(`<h2 class="small" style="%scolor:%s;">%s</h2>`, raw(heading), raw(light.small), title)
}

func (b *page) steps(steps []message.Line) {
	if len(steps) == 0 {
		return
	}
	b.heading("Next step")
	b.add(`<ol style="margin:0 0 0 20px;padding:0;">`)
	for _, step := range steps {
		b.add(`<li style="margin:3px 0;">%s</li>`, b.line(step))
	}
	b.add(`</ol>`)
}

// button is a link in a cell of its own, because Outlook gives links no padding.
func (b *page) button(l message.Link) {
	color := raw(colors[message.Neutral])
	b.add(`<table role="presentation" cellpadding="0" cellspacing="0" style="margin:12px 0 4px;"><tr><td bgcolor="%s" style="background:%s;border-radius:6px;padding:6px 16px;">`, color, color)
	b.add(`<a href="%s" style="display:block;line-height:24px;color:#ffffff;text-decoration:none;font-weight:700;">%s</a></td></tr></table>`, l.URL, l.Label)
}

// links are those that are not the button, on one line.
func (b *page) links(links []message.Link) {
	for i, l := range links {
		switch i {
		case 0:
			continue
		case 1:
			b.add(`<p style="margin:18px 0 0;">`)
		default:
			b.add(" · ")
		}
		b.link(l)
	}
	if len(links) > 1 {
		b.add(`</p>`)
	}
}

func (b *page) link(l message.Link) {
	b.add(`<a class="link" href="%s" style="color:%s;">%s</a>`, l.URL, raw(light.link), l.Label)
}

// error is the whole error. The layout of its table is fixed, because a long line
// stretches the email in mail programs that do not wrap <pre>.
func (b *page) error(e *message.Error) {
	if e == nil {
		return
	}
	b.heading(errorTitle(e))
	b.add(`<table role="presentation" width="100%%" cellpadding="0" cellspacing="0" style="width:100%%;table-layout:fixed;"><tr><td class="code" bgcolor="%s" style="padding:10px;background:%s;%s">`, raw(light.code), raw(light.code), raw(wrap))
	b.add(`<pre style="margin:0;white-space:pre-wrap;%s%sfont-size:12px;">%s</pre></td></tr></table>`, raw(wrap), raw(mono), e.Text)
}

func (b *page) numbers(title string, numbers []message.Number) {
	if len(numbers) == 0 {
		return
	}
	cell := raw("padding:5px 0;border-bottom:1px solid " + light.line + ";vertical-align:top;font-weight:400;")
	small := cell + raw("color:"+light.small+";")
	shares := slices.ContainsFunc(numbers, func(n message.Number) bool { return n.Share != "" })
	b.heading(title)
	b.add(`<table width="100%%" cellpadding="0" cellspacing="0"><tr><th scope="col" align="left" class="small line" style="%s">Name</th><th scope="col" align="right" class="small line" style="%s">Count</th>`, small, small)
	if shares {
		b.add(`<th scope="col" align="right" width="70" class="small line" style="%s">Share</th>`, small)
	}
	b.add(`</tr>`)
	for _, n := range numbers {
		b.add(`<tr><th scope="row" align="left" class="line" style="%s">%s</th><td align="right" class="line" style="%s%s">%s</td>`, cell, n.Label, cell, raw(mono), n.Value)
		if shares {
			b.add(`<td align="right" class="small line" style="%s%s">%s</td>`, small, raw(mono), cmp.Or(n.Share, "–"))
		}
		b.add(`</tr>`)
	}
	b.add(`</table>`)
}

// list is links in a line each, or only the labels of those that have no URL.
func (b *page) list(title string, links []message.Link) {
	if len(links) == 0 {
		return
	}
	b.heading(title)
	for _, l := range links {
		b.add(`<div style="margin:2px 0;">`)
		if l.URL == "" {
			b.add("%s", l.Label)
		} else {
			b.link(l)
		}
		b.add(`</div>`)
	}
}
