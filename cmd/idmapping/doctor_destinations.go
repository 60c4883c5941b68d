package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/secret"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/tags"
)

// routed returns the channels and recipients in the tags of the watched workflows,
// sorted and once each. What cannot be read is left out; the check of the tags says
// so.
func (d *doctor) routed() (channels, recipients []string) {
	all, err := d.tagged()
	if err != nil {
		return nil, nil
	}
	from, to, _ := email.ParseAddresses(d.stack.Parameters["EmailFrom"], d.stack.Parameters["EmailTo"])
	for own := range maps.Values(all) {
		s := tags.Parse(own, time.Now().UTC())
		allowed, _ := email.Allowed(s.Emails, from, to)
		channels, recipients = append(channels, s.SlackChannels...), append(recipients, allowed...)
	}
	slices.Sort(channels)
	slices.Sort(recipients)
	return slices.Compact(channels), slices.Compact(recipients)
}

// slack checks the secret, then what Slack says about it, then each channel.
func (d *doctor) slack(ctx context.Context) []check {
	token, webhook := d.stack.Parameters["SlackTokenParameterName"], d.stack.Parameters["SlackWebhookParameterName"]
	parameter := cmp.Or(token, webhook)
	if parameter == "" {
		return nil
	}
	value, encrypted, err := secret.New(d.cfg, parameter).Inspect(ctx)
	if err != nil {
		return []check{unreadable(parameter, err)}
	}
	checks := []check{passed("secret", "%s is a SecureString and can be decrypted", parameter)}
	if !encrypted {
		// SSM does not change a parameter's type (PutParameter, Errors:
		// HierarchyTypeMismatchException).
		checks[0] = failed("secret", parameter+" is not a SecureString: it is stored unencrypted",
			fmt.Sprintf("aws ssm delete-parameter --name %s, then %s", parameter, putSecret(parameter)))
	}
	loopback := os.Getenv("ALLOW_LOOPBACK") == "true"
	if token == "" {
		return append(checks, webhookCheck(parameter, value, loopback))
	}
	if err := slack.CheckAPIURL(os.Getenv("SLACK_API_URL"), loopback); err != nil {
		return append(checks, failed("slack", err.Error(), "unset SLACK_API_URL"))
	}
	access, err := slack.Authenticate(ctx, value, os.Getenv("SLACK_API_URL"))
	if err != nil {
		return append(checks, refusedToken(parameter, err))
	}
	return slices.Concat(checks, []check{accessCheck(value, access)}, d.channels(ctx, access))
}

// putSecret is the command that stores a secret without showing it to the shell's
// history or the process list.
func putSecret(parameter string) string {
	return fmt.Sprintf(`read -rs SECRET; printf %%s "$SECRET" | aws ssm put-parameter --name %s --type SecureString --value file:///dev/stdin; unset SECRET`, parameter)
}

// unreadable is the check of a parameter that SSM does not return.
func unreadable(parameter string, err error) check {
	if _, ok := errors.AsType[*types.ParameterNotFound](err); ok {
		return failed("secret", "there is no SSM parameter "+parameter+" in this account and region", putSecret(parameter))
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "InvalidKeyId" {
		return failed("secret", err.Error(), "enable its KMS key, or delete the parameter and store it again with another key")
	}
	return failedCall("secret", err)
}

// webhookCheck checks the form of a webhook's URL: more is not possible without
// posting. Nothing that it returns holds the URL, which is the secret.
func webhookCheck(parameter, address string, loopback bool) check {
	if err := slack.CheckWebhookURL(address, loopback); err != nil {
		return failed("slack", parameter+" holds no webhook URL of Slack", "copy the URL from the Slack app, Incoming Webhooks, and store it again under this name, with --overwrite: "+putSecret(parameter))
	}
	return passed("slack", "%s holds a webhook URL; only a message can show whether it works (idmapping canary)", parameter)
}

// refusedToken is the check of a token with which auth.test has failed.
func refusedToken(parameter string, err error) check {
	refused, _ := errors.AsType[*slack.AccessError](err)
	switch refused.Code {
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		return failed("slack", "Slack refuses the token in "+parameter+": "+refused.Code,
			"copy the bot token from the Slack app, OAuth & Permissions, and store it again under this name, with --overwrite: "+putSecret(parameter))
	}
	return failed("slack", refused.Error(), "look at https://status.slack.com and at the network, and run this again")
}

// accessCheck checks the token's scopes (Slack: chat.postMessage, required scopes).
func accessCheck(token string, a slack.Access) check {
	text := fmt.Sprintf("bot %s in workspace %s, scopes %s", a.Bot, a.Team, strings.Join(a.Scopes, " "))
	switch {
	case !a.Has("chat:write"):
		return failed("slack", text+": the scope chat:write is missing", "add the bot scope chat:write in the Slack app, OAuth & Permissions, and reinstall the app to the workspace")
	case strings.HasPrefix(token, "xoxe."): // Slack: "Using token rotation"
		return failed("slack", text+": the token expires after 12 hours, because token rotation is on", "create the Slack app again with token_rotation_enabled: false; rotation cannot be turned off")
	}
	return passed("slack", "%s", text)
}

// channelID is the form of a channel's ID. conversations.info takes no name.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{5,}$`)

// channels checks the stack's channel and those in the workflows' tags.
func (d *doctor) channels(ctx context.Context, a slack.Access) (checks []check) {
	tagged, _ := d.routed()
	own := d.stack.Parameters["SlackChannel"]
	if own == "" {
		checks = append(checks, failed("channel", "no channel is named", "add --slack-channel ID"))
	} else {
		checks = append(checks, channelCheck(ctx, a, own, "correct SlackChannel"))
	}
	for _, id := range tagged {
		if id != own {
			checks = append(checks, channelCheck(ctx, a, id, "correct the workflow's tag idmapping:slack-channel"))
		}
	}
	return checks
}

// channelCheck checks that the bot can post to a channel; correct is what to do if
// the channel is a mistake.
func channelCheck(ctx context.Context, a slack.Access, id, correct string) check {
	const name = "channel"
	if !channelID.MatchString(id) {
		return warned(name, id+" is a name: only the membership of a channel ID can be checked", "use the channel's ID, or send a test message with idmapping canary")
	}
	invite := fmt.Sprintf("type /invite @%s in the channel", a.Bot)
	c, err := a.Channel(ctx, id)
	refused, _ := errors.AsType[*slack.AccessError](err)
	switch {
	case err != nil && refused.Code == "missing_scope":
		return warned(name, id+": membership cannot be checked without the bot scopes channels:read and groups:read",
			"send a test message with idmapping canary, or add the two scopes and reinstall the app")
	case err != nil && refused.Code == "channel_not_found":
		return failed(name, id+" does not exist, or it is private and the bot is not in it", invite+", or "+correct)
	case err != nil:
		return failed(name, id+": "+err.Error(), "run this again, or send a test message with idmapping canary")
	case c.Archived:
		return failed(name, id+" is archived", "unarchive it, or "+correct)
	case c.Member:
		return passed(name, "the bot is in %s", id)
	case !c.Private && a.Has("chat:write.public"):
		return passed(name, "%s is public, and the bot may post without being in it (chat:write.public)", id)
	}
	return failed(name, "the bot is not in "+id, invite+", or "+correct)
}

// email checks what SES lets the stack send.
func (d *doctor) email(ctx context.Context) []check {
	from, recipients, err := email.ParseAddresses(d.stack.Parameters["EmailFrom"], d.stack.Parameters["EmailTo"])
	if err != nil {
		return []check{failed("email", err.Error(), "set EmailFrom and EmailTo, or --email-from and --email-to")}
	}
	if from == "" {
		return nil
	}
	_, tagged := d.routed()
	checks := []check{d.sender(ctx, from)}
	account, err := d.stack.SES(ctx)
	switch {
	case err != nil:
		return append(checks, failedCall("ses", err))
	case !account.Enabled:
		return append(checks, failed("ses", "SES has paused the sending of this account", "look at the reputation metrics and the account's health in the SES console"))
	case account.Sandbox:
		return append(checks, warned("ses", "the account is in the sandbox: only verified recipients, 200 messages in 24 hours", `request production access: docs/operations.md, "Leave the SES sandbox"`),
			d.recipients(ctx, slices.Concat(recipients, tagged)))
	}
	return append(checks, passed("ses", "the account has production access"))
}

func (d *doctor) sender(ctx context.Context, from string) check {
	verified, err := d.stack.Verified(ctx, from)
	switch {
	case err != nil:
		return failedCall("sender", err)
	case !verified:
		return failed("sender", "neither "+from+" nor its domain is verified in SES", verify(from))
	}
	return passed("sender", "%s is verified in SES", from)
}

// recipients checks that each recipient is verified, which the sandbox demands.
func (d *doctor) recipients(ctx context.Context, all []string) check {
	var missing, fixes []string
	for _, to := range all {
		verified, err := d.stack.Verified(ctx, to)
		if err != nil {
			return failedCall("recipients", err)
		}
		if !verified && !slices.Contains(missing, to) {
			missing, fixes = append(missing, to), append(fixes, verify(to))
		}
	}
	if len(missing) > 0 {
		return failed("recipients", "not verified in SES, which the sandbox demands: "+strings.Join(missing, ", "), strings.Join(fixes, "; "))
	}
	return passed("recipients", "all verified in SES")
}

func verify(address string) string {
	return "aws sesv2 create-email-identity --email-identity " + address + ", then open the link in the email from SES"
}
