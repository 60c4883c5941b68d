package deployment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/entityresolution"

	"github.com/idmapping/notifier/internal/email"
	source "github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// FindWorkflow looks up a workflow of the account and region by its name or ARN.
func (s Stack) FindWorkflow(ctx context.Context, nameOrARN string) (name, workflowARN string, err error) {
	all, err := s.Workflows(ctx)
	if err != nil {
		return "", "", err
	}
	for name, workflowARN := range all {
		if name == nameOrARN || workflowARN == nameOrARN {
			return name, workflowARN, nil
		}
	}
	return "", "", fmt.Errorf("there is no ID mapping workflow %s in %s; there are: %s", nameOrARN, s.Region(), strings.Join(slices.Sorted(maps.Keys(all)), ", "))
}

// Job reads a job as it is now.
func (s Stack) Job(ctx context.Context, key jobs.Key) (jobs.Job, error) {
	return source.New(s.cfg, source.DefaultRate).Job(ctx, key)
}

// Mute sets the tags that keep everything about a workflow from being sent until a
// time. reason may be empty.
func (s Stack) Mute(ctx context.Context, workflowARN string, until time.Time, reason string) error {
	in := &entityresolution.TagResourceInput{ResourceArn: &workflowARN, Tags: map[string]string{tags.Prefix + tags.MuteUntil: until.UTC().Format(time.RFC3339)}}
	if reason != "" {
		in.Tags[tags.Prefix+tags.MuteReason] = reason
	}
	if _, err := entityresolution.NewFromConfig(s.cfg).TagResource(ctx, in); err != nil {
		return fmt.Errorf("tagging %s: %w", workflowARN, err)
	}
	return nil
}

// Unmute removes those tags.
func (s Stack) Unmute(ctx context.Context, workflowARN string) error {
	in := &entityresolution.UntagResourceInput{ResourceArn: &workflowARN, TagKeys: []string{tags.Prefix + tags.MuteUntil, tags.Prefix + tags.MuteReason}}
	if _, err := entityresolution.NewFromConfig(s.cfg).UntagResource(ctx, in); err != nil {
		return fmt.Errorf("removing tags of %s: %w", workflowARN, err)
	}
	return nil
}

// TagProblems says which of a workflow's tags, without the prefix, this stack cannot
// use, a sentence each.
func (s Stack) TagProblems(own map[string]string) []string {
	settings := tags.Parse(own, time.Now().UTC())
	var all []string
	for _, i := range settings.Ignored {
		all = append(all, fmt.Sprintf("%s%s: %.100q %s", tags.Prefix, i.Key, i.Value, i.Reason))
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if !tags.Known(key) {
			all = append(all, fmt.Sprintf("%s%.100s: it has no meaning here; only rules of your own can match it", tags.Prefix, key))
		}
	}
	if len(settings.SlackChannels) > 0 && s.Parameters["SlackTokenParameterName"] == "" {
		all = append(all, tags.Prefix+tags.SlackChannel+": a webhook posts only to the channel that it was made for; use a bot token")
	}
	from, to, err := email.ParseAddresses(s.Parameters["EmailFrom"], s.Parameters["EmailTo"])
	if err == nil && from == "" && len(settings.Emails) > 0 {
		all = append(all, tags.Prefix+tags.Email+": the stack sends no email; set EmailFrom and EmailTo")
	} else if _, refused := email.Allowed(settings.Emails, from, to); len(refused) > 0 {
		all = append(all, fmt.Sprintf("%s%s: %s: only addresses in the domain of EmailFrom or of an address in EmailTo are used", tags.Prefix, tags.Email, strings.Join(refused, ", ")))
	}
	return all
}
