package main

import (
	"strings"
	"testing"
	"time"
)

func TestReportCountsSkippedTestsAndShowsFailedOnes(t *testing.T) {
	stream := `{"Action":"output","Package":"m/a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"    moto.go:12: This test needs moto.\n"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestB","Output":"    b_test.go:1: good\n"}
{"Action":"pass","Package":"m/a","Test":"TestB","Elapsed":7}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t7.1s\n"}
{"Action":"output","Package":"m/a","Test":"FuzzE/seed#0","Output":"    [rapid] draw x: 0\n"}
{"Action":"skip","Package":"m/a","Test":"FuzzE/seed#0"}
{"Action":"pass","Package":"m/a"}
{"Action":"output","Package":"m/b","Test":"TestC","Output":"    c_test.go:9: wrong\n"}
{"Action":"fail","Package":"m/b","Test":"TestC"}
{"Action":"output","Package":"m/b","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b\t1s\n"}
{"Action":"fail","Package":"m/b"}
{"ImportPath":"m/c","Action":"build-output","Output":"c.go:1: undefined: x\n"}
{"Action":"skip","Package":"m/d"}
`
	var out strings.Builder
	r := newReport(&out)
	r.read(strings.NewReader(stream))
	r.summary(8 * time.Second)
	for _, want := range []string{"ok  \tm/a\t7.1s\n", "c_test.go:9: wrong\n", "panic: test timed out\n", "FAIL\tm/b\t1s\n", "undefined: x\n",
		"slow:    7.0 s m/a TestB\n", "skipped: 1. This test needs moto.\n", "1 passed, 2 failed, 1 skipped in 8s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(out.String(), "good") || strings.Contains(out.String(), "PASS") {
		t.Error("it shows what passed")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
