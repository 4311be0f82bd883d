//go:build unix

package cli

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes a command the first of a process group, which hears of the
// command's end as a whole.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) } // none is left: so much the better
