//go:build !unix

package cli

import (
	"os"
	"os/exec"
)

// ownGroup does nothing: there are no process groups here, and the command
// alone is killed.
func ownGroup(*exec.Cmd) {}

func killGroup(p *os.Process) { _ = p.Kill() } // it may have ended by itself
