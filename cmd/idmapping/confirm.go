package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// confirm asks a question on stderr and reads the answer, one line of stdin. Only y
// and yes confirm. yes is the flag --yes, which nobody asks; without it and without
// an answer the command is refused.
func (a *app) confirm(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
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
