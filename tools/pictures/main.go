// Pictures renders docs/pictures from the example events with the product's own
// code, so that the docs match the product. It needs chromium.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud/inbox"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
	"github.com/idmapping/notifier/internal/slack"
)

func main() {
	browser := flag.String("chromium", "chromium", "the browser's executable")
	flag.Parse()
	if err := run(*browser); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// picture is one file of docs/pictures, in CSS pixels.
type picture struct {
	name          string
	width, height int
	page          func(root string) (string, error)
}

var pictures = []picture{
	{"card-failed", 640, 700, card("failure-iam", "<!subteam^S0DATATEAM>")},
	{"card-succeeded", 640, 735, card("success-batch", "")},
	{"card-broken", 640, 340, notice("notice-email")},
	{"thread", 700, 762, thread},
	{"email-failed", 640, 985, mail("failure-iam")},
	{"email-succeeded", 640, 1310, mail("success-batch")},
}

func run(browser string) error {
	path, err := exec.LookPath(browser)
	if err != nil {
		return fmt.Errorf("%s is missing: install chromium, or name it with -chromium: %w", browser, err)
	}
	root, err := sam.Root()
	if err != nil {
		return err
	}
	for _, p := range pictures {
		page, err := p.page(root)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", p.name, err)
		}
		if err := capture(path, page, filepath.Join(root, "docs", "pictures", p.name+".png"), p.width, p.height); err != nil {
			return fmt.Errorf("capturing %s: %w", p.name, err)
		}
		fmt.Println("docs/pictures/" + p.name + ".png")
	}
	return nil
}

func capture(browser, page, to string, width, height int) error {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--force-device-scale-factor=1.5", fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+to, "file://"+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if _, err := os.Stat(to); err != nil {
		return errors.New("the browser wrote no file")
	}
	return nil
}

func compose(root, name string) (message.Message, error) {
	body, err := os.ReadFile(filepath.Join(root, "internal", "event", "testdata", name+".json"))
	if err != nil {
		return message.Message{}, err
	}
	e, err := event.Decode(body)
	return message.Compose(e, e.Detail.ObservedAt), err
}

// posted returns a rendering as a message in the channel.
func posted(r slack.Rendered, m fakeslack.Message) (fakeslack.Message, error) {
	m.Channel, m.Text = "C", r.Text
	blocks, err := json.Marshal(r.Blocks)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(blocks, &m.Blocks)
}

var morning = time.Date(2026, 11, 23, 2, 14, 0, 0, time.UTC)

func card(name, mention string) func(string) (string, error) {
	return func(root string) (string, error) {
		m, err := compose(root, name)
		if err != nil {
			return "", err
		}
		p, err := posted(slack.RenderCard(m, mention), fakeslack.Message{At: morning, TS: "1"})
		return inbox.Page(name, "") + inbox.Slack([]fakeslack.Message{p}), err
	}
}

func notice(name string) func(string) (string, error) {
	return func(string) (string, error) {
		p, err := posted(slack.RenderCard(messagetest.Notices()[name], ""), fakeslack.Message{At: morning, TS: "1"})
		return inbox.Page(name, "") + inbox.Slack([]fakeslack.Message{p}), err
	}
}

// thread is the card of a finished job with the replies in its thread.
func thread(root string) (string, error) {
	failed, err := compose(root, "failure-iam")
	if err != nil {
		return "", err
	}
	running, err := compose(root, "running")
	if err != nil {
		return "", err
	}
	root1, err1 := posted(slack.RenderCard(failed, ""), fakeslack.Message{At: morning.Add(-15 * time.Minute), TS: "1", Edits: 2})
	root1.Blocks = root1.Blocks[:2] // the picture of the card shows the rest
	first, err2 := posted(slack.RenderReply(running, ""), fakeslack.Message{At: morning.Add(-14 * time.Minute), TS: "2", ThreadTS: "1"})
	last, err3 := posted(slack.RenderReply(failed, "<!subteam^S0DATATEAM>"), fakeslack.Message{At: morning, TS: "3", ThreadTS: "1", Broadcast: true})
	page := inbox.Slack([]fakeslack.Message{root1, first, last})
	return inbox.Page("thread", "") + page, errors.Join(err1, err2, err3)
}

func mail(name string) func(string) (string, error) {
	return func(root string) (string, error) {
		m, err := compose(root, name)
		if err != nil {
			return "", err
		}
		_, body, _ := email.Render(m)
		return `<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe style="border:0;width:100%;height:100vh" srcdoc="` + html.EscapeString(body) + `"></iframe>`, nil
	}
}
