// Package preview shows a message as people see it, without sending it: as a page, and
// as a picture of that page. No Lambda function imports it.
package preview

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/fakecloud/inbox"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/slack"
)

// The widths of a phone and of a desktop's channel, and of the pages of Slack and
// Email, in CSS pixels.
const (
	Phone, Desktop = 390, 640
	SlackWidth     = Phone + Desktop + 40
	EmailWidth     = 2*mailWidth + 40
	mailWidth      = 375
)

const caption = "Drawn by this repository from the JSON that is sent. Slack's own fonts and folding differ."

// Posted returns a rendering as a message in the channel.
func Posted(r slack.Rendered, m fakeslack.Message) (fakeslack.Message, error) {
	m.Channel, m.Text = "C", r.Text
	if err := r.Validate(); err != nil {
		return m, err
	}
	blocks, err := json.Marshal(r.Blocks)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(blocks, &m.Blocks)
}

// Sheet is a page of columns, each with its width and a title.
func Sheet(title string, columns ...string) string {
	return inbox.Page(title, "") + `<div style="display:flex;gap:16px;padding:8px 8px 0;align-items:flex-start">` + strings.Join(columns, "") +
		`</div><div style="color:#616061;font-size:12px;padding:4px 12px">` + caption + `</div>`
}

// Column is a column of a sheet, so many CSS pixels wide.
func Column(width int, content string) string {
	return fmt.Sprintf(`<div style="width:%dpx;flex:none;border:1px solid #ddd;border-radius:8px;overflow:hidden">%s</div>`, width, content)
}

// Slack is a message's card on a phone and on a desktop.
func Slack(m message.Message, mention string, at time.Time) (string, error) {
	p, err := Posted(slack.RenderCard(m, mention), fakeslack.Message{At: at, TS: "1"})
	if err != nil {
		return "", err
	}
	card := inbox.Slack([]fakeslack.Message{p})
	return Sheet(m.Title(), Column(Phone, card), Column(Desktop, card)), nil
}

// Email is a message's email on a phone, light and dark: the dark one has the
// styles that a mail program uses whose reader prefers dark.
func Email(m message.Message) string {
	_, body, _ := email.Render(m, email.Reason("data-oncall@example.com", "idmapping"))
	frame := func(body string) string {
		return fmt.Sprintf(`<iframe style="border:0;width:%dpx;height:400px;flex:none" onload="this.style.height=this.contentDocument.documentElement.scrollHeight+'px'" srcdoc="%s"></iframe>`, mailWidth, html.EscapeString(body))
	}
	dark := strings.ReplaceAll(body, "@media (prefers-color-scheme:dark)", "@media all")
	return `<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;display:flex;gap:16px;background:#f3f4f6">` + frame(body) + frame(dark)
}
