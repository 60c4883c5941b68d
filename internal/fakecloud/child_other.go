//go:build !linux

package fakecloud

import "os/exec"

// bind does nothing where the system has no way to tie a child to its parent:
// Close ends the children there.
func bind(*exec.Cmd) {}
