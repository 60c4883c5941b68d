// Package email renders a message as an email and sends it by SES.
package email

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/idmapping/notifier/internal/message"
)

// colors of the status band. White text on each has a contrast of 4.5 or more
// (WCAG 2, contrast minimum).
var colors = map[message.Severity]string{
	message.Neutral: "#1f5fa8",
	message.Good:    "#1a7f37",
	message.Bad:     "#c62828",
}

// Render gives subject, HTML and text. Both bodies have the same facts.
func Render(m message.Message) (subject, htmlBody, textBody string) {
	return m.Subject, renderHTML(m), renderText(m)
}

func renderText(m message.Message) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", m.Headline)
	line("")
	width := 0
	for _, f := range m.Fields {
		width = max(width, utf8.RuneCountInString(f.Label))
	}
	for _, f := range m.Fields {
		line("%-*s  %s", width+1, f.Label+":", f.Value)
	}
	if m.Failure != nil {
		line("\n%s:\n%s", errorTitle(m.Failure), indent(m.Failure.Text))
		line("\nWhat to do:")
		for _, a := range m.Failure.Advice {
			line("- %s", a)
		}
	}
	if len(m.Metrics) > 0 {
		line("\nMetrics (records, share of the input):")
		label, value := 0, 0
		for _, row := range m.Metrics {
			label, value = max(label, utf8.RuneCountInString(row.Label)), max(value, len(row.Value))
		}
		for _, row := range m.Metrics {
			line("%s", strings.TrimRight(fmt.Sprintf("%-*s  %*s  %7s", label, row.Label, value, row.Value, row.Share), " "))
		}
	}
	if len(m.Outputs) > 0 {
		line("\nOutput:")
		for _, o := range m.Outputs {
			line("%s", o.Label)
			if o.URL != "" {
				line("  %s", o.URL)
			}
		}
	}
	if len(m.Jobs) > 0 {
		line("\nJobs:")
		for _, j := range m.Jobs {
			line("%s", j.Label)
			if j.URL != "" {
				line("  %s", j.URL)
			}
		}
		if m.MoreJobs > 0 {
			line("%s", moreJobs(m))
		}
	}
	if len(m.Links) > 0 {
		line("")
		for _, l := range m.Links {
			line("%s: %s", l.Label, l.URL)
		}
	}
	for _, n := range m.Notes {
		line("\n%s", n)
	}
	line("\n-- \n%s", strings.Join(m.Footer, " · "))
	return b.String()
}

func errorTitle(f *message.Failure) string {
	if f.Category == "" {
		return "Error"
	}
	return fmt.Sprintf("Error (%s)", f.Category)
}

func moreJobs(m message.Message) string {
	return fmt.Sprintf("and %s more", message.Grouped(int64(m.MoreJobs)))
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

const (
	font    = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;"
	mono    = "font-family:SFMono-Regular,Consolas,'Liberation Mono',Menlo,monospace;"
	cell    = "padding:6px 0;border-bottom:1px solid #e5e7eb;vertical-align:top;"
	heading = "margin:24px 0 8px;font-size:13px;font-weight:600;color:#57606a;text-transform:uppercase;letter-spacing:.04em;"
)

// renderHTML uses tables with inline styles: mail programs support little else.
func renderHTML(m message.Message) string {
	var b strings.Builder
	esc := html.EscapeString
	add := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }

	add(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">`)
	add(`<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"><title>%s</title></head>`, esc(m.Subject))
	add(`<body style="margin:0;padding:0;background:#f3f4f6;%sfont-size:14px;line-height:1.45;color:#1f2328;">`, font)
	add(`<table role="presentation" width="100%%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:24px 12px;">`)
	add(`<table role="presentation" width="600" cellpadding="0" cellspacing="0" style="width:100%%;max-width:600px;background:#ffffff;border-radius:8px;overflow:hidden;">`)
	add(`<tr><td style="background:%s;color:#ffffff;padding:16px 24px;font-size:16px;font-weight:600;">%s</td></tr>`, colors[m.Severity], esc(m.Title))
	add(`<tr><td style="padding:20px 24px 24px;color:#1f2328;">`)
	add(`<p style="margin:0 0 16px;font-size:15px;">%s</p>`, esc(m.Headline))

	add(`<table role="presentation" width="100%%" cellpadding="0" cellspacing="0">`)
	for _, f := range m.Fields {
		add(`<tr><td width="130" style="%scolor:#57606a;">%s</td><td style="%sword-break:break-word;">%s</td></tr>`, cell, esc(f.Label), cell, esc(f.Value))
	}
	add(`</table>`)

	if m.Failure != nil {
		add(`<h2 style="%s">%s</h2>`, heading, esc(errorTitle(m.Failure)))
		add(`<pre style="margin:0;padding:12px;background:#fdf2f2;border-left:3px solid #c62828;color:#1f2328;white-space:pre-wrap;word-break:break-word;%sfont-size:12px;">%s</pre>`, mono, esc(m.Failure.Text))
		add(`<h2 style="%s">What to do</h2><ul style="margin:0;padding-left:20px;">`, heading)
		for _, a := range m.Failure.Advice {
			add(`<li style="margin:4px 0;word-break:break-word;">%s</li>`, esc(a))
		}
		add(`</ul>`)
	}
	if len(m.Metrics) > 0 {
		add(`<h2 style="%s">Metrics</h2><table width="100%%" cellpadding="0" cellspacing="0">`, heading)
		add(`<tr><th align="left" style="%sfont-weight:400;color:#57606a;"></th><th align="right" style="%sfont-weight:400;color:#57606a;">records</th><th align="right" width="90" style="%sfont-weight:400;color:#57606a;">of input</th></tr>`, cell, cell, cell)
		for _, row := range m.Metrics {
			add(`<tr><td style="%s">%s</td><td align="right" style="%s%s">%s</td><td align="right" style="%s%scolor:#57606a;">%s</td></tr>`,
				cell, esc(row.Label), cell, mono, esc(row.Value), cell, mono, esc(row.Share))
		}
		add(`</table>`)
	}
	if len(m.Outputs) > 0 {
		add(`<h2 style="%s">Output</h2>`, heading)
		for _, o := range m.Outputs {
			add("%s", htmlLink(o))
		}
	}
	if len(m.Jobs) > 0 {
		add(`<h2 style="%s">Jobs</h2>`, heading)
		for _, j := range m.Jobs {
			add("%s", htmlLink(j))
		}
		if m.MoreJobs > 0 {
			add(`<div>%s</div>`, esc(moreJobs(m)))
		}
	}
	for i, l := range m.Links {
		if i == 0 {
			add(`<p style="margin:24px 0 8px;"><a href="%s" style="display:inline-block;background:#1f2328;color:#ffffff;text-decoration:none;padding:10px 18px;border-radius:6px;font-weight:600;">%s</a></p>`, esc(l.URL), esc(l.Label))
		}
		add(`<div style="font-size:12px;color:#57606a;word-break:break-all;">%s: <a href="%s" style="color:#0b5cad;">%s</a></div>`, esc(l.Label), esc(l.URL), esc(l.URL))
	}
	for _, n := range m.Notes {
		add(`<p style="margin:16px 0 0;color:#57606a;">%s</p>`, esc(n))
	}
	add(`<p style="margin:20px 0 0;padding-top:12px;border-top:1px solid #e5e7eb;font-size:12px;color:#57606a;word-break:break-word;">%s</p>`, esc(strings.Join(m.Footer, " · ")))
	add(`</td></tr></table></td></tr></table></body></html>`)
	b.WriteByte('\n')
	return b.String()
}

// htmlLink is a link in a line of its own, or only its label when it has no URL.
func htmlLink(l message.Link) string {
	label := html.EscapeString(l.Label)
	if l.URL != "" {
		label = fmt.Sprintf(`<a href="%s" style="color:#0b5cad;">%s</a>`, html.EscapeString(l.URL), label)
	}
	return `<div style="word-break:break-all;">` + label + `</div>`
}
