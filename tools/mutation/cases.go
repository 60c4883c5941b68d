package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// caseTimeout bounds the tests of one mutant in seconds.
const caseTimeout = 120

// testCases tests the mutants in the conditions of `case` clauses. Go's coverage
// knows only statements, so gremlins counts those mutants as not covered and
// never runs them, though most decisions stand there.
func (g gremlins) testCases(ctx context.Context, name string, mutants []mutant) error {
	clauses := make(map[string]map[int]bool)
	for i, m := range mutants {
		if m.status != "NOT COVERED" {
			continue
		}
		path := filepath.Join(g.source, filepath.FromSlash(m.file))
		source, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", m.file, err)
		}
		if clauses[m.file] == nil {
			if clauses[m.file], err = conditionLines(source); err != nil {
				return fmt.Errorf("reading %s: %w", m.file, err)
			}
		}
		mutated, ok := mutate(source, m)
		if !clauses[m.file][m.line] || !ok {
			continue
		}
		if err := os.WriteFile(path, mutated, 0o644); err != nil {
			return fmt.Errorf("writing a mutant: %w", err)
		}
		mutants[i].status = g.testOne(ctx, name)
		if err := os.WriteFile(path, source, 0o644); err != nil {
			return fmt.Errorf("restoring %s: %w", m.file, err)
		}
	}
	return ctx.Err()
}

func (g gremlins) testOne(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", "-failfast", ".")
	cmd.Dir = filepath.Join(g.source, filepath.FromSlash(name))
	cmd.Env = g.environment()
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "TIMED OUT"
	case err != nil:
		return "KILLED"
	default:
		return "LIVED"
	}
}

// conditionLines returns the lines on which conditions of `case` clauses stand.
func conditionLines(source []byte) (map[int]bool, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := make(map[int]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if clause, ok := n.(*ast.CaseClause); ok {
			for _, condition := range clause.List {
				for line := files.Position(condition.Pos()).Line; line <= files.Position(condition.End()).Line; line++ {
					lines[line] = true
				}
			}
		}
		return true
	})
	return lines, nil
}

// replacements are gremlins' mutations of comparisons.
var replacements = map[string][][2]string{
	"CONDITIONALS_NEGATION": {{"==", "!="}, {"!=", "=="}, {"<=", ">"}, {">=", "<"}, {"<", ">="}, {">", "<="}},
	"CONDITIONALS_BOUNDARY": {{"<=", "<"}, {">=", ">"}, {"<", "<="}, {">", ">="}},
}

// mutate applies a mutation of a comparison.
func mutate(source []byte, m mutant) ([]byte, bool) {
	lines := bytes.SplitAfter(source, []byte("\n"))
	if m.line > len(lines) || m.column > len(lines[m.line-1]) {
		return nil, false
	}
	line := lines[m.line-1]
	for _, r := range replacements[m.mutator] {
		if rest, ok := bytes.CutPrefix(line[m.column-1:], []byte(r[0])); ok {
			lines[m.line-1] = bytes.Join([][]byte{line[:m.column-1], []byte(r[1]), rest}, nil)
			return bytes.Join(lines, nil), true
		}
	}
	return nil, false
}
