// Command testreport runs `go test -json` with its arguments and prints what a
// developer reads: a line for each package, the output of failed tests, and how
// many tests were skipped and why, which `go test` hides.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	begin := time.Now()
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport: starting go test:", err)
		os.Exit(1)
	}
	r := newReport(os.Stdout)
	r.read(out)
	err = cmd.Wait()
	r.summary(time.Since(begin))
	if err != nil || r.failed > 0 {
		os.Exit(1)
	}
}

// event is a line of `go test -json` ("go doc test2json").
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

type report struct {
	w                       io.Writer
	passed, failed, skipped int
	output                  map[string][]string // of unfinished tests and packages
	reasons                 map[string]int      // of skipped tests
	slow                    []event
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: make(map[string][]string), reasons: make(map[string]int)}
}

func (r *report) read(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if len(line) > 0 && json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(r.w, "%s", line)
		} else if len(line) > 0 {
			r.add(e)
		}
		if err != nil {
			return
		}
	}
}

func (r *report) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
		return
	case "build-output":
		fmt.Fprint(r.w, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	output := r.output[key]
	delete(r.output, key)
	if e.Test == "" {
		if e.Action == "fail" {
			r.failed++ // also a package that does not compile or whose tests do not end
			for _, k := range slices.Sorted(maps.Keys(r.output)) {
				if strings.HasPrefix(k, e.Package+" ") {
					fmt.Fprint(r.w, strings.Join(r.output[k], "")) // of a test that did not end
				}
			}
		}
		if e.Action != "skip" { // no test files
			fmt.Fprint(r.w, strings.Join(verdict(output, e.Action == "fail"), ""))
		}
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Fprint(r.w, strings.Join(output, ""))
	case "skip":
		if strings.HasPrefix(e.Test, "Fuzz") && strings.Contains(e.Test, "/") {
			return // an input of the corpus that is too short for its generator
		}
		r.skipped++
		r.reasons[reason(output)]++
	}
	if !strings.Contains(e.Test, "/") && e.Elapsed >= 5 {
		r.slow = append(r.slow, e)
	}
}

// verdict returns the lines of a package's output to print: only the last one,
// "ok", when it passed.
func verdict(output []string, failed bool) []string {
	if failed {
		return output
	}
	return slices.DeleteFunc(output, func(line string) bool { return !strings.HasPrefix(line, "ok") })
}

// reason returns the sentence with which a test was skipped.
func reason(output []string) string {
	for _, line := range output {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			_, sentence, found := strings.Cut(line, ": ") // file.go:12: sentence
			if found {
				return sentence
			}
			return line
		}
	}
	return "no reason given"
}

func (r *report) summary(took time.Duration) {
	slices.SortFunc(r.slow, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for _, e := range r.slow[:min(len(r.slow), 10)] {
		fmt.Fprintf(r.w, "slow: %6.1f s %s %s\n", e.Elapsed, e.Package, e.Test)
	}
	for _, why := range slices.Sorted(maps.Keys(r.reasons)) {
		fmt.Fprintf(r.w, "skipped: %d. %s\n", r.reasons[why], why)
	}
	fmt.Fprintf(r.w, "%d passed, %d failed, %d skipped in %s\n", r.passed, r.failed, r.skipped, took.Round(time.Second))
}
