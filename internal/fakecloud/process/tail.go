// Package process starts the child processes of the fake cloud and keeps the
// last lines that they write.
package process

import (
	"strings"
	"sync"
)

// Tail is a writer that keeps the last lines written to it and passes each one
// to Sink, if set.
type Tail struct {
	Sink func(line string)

	mu    sync.Mutex
	part  string
	lines []string
}

const tailLines = 20

func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Split(t.part+string(p), "\n")
	t.part = all[len(all)-1]
	for _, line := range all[:len(all)-1] {
		t.lines = append(t.lines, line)
		if t.Sink != nil {
			t.Sink(line)
		}
	}
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	return len(p), nil
}

// String returns the lines that were kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(append(t.lines[:len(t.lines):len(t.lines)], t.part), "\n")
}
