//go:build !linux

package process

import "os/exec"

// Bind does nothing on systems that cannot tie a child to its parent: there,
// Close ends the children.
func Bind(*exec.Cmd) {}
