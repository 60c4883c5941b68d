package email

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Recipient sends to one address.
type Recipient struct {
	client   *sesv2.Client
	from, to string
	Options
}

// Options describe the sender to the reader.
type Options struct {
	Stack string // the name of the CloudFormation stack that sends
	// Tagged is set when the recipient is not in EmailTo but named by a workflow's tag.
	Tagged bool
}

// New makes a Recipient; both addresses are as ParseAddresses returns them.
func New(cfg aws.Config, from, to string, o Options) *Recipient {
	return &Recipient{sesv2.NewFromConfig(cfg, onlyThrottlesRetried), from, to, o}
}

// Reason says why the reader gets the email, and how to stop it. It names the
// address, because a reader may get the email through a mailing list.
func Reason(to, stack string) string {
	if stack == "" {
		return fmt.Sprintf("You get this email because %s is in EmailTo of the notifier's stack. To stop it, ask the stack's owner to remove the address.", to)
	}
	return fmt.Sprintf("You get this email because %s is in EmailTo of the stack %s. To stop it, ask the stack's owner to remove the address.", to, stack)
}

// onlyThrottlesRetried lets the client repeat at once only what was certainly not
// sent. SendEmail takes no token by which SES would recognize a repetition, so
// after a timeout or a fault each of the SDK's usual retries could be another
// email. The queue repeats those, later.
func onlyThrottlesRetried(o *sesv2.Options) {
	o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = attempts
		r.MaxBackoff = maxBackoff
		r.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
	})
}

const (
	attempts   = 3
	maxBackoff = time.Second
)

// ParseAddresses checks the sender and the comma-separated recipients. Both may
// be empty. Its error names the setting.
func ParseAddresses(from, to string) (string, []string, error) {
	if from == "" && strings.TrimSpace(to) == "" {
		return "", nil, nil
	}
	if from == "" {
		return "", nil, errors.New("EmailTo is set without EmailFrom: give an address that SES may send from")
	}
	if strings.TrimSpace(to) == "" {
		return "", nil, errors.New("EmailFrom is set without EmailTo: give the recipients, separated by commas")
	}
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return "", nil, fmt.Errorf("EmailFrom: %.100q is not an email address", from)
	}
	list, err := mail.ParseAddressList(to)
	if err != nil {
		return "", nil, fmt.Errorf("EmailTo: %.200q is not a comma-separated list of email addresses", to)
	}
	var recipients []string
	for _, a := range list {
		if !slices.Contains(recipients, a.Address) {
			recipients = append(recipients, a.Address)
		}
	}
	// Bare, because a policy compares ses:FromAddress with it.
	return sender.Address, recipients, nil
}

// ID names the destination.
func (r *Recipient) ID() string { return "email:" + r.to }

// reason says why this reader gets a message about a workflow.
func (r *Recipient) reason(m message.Message) string {
	if r.Tagged && m.WorkflowName == "" { // a summary
		return fmt.Sprintf("You get this email because the tags idmapping:email of ID mapping workflows name %s. To stop it, ask the workflows' owners to change the tags.", r.to)
	}
	if r.Tagged {
		return fmt.Sprintf("You get this email because the tag idmapping:email of the ID mapping workflow %s names %s. To stop it, ask the workflow's owner to change the tag.", m.WorkflowName, r.to)
	}
	return Reason(r.to, r.Stack)
}

// Send sends the delivery's message, a dry run to SES's mailbox simulator. It
// returns no reference: an email cannot be edited. Its error is a
// *notify.Failure.
func (r *Recipient) Send(ctx context.Context, d notify.Delivery) (notify.MessageRef, error) {
	to := r.to
	if d.DryRun {
		to = simulator
	}
	subject, html, text := Render(d.Message, r.reason(d.Message))
	job := rootOf(d.Message, d.Message.Thread)
	references := job
	if d.Message.Streak {
		references = rootOf(d.Message, "") + " " + job
	}
	header := func(name, value string) types.MessageHeader { return types.MessageHeader{Name: &name, Value: &value} }
	utf8 := aws.String("UTF-8")
	_, err := r.client.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: &r.from,
		Destination:      &types.Destination{ToAddresses: []string{to}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: &subject, Charset: utf8},
			Body: &types.Body{
				Html: &types.Content{Data: &html, Charset: utf8},
				Text: &types.Content{Data: &text, Charset: utf8},
			},
			Headers: []types.MessageHeader{
				header("In-Reply-To", job),
				header("References", references),
				header("List-Id", r.listID(d.Message)),
				// Both ask for no out-of-office reply (RFC 3834; Exchange).
				header("Auto-Submitted", "auto-generated"),
				header("X-Auto-Response-Suppress", "All"),
			},
		}},
	})
	if err != nil {
		return notify.MessageRef{}, failureOf(err)
	}
	return notify.MessageRef{}, nil
}

// simulator accepts every email and shows it to nobody. SES's sandbox allows
// sending to it too ("Using the mailbox simulator").
const simulator = "success@simulator.amazonses.com"

// rootOf is the ID of a message that was never sent. All emails of one job reply to
// the job's, and those about failures in a row also refer to the workflow's (without
// a job ID), so that mail programs thread them: SES overwrites Message-ID ("Amazon
// SES header fields").
func rootOf(m message.Message, thread string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{m.Account, m.Region, m.WorkflowName, thread}, "\n")))
	return "<" + hex.EncodeToString(sum[:16]) + "@idmapping.notifier>"
}

// listID is what mail programs filter by: the stack, its region and account, as
// RFC 2919 spells a list that has no domain of its own.
func (r *Recipient) listID(m message.Message) string {
	var id []string
	for _, part := range []string{"idmapping", r.Stack, m.Region, m.Account} {
		part = strings.Map(labelOnly, part)
		if part = part[:min(len(part), maxLabel)]; part != "" {
			id = append(id, part)
		}
	}
	return "ID mapping notifier <" + strings.Join(append(id, "localhost"), ".") + ">"
}

// maxLabel keeps a List-Id below the 255 characters of RFC 2919, section 3.
const maxLabel = 60

// labelOnly keeps what a label of a List-Id may hold.
func labelOnly(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
		return r
	}
	return -1
}

// How long to wait when SES limits the rate: its responses have no Retry-After
// ("Errors related to the sending quotas for your Amazon SES account").
const (
	waitForRate  = 5 * time.Second
	waitForQuota = 15 * time.Minute
)

// failureOf sorts the errors of SendEmail (SES API v2, SendEmail, Errors).
func failureOf(err error) *notify.Failure {
	f := &notify.Failure{Reason: notify.Unavailable, Err: fmt.Errorf("sending an email: %w", err), Summary: "SES: no answer"}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return f
	}
	f.Summary = "SES: " + api.ErrorCode() // the message can quote addresses and ARNs
	text := strings.ToLower(api.ErrorMessage())
	switch api.ErrorCode() {
	case "TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException":
		f.Reason, f.After = notify.RateLimited, waitForRate
		if strings.Contains(text, "daily") {
			f.After = waitForQuota
		}
	case "MessageRejected":
		// Either an address is not verified, which someone can correct, or SES
		// refuses the content, which nobody can.
		f.Reason = notify.Refused
		if strings.Contains(text, "not verified") || strings.Contains(text, "not authorized") {
			f.Reason = notify.Misconfigured
		}
	case "AccountSuspendedException", "MailFromDomainNotVerifiedException", "SendingPausedException", "NotFoundException",
		"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch":
		f.Reason = notify.Misconfigured
	case "BadRequestException", "ValidationException":
		f.Reason = notify.Refused
	}
	return f
}
