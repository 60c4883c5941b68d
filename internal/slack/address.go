package slack

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Slack's own hosts: the commercial ones and those of GovSlack (Slack: "Sending
// messages using incoming webhooks"; "GovSlack", API methods).
var (
	webhookHosts = []string{"hooks.slack.com", "hooks.slack-gov.com"}
	apiHosts     = []string{"slack.com", "slack-gov.com"}
)

// CheckAPIURL checks Slack's base URL as SLACK_API_URL sets it; empty means
// Slack's default. With allowLoopback it may be http on a loopback address.
func CheckAPIURL(address string, allowLoopback bool) error {
	if address == "" {
		return nil
	}
	if checkAddress(address, allowLoopback, isAPIHost) != nil {
		return fmt.Errorf("SLACK_API_URL is %.100q: give an https URL on slack.com or slack-gov.com, or with ALLOW_LOOPBACK=true an http URL on a loopback address", address)
	}
	return nil
}

func isAPIHost(host, _ string) bool {
	return slices.ContainsFunc(apiHosts, func(own string) bool { return host == own || strings.HasSuffix(host, "."+own) })
}

// webhookPath begins the path of every incoming webhook (Slack: "Sending messages
// using incoming webhooks").
const webhookPath = "/services/"

// isWebhook refuses the other webhooks on Slack's hosts, such as Workflow
// Builder's: they have payloads and answers of their own, and the notifier sends a
// message again until the answer is "ok".
func isWebhook(host, path string) bool {
	return slices.Contains(webhookHosts, host) && strings.HasPrefix(path, webhookPath)
}

// CheckWebhookURL keeps the secret, which the URL is, from going to anyone but
// Slack. Its error does not hold the URL.
func CheckWebhookURL(address string, allowLoopback bool) error {
	if err := checkAddress(address, allowLoopback, isWebhook); err != nil {
		return fmt.Errorf("%w: give an incoming webhook's URL, https://hooks.slack.com/services/… or https://hooks.slack-gov.com/services/…", err)
	}
	return nil
}

var errAddress = errors.New("it is not one of Slack's addresses")

// checkAddress accepts https, on the default port, on the hosts and paths that
// isSlack accepts, and with allowLoopback http on a loopback address.
func checkAddress(address string, allowLoopback bool, isSlack func(host, path string) bool) error {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Opaque != "" {
		return errAddress
	}
	host := strings.ToLower(u.Hostname())
	if u.Scheme == "https" && isSlack(host, u.Path) && (u.Port() == "443" || u.Host == u.Hostname()) {
		return nil
	}
	if allowLoopback && u.Scheme == "http" && isLoopback(host) {
		return nil
	}
	return errAddress
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
