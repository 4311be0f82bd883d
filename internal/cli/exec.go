package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"penstock/ccsclient"
)

const (
	// exitTryAgain is the exit code by which a command asks to be run again
	// later: EX_TEMPFAIL of sysexits.h.
	exitTryAgain = 75
	// killAfter is how long a command may go on that was told to end, and how
	// long one that has ended may keep its output open.
	killAfter = 2 * time.Second
	// maxRuns is how often a command is run for one message.
	maxRuns = 6
)

// runCommand runs the command of --exec, if there is one, with the line on its
// stdin. Its processes are a group of their own: a Ctrl-C at the terminal does
// not reach them, and whatever ends them reaches all.
func (l *listening) runCommand(line *listenLine, tries int) error {
	if l.cmd.Exec == "" {
		return nil
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.commands, l.cmd.ExecTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", l.cmd.Exec) //nolint:gosec // the user's own command; nothing of a message is in it
	cmd.Stdin = bytes.NewReader(append(text, '\n'))
	cmd.Stdout, cmd.Stderr = l.env.stderr, l.env.stderr
	cmd.Env = commandEnviron()
	cmd.WaitDelay = killAfter
	ownGroup(cmd)
	lastDeed := func() {
		l.kill() // or the message would be acked, as one whose command was killed by somebody else
		killGroup(cmd.Process)
	}
	if err = cmd.Start(); err == nil {
		l.env.beforeForcedEnd(&lastDeed)
		err = cmd.Wait()
		l.env.forget(&lastDeed)
		if ctx.Err() != nil {
			killGroup(cmd.Process) // what the shell had started may have outlived it
		}
		err = verdict(cmd, err, ctx.Err(), l.cmd.ExecTimeout)
	} else {
		err = fmt.Errorf("the command could not be started: %w: %w", err, ccsclient.ErrTryAgain)
	}
	if errors.Is(err, ccsclient.ErrTryAgain) && tries < maxRuns && l.commands.Err() == nil {
		l.say("%s %s: %v in %v", line.Kind, line.who(), err, time.Second<<(tries-1))
	}
	return err
}

// verdict is what the end of a command means for its message.
func verdict(cmd *exec.Cmd, err, over error, limit time.Duration) error {
	code := cmd.ProcessState.ExitCode()
	switch {
	case code == 0: // an error is about its output, which something else held open
		return nil
	case over != nil:
		return fmt.Errorf("the command took more than %v: %w", limit, ccsclient.ErrTryAgain)
	case code == exitTryAgain:
		return fmt.Errorf("the command ended with exit code %d: %w", code, ccsclient.ErrTryAgain)
	case code > 0:
		return fmt.Errorf("the command ended with exit code %d", code)
	}
	return fmt.Errorf("the command ended by itself: %w", err)
}

// commandEnviron is this program's environment without the server key: a
// command that needs it can be given PENSTOCK_KEY_FILE.
func commandEnviron() []string {
	var list []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PENSTOCK_KEY=") {
			list = append(list, v)
		}
	}
	return list
}
