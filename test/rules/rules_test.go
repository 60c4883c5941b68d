package rules

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	"github.com/idmapping/notifier/internal/jobs"
)

var (
	update = flag.Bool("update", false, "write the vectors anew")
	seeds  = flag.Int("seeds", 20, "how many fresh random histories to compare")
	seed   = flag.Int64("seed", 0, "seed of the first fresh history; 0 draws one")
)

const (
	vectorsFile = "testdata/vectors.jsonl.gz"
	vectors     = 2000 // histories in the file
	kept        = 51   // successes that are kept of a job type
)

func TestRulesAnswerTheVectorsAsTheReferenceDoes(t *testing.T) {
	t.Parallel()
	if *update {
		writeVectors(t)
	}
	f, err := os.Open(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if n := compareAll(t, lines); n != vectors {
		t.Errorf("%d histories, want %d", n, vectors)
	}
}

func TestRulesAnswerFreshHistoriesAsTheReferenceDoes(t *testing.T) {
	t.Parallel()
	base := *seed
	if base == 0 {
		base = rand.Int64N(1<<53-1) + 1
	}
	t.Logf("%d histories from seed %d", *seeds, base)
	if n := compareAll(t, bytes.NewReader(reference(t, *seeds, base))); n != *seeds {
		t.Errorf("%d histories, want %d", n, *seeds)
	}
}

// reference is what vectors.py prints.
func reference(t *testing.T, count int, base int64) []byte {
	t.Helper()
	return script(t, nil, "vectors.py", strconv.Itoa(count), strconv.FormatInt(base, 10))
}

// script is what a Python script of this folder prints. It needs no package, so that
// any Python will do.
func script(t *testing.T, stdin io.Reader, args ...string) []byte {
	t.Helper()
	// Reading them here makes the test's cached result depend on them.
	for _, name := range []string{"rules.py", args[0]} {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	python, err := sam.Python()
	if err != nil {
		if python, err = exec.LookPath("python3"); err != nil {
			python = samtest.RequirePython(t)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"-B"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", args[0], err, stderr.String())
	}
	return out
}

func writeVectors(t *testing.T) {
	t.Helper()
	var file bytes.Buffer
	w, err := gzip.NewWriterLevel(&file, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(reference(t, vectors, 1))
	}
	if err = errors.Join(err, w.Close()); err == nil {
		err = os.WriteFile(vectorsFile, file.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compareAll compares each line, and returns how many there are.
func compareAll(t *testing.T, lines io.Reader) int {
	t.Helper()
	n := 0
	for s := newScanner(lines); s.Scan(); n++ {
		var v vector
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		r := rand.New(rand.NewPCG(uint64(v.Seed), 0))
		compare := compareRuns
		if v.isStarts() {
			compare = compareStarts
		}
		if err := compare(r, v); err != nil {
			t.Errorf("seed %d: %v\ncompare it again: go test ./test/rules -run Fresh -seeds 1 -seed %d", v.Seed, err, v.Seed)
		}
	}
	return n
}

func newScanner(lines io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(lines)
	s.Buffer(nil, 1<<20)
	return s
}

// compareRuns asks about each run and job of the vector twice: when the runs
// before it are known, and when all are, as far as none of them is left out.
func compareRuns(r *rand.Rand, v vector) error {
	all := records(v.Runs)
	for _, j := range v.Judged {
		record := all[j.Run]
		for _, known := range knownRuns(all, record.Job.Type, j.Run) {
			s, err := successes(r, known, record.Job.Type)
			if err == nil {
				err = compareJudgment(s, record, j)
			}
			if err != nil {
				return fmt.Errorf("run %d with %d known: %w", j.Run, len(known), err)
			}
		}
	}
	for i, o := range v.Open {
		ref := jobs.RunRef{Job: o.Job.JobID, Start: at(o.Job.StartTime)}
		before := 0
		for before < len(all) && jobs.SuccessOf(all[before]).Compare(ref) < 0 {
			before++
		}
		for _, known := range knownRuns(all, o.Job.JobType, before) {
			s, err := successes(r, known, o.Job.JobType)
			if err == nil {
				err = compareOpen(s, ref, o)
			}
			if err != nil {
				return fmt.Errorf("open job %d with %d known: %w", i, len(known), err)
			}
		}
	}
	return nil
}

// knownRuns is the runs before one of them, and all runs if none is left out.
func knownRuns(all []jobs.Record, jobType string, before int) [][]jobs.Record {
	n := 0
	for _, record := range all {
		if record.Job.Type == jobType && record.Succeeded() {
			n++
		}
	}
	if n > kept {
		return [][]jobs.Record{all[:before]}
	}
	return [][]jobs.Record{all[:before], all}
}

// successes adds the runs in any order, some twice, and stores the result.
func successes(r *rand.Rand, known []jobs.Record, jobType string) (jobs.Successes, error) {
	var h jobs.Histories
	for _, i := range r.Perm(len(known)) {
		h.Add(known[i])
		h.Add(known[r.IntN(i+1)])
	}
	var stored jobs.Successes
	data, err := json.Marshal(h.Successes[jobType])
	if err == nil {
		err = json.Unmarshal(data, &stored)
	}
	return stored, err
}

// names are the reference's names of the measures.
var names = map[jobs.Measure]string{
	jobs.MeasureDuration: "duration", jobs.MeasureInput: "input", jobs.MeasureMappedRate: "mapped",
	jobs.MeasureNotProcessedRate: "notProcessed", jobs.MeasureRemovedRate: "removed",
}

func compareJudgment(s jobs.Successes, record jobs.Record, want judgment) error {
	run := jobs.SuccessOf(record)
	var usual map[string][4]int64
	for m, x := range s.Usual(run.RunRef) {
		if usual == nil {
			usual = make(map[string][4]int64)
		}
		usual[names[m]] = [4]int64{x.Low, x.Median, x.High, int64(x.Runs)}
	}
	var comparison, findings []tuple
	for _, c := range s.Compare(run) {
		comparison = append(comparison, tupleOf(names[c.Measure], c.Value, c.Range.Low, c.Range.High, c.Range.Runs, c.Word))
	}
	for _, f := range s.Findings(record.Job.Type, run) {
		values := []any{f.Code, names[f.Measure], nil, f.Again}
		if f.HasValue {
			values[2] = f.Value
		}
		if f.Range != nil {
			values = append(values, f.Range.Low, f.Range.High, f.Range.Runs)
		}
		findings = append(findings, tupleOf(values...))
	}
	return errors.Join(
		differ("usual", usual, want.Usual),
		differ("comparison", comparison, want.Comparison),
		differ("findings", findings, want.Findings),
	)
}

func compareOpen(s jobs.Successes, ref jobs.RunRef, o openJob) error {
	clock := ref.Start
	if o.Job.RunningSince != 0 {
		clock = at(o.Job.RunningSince)
	}
	var end []int64
	if e := s.ExpectedEnd(ref, o.Job.Status, clock); e != nil {
		end = []int64{e.At.Unix(), e.Earliest.Unix(), e.Latest.Unix(), int64(e.Runs)}
	}
	return errors.Join(
		differ("expected end", end, o.ExpectedEnd),
		differ("overdue at", s.OverdueAt(ref, clock).Unix(), o.OverdueAt),
	)
}

func compareStarts(r *rand.Rand, v vector) error {
	var start int64
	starts := make([]time.Time, len(v.Starts))
	for i, gap := range v.Starts {
		start += gap
		starts[i] = at(start)
	}
	var h jobs.History
	for _, i := range r.Perm(len(starts)) {
		h = h.AddStart(starts[i])
	}
	rhythm := jobs.RhythmOf(h.Starts)
	var got []int64
	if rhythm != nil {
		got = []int64{rhythm.Last.Unix(), int64(rhythm.Kept), int64(rhythm.Of)}
	}
	all := []error{differ("rhythm", got, v.Rhythm)}
	for _, a := range v.Asked {
		var next, missing []int64
		if e := rhythm.Next(at(a.now)); e != nil {
			next = []int64{e.At.Unix(), e.By.Unix(), int64(e.Kept), int64(e.Of)}
		}
		if e := rhythm.Missing(at(a.now)); e != nil {
			missing = []int64{e.At.Unix(), e.By.Unix(), e.Last.Unix(), int64(e.Kept), int64(e.Of)}
		}
		all = append(all, differ(fmt.Sprint("next at ", a.now), next, a.next), differ(fmt.Sprint("missing at ", a.now), missing, a.missing))
	}
	for _, x := range v.Resumed {
		var got *int64
		if first, ok := jobs.Resumed(at(*x[0]), h.Starts); ok {
			n := first.Unix()
			got = &n
		}
		all = append(all, differ(fmt.Sprint("resumed after ", *x[0]), got, x[1]))
	}
	for _, e := range v.Every {
		var missing []int64
		if m := jobs.MissingEvery(at(e.last), time.Duration(e.every)*time.Second, at(e.now)); m != nil {
			missing = []int64{m.At.Unix(), m.By.Unix(), m.Last.Unix()}
		}
		all = append(all, differ(fmt.Sprintf("missing every %d s", e.every), missing, e.missing))
	}
	return errors.Join(all...)
}

func differ(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	return fmt.Errorf("%s is %s, want %s", what, g, w)
}
