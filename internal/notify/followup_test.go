package notify_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// assessed is an event of a terminal status with an assessment.
func assessed(job string, status jobs.Status, minute int, a jobs.Assessment) string {
	at := noon.Add(time.Duration(minute) * time.Minute)
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: job}, Status: status, StartTime: noon, EndTime: at}
	entry, err := event.Encode(fake.ARN("crm"), jobs.Transition{Job: j, Assessment: a}, at)
	if err != nil {
		panic(err)
	}
	return wrap(entry)
}

// repeatedFailure is the n-th failure of a streak that began with job 1.
func repeatedFailure(n int) string {
	return assessed(fmt.Sprint(n), jobs.Failed, n, jobs.Assessment{Streak: &jobs.Streak{Failures: n, SameCategory: true, Since: noon, FirstJobID: "1", Repeated: n > 1}})
}

func recovery(first, last string) string {
	return assessed("9", jobs.Succeeded, 9, jobs.Assessment{Recovery: &jobs.Recovery{Failures: 3, Since: noon, FirstJobID: first, LastJobID: last}})
}

// cardKeeper is a world with one destination that edits its cards.
func cardKeeper() (*world, *fake.Destination) {
	w := newWorld(0, "a")
	w.destinations[0].KeepsCards = true
	return w, w.destinations[0]
}

// edits are the follow-ups as "card: first line of the trend; reply".
func edits(d *fake.Destination) []string {
	var all []string
	for _, f := range d.FollowUps() {
		all = append(all, fmt.Sprintf("%s: %s; %s", f.Card.TS, f.Message.Trend[0].Plain(nil), f.Reply))
	}
	return all
}

func TestRepeatedFailuresCountOnTheCardOfTheFirst(t *testing.T) {
	w, d := cardKeeper()
	for n := 1; n <= 3; n++ {
		w.queue.Put(repeatedFailure(n))
		w.queue.Put(repeatedFailure(n)) // delivered twice
		w.deliver(t)
	}
	expect(t, received(d), "1 FAILED", "2 FAILED", "3 FAILED")
	expect(t, edits(d),
		"1: 2 failures in a row so far, the latest Mon 23 Nov 12:02 UTC; 2 failures in a row so far, the latest Mon 23 Nov 12:02 UTC",
		"1: 3 failures in a row so far, the latest Mon 23 Nov 12:03 UTC; 3 failures in a row so far, the latest Mon 23 Nov 12:03 UTC")
	w.queue.Put(repeatedFailure(2)) // late
	w.deliver(t)
	if n := len(d.FollowUps()); n != 2 {
		t.Errorf("%d follow-ups after a late event", n)
	}
}

func TestRecoveryMarksTheFirstAndTheLastFailureAsFixed(t *testing.T) {
	w, d := cardKeeper()
	for n := 1; n <= 3; n++ {
		w.queue.Put(repeatedFailure(n))
		w.deliver(t)
	}
	w.queue.Put(recovery("1", "3"))
	w.queue.Put(recovery("1", "3"))
	w.deliver(t)
	w.queue.Put(repeatedFailure(3)) // its follow-up is older than the recovery's
	w.deliver(t)
	expect(t, edits(d)[2:], "1: Fixed by a later run: Mon 23 Nov 12:09 UTC; ", "3: Fixed by a later run: Mon 23 Nov 12:09 UTC; ")
}

func TestRecoveryFromOneFailureIsOneFollowUp(t *testing.T) {
	w, d := cardKeeper()
	w.queue.Put(repeatedFailure(1))
	w.queue.Put(recovery("1", "1"))
	w.deliver(t)
	if n := len(d.FollowUps()); n != 1 {
		t.Errorf("%d follow-ups", n)
	}
}

func TestFollowUpOfAnUnknownCardIsLeftOut(t *testing.T) {
	w, d := cardKeeper()
	w.queue.Put(repeatedFailure(2)) // the first was never delivered
	w.queue.Put(recovery("7", "8"))
	w.deliver(t)
	if received(d); len(d.Sent()) != 2 || len(d.FollowUps()) != 0 || w.queue.Len() != 0 {
		t.Errorf("%d messages, %d follow-ups, %d left", len(d.Sent()), len(d.FollowUps()), w.queue.Len())
	}
}

func TestDestinationWithoutCardsGetsNoFollowUp(t *testing.T) {
	w := newWorld(0, "a")
	w.queue.Put(repeatedFailure(1))
	w.queue.Put(repeatedFailure(2))
	w.deliver(t)
	if d := w.destinations[0]; len(d.Sent()) != 2 || len(d.FollowUps()) != 0 {
		t.Errorf("%d messages, %d follow-ups", len(d.Sent()), len(d.FollowUps()))
	}
}

// A follow-up that fails delays no message, is tried again, and is given up before
// its message becomes a dead letter.
func TestFollowUpThatFailsIsRetriedTenTimes(t *testing.T) {
	for _, failures := range []int{3, 1000} {
		synctest.Test(t, func(t *testing.T) {
			w, d := cardKeeper()
			w.queue.Put(repeatedFailure(1))
			w.deliver(t)
			attempts := 0
			d.Fault = func(op string, _ notify.Delivery) error {
				if op != "FollowUp" {
					return nil
				}
				if attempts++; attempts > failures {
					return nil
				}
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			w.queue.Put(repeatedFailure(2))
			w.drain(t)
			want, followed := 4, 1
			if failures > 10 {
				want, followed = 10, 0
			}
			if attempts != want || len(d.FollowUps()) != followed || len(d.Sent()) != 2 || w.queue.Len() != 0 || len(w.queue.Dead()) != 0 {
				t.Errorf("%d failures: %d attempts, %d follow-ups, %d messages, %d left, %d dead letters",
					failures, attempts, len(d.FollowUps()), len(d.Sent()), w.queue.Len(), len(w.queue.Dead()))
			}
		})
	}
}

func TestFollowUpWhoseCallsFailIsRepeatedAtMostOnce(t *testing.T) {
	for _, op := range []string{"ClaimCard", "ClaimCard/done", "RecordFollowUp", "RecordFollowUp/done"} {
		synctest.Test(t, func(t *testing.T) {
			w, d := cardKeeper()
			w.queue.Put(repeatedFailure(1))
			w.deliver(t)
			failed := false
			w.deliveries.Fault = func(o string) error {
				if o == op && !failed {
					failed = true
					return errors.New("lost")
				}
				return nil
			}
			w.queue.Put(repeatedFailure(2))
			w.drain(t)
			if n := len(d.FollowUps()); !failed || n < 1 || n > 2 || len(d.Sent()) != 2 || w.queue.Len() != 0 {
				t.Errorf("%s: %d follow-ups, %d messages, %d left", op, n, len(d.Sent()), w.queue.Len())
			}
		})
	}
}

func TestFollowUpWaitsForTheMessageOfItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := cardKeeper()
		down := true
		d.Fault = func(op string, _ notify.Delivery) error {
			if down {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			return nil
		}
		w.queue.Put(repeatedFailure(1))
		w.deliver(t)
		down = false
		w.queue.Put(recovery("1", "1"))
		w.deliver(t)
		expect(t, received(d), "9 SUCCEEDED")
		w.drain(t)
		expect(t, received(d), "9 SUCCEEDED", "1 FAILED")
		expect(t, edits(d), "2: Fixed by a later run: Mon 23 Nov 12:09 UTC; ")
	})
}

func TestSuccessToCheckFixesNothing(t *testing.T) {
	w, d := cardKeeper()
	w.queue.Put(repeatedFailure(1))
	w.queue.Put(assessed("9", jobs.Succeeded, 9, jobs.Assessment{Recovery: &jobs.Recovery{Failures: 1, Since: noon, FirstJobID: "1", LastJobID: "1"},
		Findings: []jobs.Finding{{Code: jobs.ZeroMapped, Measure: jobs.MeasureMappedRate}}}))
	w.deliver(t)
	if len(d.Sent()) != 2 || len(d.FollowUps()) != 0 {
		t.Errorf("%d messages, %v", len(d.Sent()), edits(d))
	}
}

// overdueEvent is an event that a running job is overdue.
func overdueEvent(job string, minute int) string {
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: job}, Status: jobs.Running, StartTime: noon}
	at := noon.Add(time.Duration(minute) * time.Minute)
	entry, err := event.EncodeOverdue(fake.ARN("crm"), j, jobs.Assessment{}, at, nil, at)
	if err != nil {
		panic(err)
	}
	return wrap(entry)
}

func TestOverdueJobUpdatesItsCardOnceAndNeverAfterItsEnd(t *testing.T) {
	w := newWorld(0, "a", "b")
	w.queue.Put(body("1", jobs.Running, 0))
	w.queue.Put(overdueEvent("1", 5))
	w.queue.Put(overdueEvent("1", 5))
	w.deliver(t)
	w.queue.Put(body("1", jobs.Succeeded, 6))
	w.deliver(t)
	w.queue.Put(overdueEvent("1", 5)) // delivered once more
	w.queue.Put(body("2", jobs.Succeeded, 7))
	w.deliver(t)
	w.queue.Put(overdueEvent("2", 5)) // late
	w.deliver(t)
	for _, d := range w.destinations {
		var words []string
		for _, sent := range d.Sent() {
			words = append(words, sent.Delivery.Message.JobID+" "+sent.Delivery.Message.Word)
		}
		expect(t, words, "1 RUNNING", "1 OVERDUE", "1 SUCCEEDED", "2 SUCCEEDED")
	}
}

func TestSignalsAreSentWhateverTheStatuses(t *testing.T) {
	missing, resumed := runEvents(1)
	finding := jobs.Assessment{Findings: []jobs.Finding{{Code: jobs.ZeroMapped, Measure: jobs.MeasureMappedRate}}}
	for _, c := range []struct {
		name, body string
		noSignals  bool
		want       int
	}{
		{"a success", assessed("1", jobs.Succeeded, 1, jobs.Assessment{}), false, 0},
		{"a success with a finding", assessed("1", jobs.Succeeded, 1, finding), false, 1},
		{"a recovery", recovery("1", "1"), false, 1},
		{"an overdue job", overdueEvent("1", 1), false, 1},
		{"a missing run", missing, false, 1},
		{"a missing run, without signals", missing, true, 0},
		{"a resumed run", resumed, false, 1},
		{"an overdue job, without signals", overdueEvent("1", 1), true, 0},
		{"a success with a finding, without signals", assessed("1", jobs.Succeeded, 1, finding), true, 0},
		{"a failure, without signals", repeatedFailure(1), true, 1},
	} {
		w := newWorld(0, "a")
		w.Channels[0].Filter = notify.ParseFilter("FAILED")
		w.Channels[0].Filter.NoSignals = c.noSignals
		w.queue.Put(c.body)
		w.deliver(t)
		if n := len(w.destinations[0].Sent()); n != c.want {
			t.Errorf("%s: %d messages", c.name, n)
		}
	}
}

// runEvents are the events that a run is missing, and that one has started after it.
func runEvents(minute int) (missing, resumed string) {
	m := jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon.Add(-2 * time.Hour), By: noon}}
	at := noon.Add(time.Duration(minute) * time.Minute)
	first, err := event.EncodeMissing(fake.ARN("crm"), "crm", m, at)
	second, err2 := event.EncodeResumed(fake.ARN("crm"), jobs.Key{Workflow: "crm", Job: "9"}, at, m, at.Add(time.Hour))
	if err != nil || err2 != nil {
		panic(err)
	}
	return wrap(first), wrap(second)
}

func TestMissingRunAndItsStartShareACardAndComeInOrder(t *testing.T) {
	missing, resumed := runEvents(1)
	for _, c := range []struct {
		name   string
		bodies []string
		want   []string
	}{
		{"in order", []string{missing, missing, resumed, resumed}, []string{"NO RUN YET", "STARTED LATE"}},
		{"the start alone, as the other came too late", []string{resumed, missing}, []string{"STARTED LATE"}},
	} {
		w, d := cardKeeper()
		for _, b := range c.bodies {
			w.queue.Put(b)
			w.deliver(t)
		}
		var words []string
		for i, sent := range d.Sent() {
			words = append(words, sent.Delivery.Message.Word)
			if onCard := sent.Delivery.Card != (notify.MessageRef{}); onCard != (i > 0) {
				t.Errorf("%s: message %d edits a card: %v", c.name, i, onCard)
			}
		}
		expect(t, words, c.want...)
	}
}
