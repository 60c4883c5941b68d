package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// starts measures the time from the start of a process to its first request for
// an event, and its memory there, with the functions in alternation.
func starts(b binaries, n int) ([]row, error) {
	aws := newInstantAWS()
	defer aws.close()
	functions := []struct{ name, dir string }{{"hello", b.hello}, {"poller", b.poller}, {"notifier", b.notifier}}
	if b.pollerBaseline != "" {
		functions = append(functions, struct{ name, dir string }{"poller baseline", b.pollerBaseline},
			struct{ name, dir string }{"notifier baseline", b.notifierBaseline})
	}
	took, memory := map[string][]float64{}, map[string][]float64{}
	for range n {
		for _, f := range functions {
			ms, mib, err := startOnce(f.name, f.dir, aws)
			if err != nil {
				return nil, err
			}
			took[f.name], memory[f.name] = append(took[f.name], ms), append(memory[f.name], mib)
		}
	}
	var rows []row
	for _, name := range []string{"poller", "notifier"} {
		ms := median(took[name])
		rows = append(rows, row{what: "start → first /next, beside a Go hello-world: " + name,
			measured: fmt.Sprintf("%.1f ms, %.1f × hello-world", ms, ms/median(took["hello"]))})
		if b.pollerBaseline != "" {
			limit := map[string]float64{"poller": 1.0, "notifier": 0.9}[name]
			rows = append(rows, atMost("start → first /next, beside the baseline: "+name, ms/median(took[name+" baseline"]), limit, "%.2f ×"))
		}
	}
	return append(rows,
		atMost("memory at /next: poller", median(memory["poller"]), 10.5, "%.1f MiB"),
		atMost("memory at /next: notifier", median(memory["notifier"]), 14.5, "%.1f MiB")), nil
}

// startOnce starts a function and returns milliseconds to its first /next and
// its memory there in MiB.
func startOnce(name, dir string, aws *instantAWS) (ms, mib float64, err error) {
	f := aws.function(name, dir)
	defer f.Close()
	took, err := f.Start()
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(5 * time.Millisecond) // work that begins at the start, such as reading the secret, counts too
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory of %s (Linux only): %w", name, err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return took.Seconds() * 1000, kib / 1024, err
}
