package process

import (
	"os/exec"
	"syscall"
)

// Bind makes the child die with this process, however this process dies.
func Bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
