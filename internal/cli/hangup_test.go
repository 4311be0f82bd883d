package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// A terminal that is closed hangs up.
func TestAHangUpEndsInOrder(t *testing.T) {
	t.Parallel()
	// What these tests run under may ignore the signal, and a child would inherit
	// that; what is caught here is at its default there.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	p, l := startSim(t, "--json")
	p.signal(syscall.SIGHUP)
	r := p.wait()
	r.want(t, 0)
	if _, err := os.Stat(l.CAFile); !os.IsNotExist(err) || r.errOut != "" {
		t.Errorf("it did not end in order: %v, stderr %s", err, r.errOut)
	}
}

// nohup starts a program that is to outlive its terminal, with the signal ignored.
func TestAHangUpThatIsIgnoredStaysIgnored(t *testing.T) {
	t.Parallel()
	cmd := command(t, nil, "sim", "--json", "--ccs-listen", "127.0.0.1:0")
	nohup := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", `trap "" HUP; exec "$0" "$@"`}, cmd.Args...)...)
	nohup.Env = cmd.Env
	p := startCommand(t, nohup)
	p.line()
	p.signal(syscall.SIGHUP)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.wait().want(t, 130) // what ended it was the interruption
}
