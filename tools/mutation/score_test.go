package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestScoreExcludesListedEquivalents(t *testing.T) {
	listed, err := parseEquivalents("# comment\n\np\tA\tif a < b {\tboth give b\n")
	if err != nil {
		t.Fatal(err)
	}
	mutants := []mutant{
		{mutator: "A", status: "LIVED", sourceLine: "if a < b {"},
		{mutator: "B", status: "LIVED", sourceLine: "if a < b {"},
		{mutator: "A", status: "NOT COVERED", sourceLine: "x"},
		{mutator: "A", status: "TIMED OUT", sourceLine: "y"},
	}
	for range 19 {
		mutants = append(mutants, mutant{mutator: "A", status: "KILLED", sourceLine: "z"})
	}
	r := score("p", mutants, listed)
	if r.equivalent != 1 || len(r.survivors) != 1 || r.efficacy() != 95 || r.coverage() != 100*21.0/22 {
		t.Errorf("score %+v: efficacy %v, coverage %v", r, r.efficacy(), r.coverage())
	}
	if got := r.problems(); len(got) != 0 {
		t.Errorf("problems %v", got)
	}
}

func TestScoreNamesEachFigureBelowItsLimit(t *testing.T) {
	listed := map[equivalent]string{{"p", "A", "gone"}: "reason", {"other", "A", "gone"}: "reason"}
	r := score("p", []mutant{{status: "KILLED"}, {status: "LIVED"}, {status: "NOT COVERED"}}, listed)
	text := errors.Join(r.problems()...).Error()
	for _, want := range []string{"p: efficacy 50.0 %", "p: mutant coverage 66.7 %", `p: equivalent.txt lists A of "gone"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if n := len(r.problems()); n != 3 {
		t.Errorf("%d problems, want 3", n)
	}
}

func TestEquivalentWithoutReasonIsRefused(t *testing.T) {
	if _, err := parseEquivalents("p\tA\tline\t \n"); err == nil {
		t.Error("no error")
	}
}

func TestFunctionLinesExcludeDeclarations(t *testing.T) {
	lines, err := functionLines([]byte("package p\n\nconst a = 2 * 3\n\nfunc f() int {\n\treturn a + 1\n}\n"))
	if err != nil || lines[3] || !lines[5] || !lines[6] || !lines[7] {
		t.Errorf("lines %v, %v", lines, err)
	}
}

func TestSubfoldersMatchOnlyFilesBelowThePackage(t *testing.T) {
	pattern := regexp.MustCompile(subfolders)
	for file, want := range map[string]bool{"eventtest/draw.go": true, "decode.go": false} {
		if got := pattern.MatchString(file); got != want {
			t.Errorf("%s matches: %v, want %v", file, got, want)
		}
	}
}
