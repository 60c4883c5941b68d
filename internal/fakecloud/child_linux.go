package fakecloud

import (
	"os/exec"
	"syscall"
)

// bind makes the child die with this process, however this process dies.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
