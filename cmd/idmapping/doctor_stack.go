package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/poller"
)

// doctor checks one stack, deployed or planned.
type doctor struct {
	cfg   aws.Config
	stack deployment.Stack

	// What several checks need is read once.
	listed func() (map[string]string, error)            // ARNs of the workflows by name
	tagged func() (map[string]map[string]string, error) // tags of the watched workflows by name
}

func newDoctor(ctx context.Context, cfg aws.Config, stack deployment.Stack) *doctor {
	d := &doctor{cfg: cfg, stack: stack}
	d.listed = sync.OnceValues(func() (map[string]string, error) {
		ctx, cancel := context.WithTimeout(ctx, short)
		defer cancel()
		return stack.Workflows(ctx)
	})
	d.tagged = sync.OnceValues(func() (map[string]map[string]string, error) {
		ctx, cancel := context.WithTimeout(ctx, short)
		defer cancel()
		return d.readTags(ctx)
	})
	return d
}

// caller checks the credentials and the region.
func (d *doctor) caller(ctx context.Context) []check {
	ctx, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	arn, err := d.stack.Caller(ctx)
	if err != nil {
		return []check{failedCall("credentials", err)}
	}
	checks := []check{passed("credentials", "%s", arn), passed("region", "%s", d.cfg.Region)}
	// AWS lists ID mapping workflows only in the partition aws (template.yaml,
	// SupportedPartition).
	if !strings.HasPrefix(arn, "arn:aws:") {
		checks[1] = failed("region", d.cfg.Region+" has no ID mapping workflows", "use a region outside China, GovCloud and the isolated clouds: --region NAME")
	}
	return checks
}

// workflows checks that the workflows can be read with the caller's credentials.
func (d *doctor) workflows(context.Context) []check {
	const name = "workflows"
	all, err := d.listed()
	if err != nil {
		return []check{failedCall(name, err)}
	}
	filter, err := d.stack.Filter()
	switch watched := watchedOf(all, filter); {
	case err != nil:
		return []check{failed(name, err.Error(), "correct WorkflowInclude and WorkflowExclude, and deploy again")}
	case len(all) == 0:
		return []check{warned(name, "there is no ID mapping workflow in this account and region", "use the workflows' region and account: --region NAME, --profile NAME")}
	case len(watched) == 0:
		return []check{warned(name, fmt.Sprintf("none of the %d ID mapping workflows is watched", len(all)), "change WorkflowInclude or WorkflowExclude, and deploy again")}
	default:
		return []check{passed(name, "%d of %d ID mapping workflows match the filter", len(watched), len(all))}
	}
}

// watchedOf returns the names of the workflows that a filter selects.
func watchedOf(workflows map[string]string, filter poller.Filter) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(workflows)), func(name string) bool { return !filter.Has(name) })
}

// functions checks that both functions run, and what the poller can read.
func (d *doctor) functions(ctx context.Context) []check {
	version, err := d.stack.NotifierVersion(ctx)
	notifier := passed("notifier", "version %s", version)
	if err != nil {
		notifier = failedWith("notifier", err, d.log("notifier"))
	}
	if d.stack.Paused { // a sweep would publish events
		return []check{warned("poller", "not invoked, because the stack is paused", ""), notifier}
	}
	report, pollerErr := d.stack.Sweep(ctx, "")
	if pollerErr == nil && err == nil && report.Version != version {
		notifier = failed("notifier", fmt.Sprintf("the notifier is version %s, the poller is version %s", version, report.Version), "deploy both again: make deploy")
	}
	if pollerErr != nil {
		return []check{failedWith("poller", pollerErr, d.log("poller")), notifier}
	}
	return []check{sweepCheck(report), notifier}
}

// log is the command that shows a function's log.
func (d *doctor) log(function string) string {
	return fmt.Sprintf("look at aws logs tail /aws/lambda/%s-%s --since 15m", d.stack.Name, function)
}

func sweepCheck(r poller.Report) check {
	const name = "poller"
	switch {
	case r.Denied > 0 || r.Failed > 0 || len(r.Problems) > 0:
		return failed(name, fmt.Sprintf("version %s watches %d workflows and has problems: %s", r.Version, r.Workflows, strings.Join(r.Problems, "; ")),
			"if access is denied, look for a service control policy or a permissions boundary that denies entityresolution actions to the poller's role")
	case r.Throttled:
		return warned(name, fmt.Sprintf("version %s: Entity Resolution throttled this sweep", r.Version), "find the other callers, or lower RequestsPerSecond")
	case r.Late:
		return warned(name, fmt.Sprintf("version %s: this sweep ran out of time, and the next ticks continue it", r.Version), "")
	default:
		return passed(name, "version %s, swept %d of %d workflows", r.Version, r.Swept, r.Workflows)
	}
}

func (d *doctor) schedules(ctx context.Context) []check {
	const name = "schedules"
	all, err := d.stack.Schedules(ctx)
	if err != nil {
		return []check{failedCall(name, err)}
	}
	var disabled []string
	for _, s := range all {
		if !s.Enabled {
			disabled = append(disabled, s.Name)
		}
	}
	switch {
	case len(all) == 0:
		return []check{failed(name, "the stack has no schedule", "run make deploy")}
	case len(disabled) > 0 && d.stack.Paused:
		return []check{warned(name, "disabled, because the stack is paused", "deploy with Paused=false")}
	case len(disabled) > 0:
		return []check{failed(name, "disabled: "+strings.Join(disabled, ", "),
			fmt.Sprintf("choose Enable at https://console.aws.amazon.com/scheduler/home?region=%s#schedules/default/%s", d.cfg.Region, disabled[0]))}
	}
	return []check{passed(name, "%d enabled", len(all))}
}

func (d *doctor) mappings(ctx context.Context) []check {
	const name = "mappings"
	all, err := d.stack.Mappings(ctx)
	if err != nil {
		return []check{failedCall(name, err)}
	}
	for _, queue := range slices.Sorted(maps.Keys(all)) {
		switch m := all[queue]; {
		case m.State == "":
			return []check{failed(name, queue+" has no event source mapping", "run make deploy")}
		case !m.Enabled():
			return []check{failed(name, fmt.Sprintf("the event source mapping of %s is %s: its messages wait", queue, m.State), "aws lambda update-event-source-mapping --enabled --uuid "+m.UUID)}
		}
	}
	return []check{passed(name, "the notifier reads %s", strings.Join(slices.Sorted(maps.Keys(all)), " and "))}
}

// redrive is what to do about the messages in each dead-letter queue.
var redrive = map[string]string{
	"SlackDeadLetterQueue":  "idmapping redrive slack --dry-run",
	"EmailDeadLetterQueue":  "idmapping redrive email --dry-run",
	"PollerDeadLetterQueue": "nothing to redrive, later ticks did the work: look at the poller's throttles and at the role of its schedules",
}

func (d *doctor) deadLetters(ctx context.Context) []check {
	const name = "dead letters"
	counts, err := d.stack.DeadLetters(ctx)
	if err != nil {
		return []check{failedCall(name, err)}
	}
	var texts, fixes []string
	for _, queue := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[queue]; n > 0 {
			texts, fixes = append(texts, fmt.Sprintf("%d in %s", n, queue)), append(fixes, redrive[queue])
		}
	}
	if len(texts) > 0 {
		return []check{warned(name, strings.Join(texts, ", "), strings.Join(fixes, "; "))}
	}
	return []check{passed(name, "none")}
}

// maxSweepAge is when HeartbeatAlarm fires (template.yaml).
const maxSweepAge = 10 * time.Minute

func (d *doctor) lastSweep(ctx context.Context) []check {
	const name = "last sweep"
	last, err := d.stack.LastSweep(ctx)
	if err != nil {
		return []check{failedCall(name, err)}
	}
	age, logs := time.Since(last), d.log("poller")
	text := fmt.Sprintf("the last complete sweep was at %s, %.0f minutes ago", last.UTC().Format("15:04 UTC"), age.Minutes())
	switch {
	case last.IsZero() && time.Since(d.stack.CreatedAt) > 24*time.Hour && !d.stack.Paused:
		return []check{failed(name, "no complete sweep within a day", logs)}
	case last.IsZero():
		return []check{warned(name, "CloudWatch has no complete sweep yet: a metric appears some minutes after the first one", "run this again in ten minutes, and then "+logs)}
	case age > maxSweepAge && d.stack.Paused:
		return []check{warned(name, text+", because the stack is paused", "deploy with Paused=false")}
	case age > maxSweepAge:
		return []check{failed(name, text, logs)}
	}
	return []check{passed(name, "%s", text)}
}

func (d *doctor) alarms(ctx context.Context) []check {
	const name = "alarms"
	confirmed, pending, err := d.stack.AlarmReceivers(ctx)
	switch {
	case err != nil:
		return []check{failedCall(name, err)}
	case len(confirmed) == 0 && len(pending) > 0:
		return []check{failed(name, "go to nobody yet: the subscription is not confirmed", strings.Join(pending, ", ")+" must open the link in the email \"AWS Notification - Subscription Confirmation\"")}
	case len(confirmed) == 0:
		return []check{failed(name, "go to nobody", "deploy with AlarmEmail, or run aws sns subscribe --topic-arn "+d.stack.AlarmTopic+" --protocol email --notification-endpoint you@example.com")}
	case len(pending) > 0:
		return []check{warned(name, "go to "+strings.Join(confirmed, ", ")+"; not confirmed: "+strings.Join(pending, ", "), "open the link in the email \"AWS Notification - Subscription Confirmation\"")}
	}
	return []check{passed(name, "go to %s", strings.Join(confirmed, ", "))}
}

// otherStacks looks for stacks that would report the same jobs once more.
func (d *doctor) otherStacks(ctx context.Context) []check {
	const name = "other stacks"
	others, err := d.stack.Others(ctx)
	if err != nil {
		return []check{failedCall(name, err)}
	}
	workflows, err := d.listed()
	if err != nil && len(others) > 0 {
		return []check{warned(name, "what they watch cannot be compared, because the workflows cannot be listed", "")}
	}
	own, _ := d.stack.Filter() // the check of the workflows reports its error
	var overlapping []string
	for _, other := range others {
		filter, err := other.Filter()
		both := slices.DeleteFunc(watchedOf(workflows, filter), func(workflow string) bool { return !own.Has(workflow) })
		if err == nil && len(both) > 0 {
			overlapping = append(overlapping, fmt.Sprintf("%s (%s)", other.Name, sample(both)))
		}
	}
	if len(overlapping) > 0 {
		return []check{warned(name, "also watch the same workflows: "+strings.Join(overlapping, ", "),
			"let one stack watch each workflow, with WorkflowInclude and WorkflowExclude, or delete the other stack")}
	}
	return []check{passed(name, "none watches the same workflows")}
}

// sample is a list, cut after the third name.
func sample(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
}

// readTags reads the tags of the watched workflows.
func (d *doctor) readTags(ctx context.Context) (map[string]map[string]string, error) {
	workflows, err := d.listed()
	if err != nil {
		return nil, err
	}
	filter, err := d.stack.Filter()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	all := make(map[string]map[string]string)
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(4) // the poller shares the account's request rate
	for _, name := range watchedOf(workflows, filter) {
		reading.Go(func() error {
			tags, err := d.stack.Tags(ctx, workflows[name])
			mu.Lock()
			defer mu.Unlock()
			all[name] = tags
			return err
		})
	}
	return all, reading.Wait()
}

// tags checks that the tags that route messages can be read.
func (d *doctor) tags(context.Context) []check {
	const name = "tags"
	all, err := d.tagged()
	if _, listErr := d.listed(); listErr != nil {
		return nil // the check of the workflows says it
	}
	if err != nil {
		return []check{failedCall(name, err)}
	}
	n := 0
	var checks []check
	for _, workflow := range slices.Sorted(maps.Keys(all)) {
		if len(all[workflow]) > 0 {
			n++
		}
		for _, problem := range d.stack.TagProblems(all[workflow]) {
			checks = append(checks, warned(name, message.OneLine(workflow+": "+problem), "correct the tag: docs/tags.md, or idmapping route "+workflow))
		}
	}
	return append([]check{passed(name, "%d of %d watched workflows have tags of the notifier", n, len(all))}, checks...)
}

// canary sends the test message that people see.
func (d *doctor) canary(ctx context.Context) []check {
	const name = "canary"
	begin := time.Now()
	id, err := d.stack.SendCanary(ctx)
	if err != nil {
		return []check{failedWith(name, err, d.log("poller"))}
	}
	var received []string
	err = d.stack.AwaitCanary(ctx, id, func(destination string) {
		received = append(received, fmt.Sprintf("%s after %.0f s", destination, time.Since(begin).Seconds()))
	})
	if err != nil {
		return []check{failedWith(name, err, d.log("notifier"))}
	}
	return []check{passed(name, "a test message arrived at %s", strings.Join(received, ", "))}
}
