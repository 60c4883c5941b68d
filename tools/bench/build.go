package main

import (
	"context"
	"fmt"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// binaries are folders with an executable for this machine each. The baselines
// are empty unless asked for.
type binaries struct {
	hello, poller, notifier          string
	pollerBaseline, notifierBaseline string
}

// build builds the functions with the Makefile's targets, for this machine and
// for arm64, and the hello-world function.
func build(ctx context.Context, root, dir, baseline string) (binaries, error) {
	b := binaries{hello: filepath.Join(dir, "hello"), poller: filepath.Join(dir, "host", "poller"), notifier: filepath.Join(dir, "host", "notifier")}
	if baseline != "" {
		b.pollerBaseline, b.notifierBaseline = filepath.Join(baseline, "PollerFunction"), filepath.Join(baseline, "NotifierFunction")
	}
	for arch, folder := range map[string]string{runtime.GOARCH: "host", "arm64": "arm64"} {
		for name, target := range map[string]string{"poller": "build-PollerFunction", "notifier": "build-NotifierFunction"} {
			cmd := exec.CommandContext(ctx, "make", "-s", target, "ARTIFACTS_DIR="+filepath.Join(dir, folder, name), "GOARCH="+arch)
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				return b, fmt.Errorf("building the %s for %s: %w: %s", name, arch, err, out)
			}
		}
	}
	if runtime.GOARCH == "arm64" { // both keys are the same then
		b.poller, b.notifier = filepath.Join(dir, "arm64", "poller"), filepath.Join(dir, "arm64", "notifier")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid=",
		"-o", filepath.Join(b.hello, "bootstrap"), "./tools/bench/hello")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("building the hello-world function: %w: %s", err, out)
	}
	return b, nil
}

func zips(dir string) ([]row, error) {
	var rows []row
	for _, f := range []struct {
		name  string
		limit float64
	}{{"poller", 3.4}, {"notifier", 3.9}} {
		size, err := zipped(filepath.Join(dir, f.name, "bootstrap"))
		if err != nil {
			return rows, fmt.Errorf("measuring the zip of the %s: %w", f.name, err)
		}
		rows = append(rows, atMost("zip, arm64: "+f.name, size, f.limit, "%.2f MB"))
	}
	return rows, nil
}

// zipped returns a file's size in a zip as `sam build` packs it, in MB: the SAM
// CLI uses Python's zipfile with its default compression.
func zipped(path string) (float64, error) {
	python, err := sam.Python()
	if err != nil {
		return 0, err
	}
	archive := path + ".zip"
	if out, err := exec.Command(python, "-m", "zipfile", "-c", archive, path).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("packing: %w: %s", err, out)
	}
	info, err := os.Stat(archive)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / 1e6, nil
}
