package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errInterrupted is the error of a question that Ctrl-C has answered.
var errInterrupted = errors.New("interrupted: nothing was changed")

// confirm asks a question on stderr and reads the answer, one line of stdin. Only y
// and yes confirm. yes is the flag --yes, which nobody asks; without it and without
// an answer the command is refused.
func (a *app) confirm(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	var answer string
	var err error
	read := make(chan struct{})
	go func() {
		defer close(read)
		answer, err = bufio.NewReader(a.stdin).ReadString('\n')
	}()
	select {
	case <-read:
	case <-a.interrupted:
		fmt.Fprintln(a.stderr)
		return false, errInterrupted
	}
	if err != nil {
		fmt.Fprintln(a.stderr) // nobody has pressed Enter
	}
	switch {
	case errors.Is(err, io.EOF) && answer == "":
		return false, usageError{"nobody answered and nothing was changed: answer y, or add --yes"}
	case err != nil && !errors.Is(err, io.EOF):
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
