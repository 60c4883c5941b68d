// Bench measures the two functions beside a Go hello-world function, in one run
// on one machine: the ratios are what counts, machines differ.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/template"
)

func main() {
	n := flag.Int("n", 40, "how many starts to measure")
	flag.Parse()
	if err := run(*n); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// names are what is measured, with the package of each.
var names = []struct{ name, pkg string }{
	{"hello", "./tools/bench/hello"},
	{"poller", "./functions/poller"},
	{"notifier", "./functions/notifier"},
}

func run(n int) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("building for arm64 and for this machine…")
	zips := make(map[string]float64)
	for _, f := range names {
		if _, err := build(f.pkg, filepath.Join(dir, "arm64", f.name), "arm64"); err != nil {
			return err
		}
		if zips[f.name], err = zipped(filepath.Join(dir, "arm64", f.name, "bootstrap")); err != nil {
			return err
		}
		if _, err := build(f.pkg, filepath.Join(dir, "host", f.name), runtime.GOARCH); err != nil {
			return err
		}
	}
	aws := newFakeAWS()
	defer aws.close()
	fmt.Printf("starting each %d times, in turn…\n", n)
	starts, memory := make(map[string][]float64), make(map[string][]float64)
	for range n {
		for _, f := range names {
			start, rss, err := startOnce(f.name, filepath.Join(dir, "host", f.name), aws)
			if err != nil {
				return err
			}
			starts[f.name] = append(starts[f.name], start)
			memory[f.name] = append(memory[f.name], rss)
		}
	}
	fmt.Printf("\n%-34s %10s %10s %10s   %s\n", "", "hello", "poller", "notifier", "to hold")
	row := func(label, unit string, value func(string) float64, hold string) {
		h := value("hello")
		fmt.Printf("%-34s %10s %10s %10s   %s\n", label+", "+unit, number(h),
			fmt.Sprintf("%s %.1f×", number(value("poller")), value("poller")/h),
			fmt.Sprintf("%s %.1f×", number(value("notifier")), value("notifier")/h), hold)
	}
	row("start of process to first /next", "ms", func(f string) float64 { return median(starts[f]) }, "≤ 4× hello")
	row("memory at /next", "MiB", func(f string) float64 { return median(memory[f]) }, "≤ 16 MiB")
	row("zip, arm64", "MB", func(f string) float64 { return zips[f] }, "≤ 4.0 MB")
	if err := sweep(filepath.Join(dir, "host", "poller"), aws); err != nil {
		return err
	}
	return wire(filepath.Join(dir, "host", "notifier"), aws)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// build builds a function just as the Makefile does.
func build(pkg, dir, arch string) (string, error) {
	root, err := template.Root()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	target := map[string]string{"./functions/poller": "build-PollerFunction", "./functions/notifier": "build-NotifierFunction"}[pkg]
	cmd := exec.Command("make", "-s", target, "ARTIFACTS_DIR="+dir, "GOARCH="+arch)
	if target == "" {
		cmd = exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid=", "-o", filepath.Join(dir, "bootstrap"), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	}
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return dir, nil
}

// zipped is a file's size in a zip of the best compression, in MB.
func zipped(path string) (float64, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	f, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(body); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return float64(out.Len()) / 1e6, nil
}

// startOnce starts a function, and returns milliseconds to its first /next and
// its memory there in MiB.
func startOnce(name, dir string, aws *fakeAWS) (ms, mib float64, err error) {
	f := function(name, dir, aws)
	defer f.Close()
	took, err := f.Warm()
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(5 * time.Millisecond) // what begins with the start, such as reading the secret, has its part
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory of %s (Linux only): %w", name, err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return took.Seconds() * 1000, kib / 1024, nil
}

func function(name, dir string, aws *fakeAWS) *fakecloud.Lambda {
	return &fakecloud.Lambda{Name: name, Dir: dir, Timeout: time.Minute, Env: map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": aws.url,
		"AWS_ENDPOINT_URL_ENTITYRESOLUTION": aws.erURL, "SLACK_API_URL": aws.slackURL + "/api/", "ALLOW_LOOPBACK": "true",
		"GOGC": "400", "GOMEMLIMIT": "96MiB", "STACK_NAME": "bench", "ENTITY_RESOLUTION_RATE": "1000",
		"JOBS_TABLE": "jobs", "EVENT_BUS_NAME": "default", "DELIVERIES_TABLE": "deliveries",
		"SLACK_QUEUE_URL": aws.url + "/1/slack", "SLACK_DEAD_LETTER_QUEUE_URL": aws.url + "/1/slack-dead",
		"EMAIL_QUEUE_URL": aws.url + "/1/email", "EMAIL_DEAD_LETTER_QUEUE_URL": aws.url + "/1/email-dead",
		"SLACK_CHANNEL": fakecloud.SlackChannel, "SLACK_TOKEN_PARAMETER": "token",
	}}
}

// sweep measures a tick over 1,000 jobs that have ended, with 25 ms for each
// answer of Entity Resolution.
func sweep(dir string, aws *fakeAWS) error {
	aws.thousandJobs(25 * time.Millisecond)
	f := function("poller", dir, aws)
	defer f.Close()
	var calls, cpu []float64
	for range 6 {
		if _, err := f.Warm(); err != nil && f.PID() == 0 {
			return err
		}
		before, used := len(aws.er.Calls()), cpuMillis(f.PID())
		if _, err := f.Invoke(context.Background(), []byte(`{}`)); err != nil {
			return err
		}
		calls = append(calls, float64(len(aws.er.Calls())-before))
		cpu = append(cpu, cpuMillis(f.PID())-used)
	}
	fmt.Printf("%-34s %10s %10s %10s   %s\n", "1,000 jobs swept whole, calls", "", number(median(calls)), "", "≤ 45")
	fmt.Printf("%-34s %10s %10s %10s   %s\n", "1,000 jobs swept whole, CPU ms", "", number(median(cpu[1:])), "", "≤ 40")
	return nil
}

// cpuMillis is a process's CPU time so far (proc(5): utime and stime in ticks
// of 10 ms).
func cpuMillis(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) * 10
}

// wire measures from the event's arrival in a warm notifier to the message's
// arrival at Slack.
func wire(dir string, aws *fakeAWS) error {
	f := function("notifier", dir, aws)
	defer f.Close()
	var took []float64
	for i := range 220 {
		payload := batch(aws.url, i)
		aws.arrived = make(chan time.Time, 4)
		begin := time.Now()
		if _, err := f.Invoke(context.Background(), payload); err != nil {
			return err
		}
		at := <-aws.arrived
		if i >= 20 {
			took = append(took, at.Sub(begin).Seconds()*1000)
		}
	}
	slices.Sort(took)
	fmt.Printf("%-34s %10s %10s %10s   %s\n", "event to Slack, warm, ms p50", "", "", fmt.Sprintf("%.2f", median(took)), "≤ 1")
	fmt.Printf("%-34s %10s %10s %10s\n", "event to Slack, warm, ms p95", "", "", fmt.Sprintf("%.2f", took[len(took)*95/100]))
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
