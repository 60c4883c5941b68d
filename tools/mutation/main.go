// Mutation runs the gremlins mutation tester on the packages that decide what is
// sent, and exits 1 naming each package whose tests miss too many mutants.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

var defaultPackages = []string{"internal/jobs", "internal/event", "internal/message", "internal/notify", "internal/slack", "internal/poller"}

// Limits in percent.
const (
	minEfficacy = 95
	minCoverage = 90
)

func main() {
	workers := flag.Int("workers", 2, "mutants to test at a time")
	coefficient := flag.Int("timeout-coefficient", 5, "timeout of one mutant's tests, in multiples of the first test run")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: mutation [flags] [package folder...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = defaultPackages
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, packages, *workers, *coefficient); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, packages []string, workers, coefficient int) error {
	root, err := sam.Root()
	if err != nil {
		return err
	}
	body, err := os.ReadFile(filepath.Join(root, "tools", "mutation", "equivalent.txt"))
	if err != nil {
		return err
	}
	equivalents, err := parseEquivalents(string(body))
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	g := gremlins{binary: filepath.Join(temp, "gremlins"), source: filepath.Join(temp, "source"), temp: temp, workers: workers, coefficient: coefficient}
	if err := g.prepare(ctx, root); err != nil {
		return err
	}
	var problems []error
	var table strings.Builder
	fmt.Fprintf(&table, "%-20s %8s %8s %10s %11s %9s   %-17s %-17s\n", "package", "killed", "survived", "equivalent", "not covered", "timed out", "efficacy", "mutant coverage")
	for _, name := range packages {
		name = filepath.ToSlash(filepath.Clean(name))
		fmt.Printf("testing mutants of %s\n", name)
		mutants, err := g.run(ctx, name)
		if err != nil {
			return err
		}
		s := score(name, mutants, equivalents)
		for _, m := range s.survivors {
			fmt.Printf("  survived: %s\n", m)
		}
		for _, m := range s.uncovered {
			fmt.Printf("  not covered: %s\n", m)
		}
		fmt.Fprintf(&table, "%-20s %8d %8d %10d %11d %9d   %5.1f %% (≥ %d %%)  %5.1f %% (≥ %d %%)\n", name, s.killed, len(s.survivors), s.equivalent,
			len(s.uncovered), s.timedOut, s.efficacy(), minEfficacy, s.coverage(), minCoverage)
		problems = append(problems, s.problems()...)
	}
	fmt.Printf("\n%s", table.String())
	return errors.Join(problems...)
}

// gremlins runs the tool on a copy of the sources: it copies the whole module
// once per worker, and the module's folder may hold a large Python environment.
type gremlins struct {
	binary, source, temp string
	workers, coefficient int
}

func (g gremlins) prepare(ctx context.Context, root string) error {
	build := exec.CommandContext(ctx, "go", "build", "-modfile=tools/linters/go.mod", "-o", g.binary, "github.com/go-gremlins/gremlins/cmd/gremlins")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building gremlins: %w: %s", err, out)
	}
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the sources: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		body, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) { // deleted, not yet committed
			continue
		}
		if err != nil {
			return fmt.Errorf("copying the sources: %w", err)
		}
		to := filepath.Join(g.source, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("copying the sources: %w", err)
		}
		if err := os.WriteFile(to, body, 0o644); err != nil {
			return fmt.Errorf("copying the sources: %w", err)
		}
	}
	return nil
}

// subfolders matches the files below a package's folder. gremlins walks them too,
// but they are other packages, such as test support, which no limit applies to.
const subfolders = "/"

// run returns the mutants of one package, each with what its tests made of it.
func (g gremlins) run(ctx context.Context, name string) ([]mutant, error) {
	report := filepath.Join(g.temp, strings.ReplaceAll(name, "/", "-")+".json")
	cmd := exec.CommandContext(ctx, g.binary, "unleash", "--workers", strconv.Itoa(g.workers),
		"--timeout-coefficient", strconv.Itoa(g.coefficient), "--exclude-files", subfolders, "--output", report)
	cmd.Dir = filepath.Join(g.source, filepath.FromSlash(name))
	// A cached test run has no duration from which to derive the timeout.
	cmd.Env = append(g.environment(), "GOFLAGS=-count=1 -vet=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("running gremlins on %s: %w: %s", name, err, out)
	}
	body, err := os.ReadFile(report)
	if err != nil {
		return nil, fmt.Errorf("running gremlins on %s: %w: %s", name, err, out)
	}
	var parsed struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []struct {
				Type, Status string
				Line, Column int
			}
		}
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return nil, fmt.Errorf("reading the report on %s: %w", name, err)
	}
	var all []mutant
	for _, f := range parsed.Files {
		file := filepath.ToSlash(filepath.Join(name, filepath.Base(f.Name)))
		source, err := os.ReadFile(filepath.Join(g.source, filepath.FromSlash(file)))
		if err != nil {
			return nil, fmt.Errorf("reading the report on %s: %w", name, err)
		}
		functions, err := functionLines(source)
		if err != nil {
			return nil, fmt.Errorf("reading the report on %s: %w", name, err)
		}
		lines := strings.Split(string(source), "\n")
		for _, m := range f.Mutations {
			if !functions[m.Line] {
				continue
			}
			all = append(all, mutant{file, m.Line, m.Column, m.Type, m.Status, strings.TrimSpace(lines[m.Line-1])})
		}
	}
	slices.SortFunc(all, func(a, b mutant) int { return strings.Compare(a.String(), b.String()) })
	return all, g.testCases(ctx, name, all)
}

// environment is what a package's tests need: the copy of the sources has no
// Python environment of its own.
func (g gremlins) environment() []string {
	env := os.Environ()
	if python, err := sam.Python(); err == nil {
		env = append(env, "IDMAPPING_PYTHON="+python)
	}
	return env
}

// functionLines returns the lines inside functions. No mutant elsewhere can run:
// Go's coverage knows only statements, and gremlins skips what is not covered.
func functionLines(source []byte) (map[int]bool, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := map[int]bool{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			for n := files.Position(f.Pos()).Line; n <= files.Position(f.End()).Line; n++ {
				lines[n] = true
			}
		}
	}
	return lines, nil
}
