package jobs

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// failing is a run that started n minutes after noon and failed at once.
func failing(minutes int, message string) Job {
	at := noon.Add(time.Duration(minutes) * time.Minute)
	j := run(0, Failed)
	j.Job, j.StartTime, j.EndTime, j.Error = at.Format(time.RFC3339), at, at, message
	return j
}

func historyOf(all ...Job) History {
	var h History
	for _, j := range all {
		h = h.Add(j)
	}
	return h
}

const (
	deniedRead  = `User: arn:aws:sts::1:assumed-role/er/x is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::in/a"`
	deniedOther = `User: arn:aws:sts::1:assumed-role/er/x is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::in/b"`
	deniedWrite = `User: arn:aws:sts::1:assumed-role/er/x is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::in/a"`
)

func TestFailureIsRepeatedWhileItsCauseStaysAndTheLoudOneIsRecent(t *testing.T) {
	const hour = 60
	type failure struct {
		minutes int
		message string
	}
	for _, c := range []struct {
		name string
		all  []failure
		want string // one letter for each failure: Loud or repeated
	}{
		{"the first", []failure{{0, deniedRead}}, "L"},
		{"the same cause", []failure{{0, deniedRead}, {60, deniedRead}, {120, deniedRead}}, "Lrr"},
		{"one minute below 20 hours", []failure{{0, deniedRead}, {20*hour - 1, deniedRead}}, "Lr"},
		{"exactly 20 hours", []failure{{0, deniedRead}, {20 * hour, deniedRead}}, "LL"},
		{"20 hours count from the last loud one", []failure{{0, deniedRead}, {10 * hour, deniedRead}, {20 * hour, deniedRead}, {39 * hour, deniedRead}, {40 * hour, deniedRead}}, "LrLrL"},
		{"every day", []failure{{0, deniedRead}, {24 * hour, deniedRead}, {48 * hour, deniedRead}}, "LLL"},
		{"another action", []failure{{0, deniedRead}, {1, deniedWrite}, {2, deniedWrite}}, "LLr"},
		{"another resource", []failure{{0, deniedRead}, {1, deniedOther}}, "LL"},
		{"another category", []failure{{0, "no such bucket"}, {1, "no such table"}}, "LL"},
		{"the cause changes back and forth", []failure{{0, deniedRead}, {1, deniedWrite}, {2, deniedRead}, {3, deniedWrite}, {4, deniedWrite}}, "LLLLr"},
		{"other messages that differ in an ID", []failure{{0, "Boom in run 7f3a, request 2f0c-3a9e, at 02:00"}, {1, "Boom in run 12, request 77aa-0000, at 04:13"}}, "Lr"},
		{"other messages that differ in a word", []failure{{0, "Boom in run 1"}, {1, "Bang in run 1"}}, "LL"},
		{"messages of a known category that name nothing", []failure{{0, "the s3 bucket x"}, {1, "the s3 bucket x"}, {2, "that s3 bucket y"}}, "LrL"},
		{"no message at all", []failure{{0, ""}, {1, ""}}, "Lr"},
	} {
		var h History
		got := ""
		for _, f := range c.all {
			j := failing(f.minutes, f.message)
			h = h.Add(j)
			letter := "L"
			if h.Streak(j.Ref()).Repeated {
				letter = "r"
			}
			got += letter
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLoudFailureCountsFromItsStartWhereItsEndIsUnknown(t *testing.T) {
	first, second := failing(0, deniedRead), failing(19*60, deniedRead)
	first.EndTime = time.Time{}
	h := historyOf(first, second)
	if s := h.Streak(second.Ref()); !s.Repeated || !s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestStreakIsTheFailuresSinceTheLastSuccess(t *testing.T) {
	success := run(0, Succeeded)
	a, b, c := run(1, Failed), run(2, Failed), run(3, Failed)
	c.Error = "kms"
	h := historyOf(run(-1, Failed), success, a, b, c)
	for _, test := range []struct {
		run  Job
		want *Streak
	}{
		{run(-1, Failed), nil},
		{success, nil},
		{run(9, Failed), nil},
		{a, &Streak{Failures: 1, SameCategory: true, Since: a.EndTime, FirstJobID: a.Job}},
		{b, &Streak{Failures: 2, SameCategory: true, Since: a.EndTime, FirstJobID: a.Job, Repeated: true}},
		{c, &Streak{Failures: 3, SameCategory: false, Since: a.EndTime, FirstJobID: a.Job}},
	} {
		if got := h.Streak(test.run.Ref()); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.run.Job, got, test.want)
		}
	}
}

func TestSuccessRecoversFromTheFailuresRightBeforeIt(t *testing.T) {
	success, a, b := run(0, Succeeded), run(1, Failed), run(2, Failed)
	for _, test := range []struct {
		name string
		h    History
		run  Job
		want *Recovery
	}{
		{"nothing is known", History{}, success, nil},
		{"a success came before", historyOf(a, run(2, Succeeded)), run(3, Succeeded), nil},
		{"one failure", historyOf(success, a), run(3, Succeeded), &Recovery{1, a.EndTime, a.Job, a.Job}},
		{"two failures", historyOf(a, b), run(3, Succeeded), &Recovery{2, a.EndTime, a.Job, b.Job}},
		{"a later failure is known already", historyOf(a, run(5, Failed)), run(3, Succeeded), &Recovery{1, a.EndTime, a.Job, a.Job}},
		{"a later success is known already", historyOf(a, run(5, Succeeded), run(6, Failed)), run(3, Succeeded), nil},
	} {
		if got := test.h.Recovery(test.run.Ref()); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestLastSuccessIsOneBeforeTheRun(t *testing.T) {
	h := historyOf(run(1, Succeeded), run(3, Succeeded))
	for n, want := range map[int]string{2: "", 3: "", 4: "run-0003"} {
		got := ""
		if success := h.LastSuccessBefore(run(n, Failed).Ref()); success != nil {
			got = success.Job
		}
		if got != want {
			t.Errorf("before run %d: %q, want %q", n, got, want)
		}
	}
	if got := (History{}).LastSuccessBefore(run(1, Failed).Ref()); got != nil {
		t.Errorf("of an empty history: %+v", got)
	}
}

// fullStreak computes a streak from the complete list of failures, which ends
// with the run in question, as docs/events.md defines it.
func fullStreak(all []FailedRun) *Streak {
	first := all[0]
	s := &Streak{Failures: len(all), SameCategory: true, Since: first.End, FirstJobID: first.Job}
	loud := first.End
	for i, f := range all {
		s.SameCategory = s.SameCategory && f.Category == first.Category
		if i == 0 {
			continue
		}
		s.Repeated = f.Cause == all[i-1].Cause && f.End.Before(loud.Add(20*time.Hour))
		if !s.Repeated {
			loud = f.End
		}
	}
	return s
}

func TestStreakOfAnyLengthEqualsThatOfAllFailures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := []string{deniedRead, deniedOther, deniedWrite, "kms", "Boom in run 1", "Boom in run 2", ""}[:rapid.IntRange(1, 7).Draw(t, "causes")]
		steps := rapid.SampledFrom([][]int{{1}, {60}, {60, 600, 1199, 1200, 1201}, {1, 1440}}).Draw(t, "steps")
		count := rapid.SampledFrom([]int{1, 20, 50, 51, 52, 120, 400}).Draw(t, "count")
		draws := rapid.SliceOfN(rapid.IntRange(0, 1<<20), count, count).Draw(t, "failures")
		var h History
		var all []FailedRun
		minutes := 0
		message := messages[0]
		for _, n := range draws {
			minutes += steps[n%len(steps)]
			if n/8%4 == 0 { // causes stay for a while
				message = messages[n/32%len(messages)]
			}
			j := failing(minutes, message)
			h = h.Add(j)
			all = append(all, FailedRun{FinishedRun{j.Ref(), j.EndTime}, causeOf(message)})
			if got, want := h.Streak(j.Ref()), fullStreak(all); !reflect.DeepEqual(got, want) {
				t.Fatalf("after %d failures: %+v, want %+v", len(all), got, want)
			}
		}
		if want := (Recovery{len(all), all[0].End, all[0].Job, all[len(all)-1].Job}); *h.Recovery(failing(minutes+1, "").Ref()) != want {
			t.Fatalf("recovery %+v, want %+v", h.Recovery(failing(minutes+1, "").Ref()), want)
		}
		stored, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var read History
		if err := json.Unmarshal(stored, &read); err != nil || !reflect.DeepEqual(read, h) {
			t.Fatalf("%v: read back %+v, want %+v", err, read, h)
		}
	})
}

func TestEarlierSuccessLeavesALongRunOfFailuresAsItIs(t *testing.T) {
	h := historyOf(run(-9, Succeeded))
	for n := range 60 {
		h = h.Add(run(n, Failed))
	}
	if got := h.Add(run(-1, Succeeded)); got.LastSuccess.Job != run(-1, Succeeded).Job || got.Omitted != h.Omitted || len(got.Failures) != 50 {
		t.Errorf("%d failures, %+v omitted", len(got.Failures), got.Omitted)
	}
	earlier := h.Add(run(-2, Failed)) // found late, before the first one that was known
	if got := earlier.Streak(run(59, Failed).Ref()); got.Failures != 61 || got.FirstJobID != run(-2, Failed).Job || earlier.Omitted.Last.Job != "run-0010" {
		t.Errorf("%+v, %+v omitted", got, earlier.Omitted)
	}
}

func TestLongCauseIsCutButStaysDistinct(t *testing.T) {
	x := strings.Repeat("x", 400)
	a, b := causeOf("Boom "+x+"a"), causeOf("Boom "+x+"b")
	if len(a.Message) != 300 || a == b || a != causeOf("Boom "+x+"a") {
		t.Errorf("%+v\n%+v", a, b)
	}
	if got := shortened(strings.Repeat("é", 200)); len(got) > 300 || !strings.HasPrefix(got, strings.Repeat("é", 141)) {
		t.Errorf("%q", got)
	}
	if got := shortened(strings.Repeat("x", 300)); got != strings.Repeat("x", 300) {
		t.Errorf("%q", got)
	}
}

func TestMessageWithoutNumbersKeepsItsWords(t *testing.T) {
	for message, want := range map[string]string{
		"Boom":                                         "Boom",
		"Boom at 2026-11-23T02:00:12Z":                 "Boom at #",
		"1,204 of 12 records, run 7f3a":                "# of # records, run #",
		"999 of 7 records,\n run 12":                   "# of # records, run #",
		"Request ID: 7K2JQW4ZC0H3V5XE)":                "Request ID: #)",
		"2f0c3a9e-0000-4000-8000-abcdefabcdef failed.": "# failed.",
		"\xff": "\uFFFD",
	} {
		if got := withoutNumbers(message); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}
