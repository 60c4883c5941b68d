package main

import (
	"errors"
	"fmt"
	"strings"
)

// mutant is one change that gremlins made to the code.
type mutant struct {
	file         string
	line, column int
	mutator      string
	status       string // KILLED, LIVED, NOT COVERED, TIMED OUT, NOT VIABLE, SKIPPED
	sourceLine   string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d %s: %s", m.file, m.line, m.column, m.mutator, m.sourceLine)
}

// equivalent identifies mutants that behave as the original does, so that no
// test can kill them. It names the line by its text: line numbers shift.
type equivalent struct{ pkg, mutator, line string }

// parseEquivalents reads lines of package, mutator, source line and reason,
// separated by tabs. Empty lines and lines that start with # are comments.
func parseEquivalents(text string) (map[equivalent]string, error) {
	all := map[equivalent]string{}
	var problems []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 4 || strings.TrimSpace(fields[3]) == "" {
			problems = append(problems, fmt.Errorf("equivalent.txt, line %d: want package, mutator, source line and reason, separated by tabs", n))
			continue
		}
		all[equivalent{fields[0], fields[1], fields[2]}] = fields[3]
	}
	return all, errors.Join(problems...)
}

// result is how a package's tests did.
type result struct {
	pkg                          string
	killed, equivalent, timedOut int
	survivors, uncovered         []mutant
	stale                        []equivalent // listed, but not among the survivors
}

func score(pkg string, mutants []mutant, equivalents map[equivalent]string) result {
	r := result{pkg: pkg}
	met := map[equivalent]bool{}
	for _, m := range mutants {
		key := equivalent{pkg, m.mutator, m.sourceLine}
		_, listed := equivalents[key]
		switch m.status {
		case "KILLED":
			r.killed++
		case "LIVED":
			if listed {
				r.equivalent++
				met[key] = true
			} else {
				r.survivors = append(r.survivors, m)
			}
		case "TIMED OUT":
			r.timedOut++
			met[key] = true
		case "NOT COVERED":
			r.uncovered = append(r.uncovered, m)
		}
	}
	for key := range equivalents {
		if key.pkg == pkg && !met[key] {
			r.stale = append(r.stale, key)
		}
	}
	return r
}

// efficacy is the percentage of killed mutants among those that a test reached
// and could kill.
func (r result) efficacy() float64 { return percent(r.killed, r.killed+len(r.survivors)) }

// coverage is the percentage of mutants that a test reached.
func (r result) coverage() float64 {
	reached := r.killed + len(r.survivors) + r.equivalent
	return percent(reached, reached+len(r.uncovered))
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// problems are the reasons for which the package fails.
func (r result) problems() []error {
	var all []error
	if r.efficacy() < minEfficacy {
		all = append(all, fmt.Errorf("%s: efficacy %.1f %%, want at least %d %%", r.pkg, r.efficacy(), minEfficacy))
	}
	if r.coverage() < minCoverage {
		all = append(all, fmt.Errorf("%s: mutant coverage %.1f %%, want at least %d %%", r.pkg, r.coverage(), minCoverage))
	}
	if r.timedOut > r.killed {
		all = append(all, fmt.Errorf("%s: %d mutants timed out and %d were killed: raise -timeout-coefficient", r.pkg, r.timedOut, r.killed))
	}
	for _, key := range r.stale {
		all = append(all, fmt.Errorf("%s: equivalent.txt lists %s of %q, which did not survive", r.pkg, key.mutator, key.line))
	}
	return all
}
