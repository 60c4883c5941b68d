package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// The assumptions of the table. What can be counted is counted by
// TestCountsAreWhatTheFunctionsUse, from the real template and binaries.
const (
	hoursPerMonth = 730

	// workflows all have no open job in an idle month.
	workflows = 10
	// changesPerJob are the status changes of a job: QUEUED, RUNNING, SUCCEEDED.
	changesPerJob = 3
	// jobMinutes is how long a job is open. Meanwhile each tick reads it. An
	// account runs one ID mapping job at a time, so 240 per day take less than six
	// minutes each.
	jobMinutes = 5
	// fastSeconds is for how long a tick follows a job whose end is likely: these jobs
	// all the time.
	fastSeconds = 40
	// callSeconds is how long the calls of a tick take beside the waits of the
	// request rate: one query, and the last request to Entity Resolution.
	callSeconds = 0.1
	// canarySeconds and messageSeconds are billed durations of the invocations
	// that send a canary and a message, cold start included.
	canarySeconds  = 0.5
	messageSeconds = 1.5
	// pollsPerMinute of one poller: a long poll takes at most 20 s (SQS Developer
	// Guide, Short and long polling).
	pollsPerMinute = 3
	// sqsRequests per message: sent, received, deleted.
	sqsRequests = 3
	// tableKeyMinutes is how long DynamoDB keeps a table's key in memory before it
	// asks KMS again (DynamoDB Developer Guide, Encryption at rest, Table key
	// caching: after five minutes of inactivity; assumed for each five minutes).
	tableKeyMinutes = 5
	// platformLog is what Lambda itself logs of an invocation in JSON, in bytes:
	// platform.start, platform.runtimeDone and platform.report.
	platformLog = 800
	// lineOverhead is what CloudWatch Logs adds to each line, in bytes
	// (PutLogEvents, maximum batch size).
	lineOverhead = 26
)

// usage is what one part of the product uses in one tick, for one canary or for
// one job.
type usage struct {
	requests   float64 // to Entity Resolution, which are free
	events     float64 // published; each channel's queue receives each of them
	readUnits  float64
	writeUnits float64
	secrets    float64 // read from SSM, which calls KMS
	emails     float64
	logBytes   float64 // without Lambda's own lines
	kept       float64 // bytes in DynamoDB, for RetentionDays
}

// counts are the uses of the poller and of each channel. Sizes are rounded up.
type counts struct{ tick, canary, job map[string]usage }

const pollerPart = "Poller"

var counted = counts{
	tick: map[string]usage{
		pollerPart: {requests: 1 + workflows, readUnits: 1, logBytes: 250},
	},
	canary: map[string]usage{
		pollerPart:   {events: 1, logBytes: 190},
		slackChannel: {writeUnits: 2, secrets: 1, logBytes: 480},
		emailChannel: {writeUnits: 2, emails: 1, logBytes: 340},
	},
	// In a workflow whose history is full: 50 successes, 800 start times.
	job: map[string]usage{
		pollerPart:   {events: changesPerJob, readUnits: 12, writeUnits: 33, logBytes: 1220, kept: 730},
		slackChannel: {writeUnits: 9, secrets: changesPerJob, logBytes: 2560, kept: 730},
		emailChannel: {writeUnits: 2, emails: 1, logBytes: 430, kept: 440},
	},
}

// A price is AWS's list price of one kind of usage.
type price struct {
	Name, Unit    string
	Dollars, Per  float64 // dollars for so many units
	Free          float64 // units of the free tier, per account and month
	Page          string  // where to check it
	Date, Checked string  // when, and how it was confirmed
}

// per is what so many units cost.
func (p price) per(units float64) float64 { return units / p.Per * p.Dollars }

//go:embed prices.json
var priceFile []byte

func readPrices() (prices map[string]price, err error) {
	if err := json.Unmarshal(priceFile, &prices); err != nil {
		return nil, fmt.Errorf("reading prices.json: %w", err)
	}
	return prices, nil
}

// item is one line of a month's bill.
type item struct {
	price
	quantity float64
}

func (i item) list() float64 { return i.per(i.quantity) }

// beyondFree is what is left to pay when the account uses the free tier for
// nothing else.
func (i item) beyondFree() float64 { return i.per(max(0, i.quantity-i.Free)) }

// bill is a month. What runs is everything but CloudWatch's alarms, metrics and
// dashboard and the key of the alarm topic.
type bill struct{ runs, watches, dashboard []item }

// month computes the bill of a stack with so many jobs per day.
func month(s stack, prices map[string]price, jobsPerDay float64) bill {
	jobs := jobsPerDay * hoursPerMonth / 24
	total := usage{} // of a month
	add := func(each map[string]usage, times float64) {
		for _, part := range append([]string{pollerPart}, s.channels...) {
			u := each[part]
			total.events += u.events * times
			total.readUnits += u.readUnits * times
			total.writeUnits += u.writeUnits * times
			total.secrets += u.secrets * times
			total.emails += u.emails * times
			total.logBytes += u.logBytes * times
		}
	}
	add(counted.tick, s.ticks)
	add(counted.canary, s.canaries)
	add(counted.job, jobs)
	stored := 0.0 // bytes
	for _, part := range append([]string{pollerPart}, s.channels...) {
		stored += counted.job[part].kept * jobsPerDay * s.retentionDays
	}

	messages := total.events * float64(len(s.channels))
	invocations := s.ticks + s.canaries + messages
	wait := (counted.tick[pollerPart].requests - 1) / s.requestsPerSecond // the first request does not wait
	pollerSeconds := s.ticks*(wait+callSeconds) + jobs*jobMinutes*fastSeconds + s.canaries*canarySeconds
	logs := (total.logBytes + invocations*platformLog) / 1e9
	keyRequests := total.secrets
	if s.encryptedTables > 0 {
		keyRequests += min(s.ticks, hoursPerMonth*60/tableKeyMinutes) + messages
	}
	hours := min(24, 2*jobsPerDay) // of a day with a status change, at most

	line := func(name string, quantity float64) item { return item{prices[name], quantity} }
	return bill{
		runs: []item{
			line("lambdaDuration", pollerSeconds*s.pollerGB+messages*messageSeconds*s.notifierGB),
			line("lambdaRequests", invocations),
			line("scheduler", s.ticks+s.canaries),
			line("events", total.events),
			line("sqs", float64(s.idlePollers)*pollsPerMinute*60*hoursPerMonth+sqsRequests*messages),
			line("readUnits", total.readUnits),
			line("writeUnits", total.writeUnits),
			line("storage", stored/1e9),
			line("recovery", stored/1e9),
			line("kms", keyRequests),
			line("emails", total.emails),
			line("logs", logs),
			line("logStorage", logs), // kept for a month, the default
		},
		watches: []item{
			line("alarms", float64(s.alarmMetrics)),
			line("metrics", idleMetrics+jobMetrics*hours/24),
			line("key", float64(s.keys)),
		},
		dashboard: []item{line("dashboard", float64(s.dashboards))},
	}
}

// Custom metrics are billed for the hours in which they have a value.
const (
	idleMetrics = 1 // SweepsCompleted
	jobMetrics  = 2 // TransitionsPublished, Delivered
)

// sum adds up what f returns of each item.
func sum(f func(item) float64, lists ...[]item) float64 {
	total := 0.0
	for _, items := range lists {
		for _, i := range items {
			total += f(i)
		}
	}
	return total
}
