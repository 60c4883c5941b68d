package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestOnlyAnAnswerOfYesConfirms(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes \r\n": true, "y": true, "n\n": false, "\n": false, "yep\n": false} {
		var stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(answer), stderr: &stderr}
		if got, err := a.confirm("Move it?", false); got != want || err != nil {
			t.Errorf("%q: %t, %v", answer, got, err)
		}
		if !strings.HasPrefix(stderr.String(), "Move it? [y/N] ") {
			t.Errorf("asked %q", stderr.String())
		}
	}
}

func TestWithoutAnAnswerOnlyYesConfirms(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stderr: &stderr}
	got, err := a.confirm("Move it?", false)
	if _, usage := errors.AsType[usageError](err); got || !usage {
		t.Errorf("without an answer: %t, %v", got, err)
	}
	stderr.Reset()
	if got, err := a.confirm("Move it?", true); !got || err != nil || stderr.Len() != 0 {
		t.Errorf("with --yes: %t, %v, %q", got, err, stderr.String())
	}
}

func TestInterruptEndsTheQuestion(t *testing.T) {
	never, _ := io.Pipe()
	interrupted := make(chan struct{})
	close(interrupted)
	a := &app{stdin: never, stderr: io.Discard, interrupted: interrupted}
	if got, err := a.confirm("Move it?", false); got || !errors.Is(err, errInterrupted) {
		t.Errorf("%t, %v", got, err)
	}
}
