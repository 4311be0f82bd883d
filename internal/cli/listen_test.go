package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A listenLine is a line of listen --json; its keys are the contract's.
type listenLine struct {
	Kind        string                `json:"kind"`
	From        ccs.RegistrationToken `json:"from"`
	Category    ccs.Category          `json:"category"`
	MessageID   ccs.MessageID         `json:"message_id"`
	Data        map[string]string     `json:"data"`
	Stream      string                `json:"stream"`
	Redelivered bool                  `json:"redelivered"`
}

// listening is the flags of listen against the simulator.
func (f *far) listening(more ...string) []string {
	return append([]string{"listen", "--json", "--endpoint", f.Addr(), "--ca-file", f.ca, "--sender-id", string(f.SenderID()), "--key", f.ServerKey()}, more...)
}

// device sends an upstream message with that id.
func (f *far) device(t *testing.T, id ccs.MessageID) {
	t.Helper()
	if _, err := f.Upstream(f.Tokens()[0], fcmsim.Upstream{MessageID: id, Data: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
}

func (f *far) wantState(t *testing.T, id ccs.MessageID, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %s", id, want), func() bool {
		u, err := f.UpstreamState("", id)
		if err != nil {
			t.Fatal(err)
		}
		return u.State == want
	})
}

// eventually waits until what is so, and fails if it is not within a minute.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func isFile(name string) func() bool {
	return func() bool { _, err := os.Stat(name); return err == nil }
}

// isGone reports whether the process is gone whose id stands in that file.
func isGone(t *testing.T, name string) func() bool {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		// One that has ended stays as a zombie where nobody waits for orphans.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) ||
			err == nil && strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')'):]), ") Z")
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func TestListenEndsInOrderInTheMiddleOfACommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sig  os.Signal
		code int
	}{{syscall.SIGTERM, 0}, {os.Interrupt, 130}} {
		t.Run(c.sig.String(), func(t *testing.T) {
			t.Parallel()
			sim, dir := newSim(t), t.TempDir()
			p := start(t, sim.listening("--exec", fmt.Sprintf("touch '%s/begun'; until [ -e '%[1]s/go' ]; do sleep 0.01; done; touch '%[1]s/done'", dir))...)
			sim.device(t, "u-1")
			sim.device(t, "u-2")
			var l listenLine
			line := p.line()
			read(t, line, &l)
			if got := keys(t, line); got != "kind from category message_id data stream redelivered" {
				t.Errorf("keys are %s", got)
			}
			if l.Kind != "upstream" || l.From != sim.Tokens()[0] || l.MessageID != "u-1" || l.Data["k"] != "v" || l.Stream != sim.Streams()[0].ID || l.Redelivered {
				t.Errorf("got %s", line)
			}
			eventually(t, "the command begins", isFile(filepath.Join(dir, "begun")))
			p.signal(c.sig)
			eventually(t, "the signal is heard", func() bool { return strings.Contains(p.errOut.String(), "ending: ") })
			sim.device(t, "u-3") // nothing new is handled
			sim.wantState(t, "u-1", fcmsim.UpstreamOffered)
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r := p.wait()
			r.want(t, c.code)
			if r.out != "" {
				t.Errorf("more lines: %s", r.out)
			}
			if !isFile(filepath.Join(dir, "done"))() {
				t.Error("the command was broken off")
			}
			eventually(t, "the stream ends", func() bool { return len(sim.Streams()) == 0 })
			sim.wantState(t, "u-1", fcmsim.UpstreamAcked)
			sim.wantState(t, "u-2", fcmsim.UpstreamWaiting)
			sim.wantState(t, "u-3", fcmsim.UpstreamWaiting)
		})
	}
}

// endless is a command whose grandchild goes on for minutes, deaf to SIGTERM;
// it notes its process id.
func endless(dir string) string {
	return fmt.Sprintf(`sh -c 'trap "" TERM; echo $$ > "%s/pid.new"; mv "%[1]s/pid.new" "%[1]s/pid"; for i in $(seq 300); do sleep 1; done'; true`, dir)
}

func TestListenKillsTheCommandsProcesses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		flags   []string
		signals int
		code    int
		says    string
	}{
		{"when its grace is over", []string{"--grace", "50ms"}, 1, 0, "broken off: it is not acked"},
		{"when it is forced to end", nil, 2, 130, "forced to end"},
		{"when it takes too long", []string{"--exec-timeout", "500ms"}, 0, 0, "the command took more than 500ms: try again in 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim, dir := newSim(t), t.TempDir()
			p := start(t, sim.listening(append(c.flags, "--exec", endless(dir))...)...)
			sim.device(t, "u-1")
			pid := filepath.Join(dir, "pid")
			eventually(t, "the command begins", isFile(pid))
			gone := isGone(t, pid)
			p.cmd.WaitDelay = 20 * time.Second // whoever still holds stderr then was not killed
			if c.signals > 0 {
				p.signal(syscall.SIGTERM)
			}
			if c.signals > 1 {
				eventually(t, "it ends", func() bool { return strings.Contains(p.errOut.String(), "a second signal ends it at once") })
				eventually(t, "it is forced to end", func() bool {
					p.signal(syscall.SIGTERM) // one that comes too soon is the same signal
					return strings.Contains(p.errOut.String(), c.says)
				})
			}
			if c.signals == 0 {
				eventually(t, "it is told", func() bool { return strings.Contains(p.errOut.String(), c.says) })
				p.signal(syscall.SIGTERM)
			}
			r := p.wait()
			r.want(t, c.code)
			r.wantErr(t, c.says)
			eventually(t, "the processes are gone", gone)
			eventually(t, "the stream ends", func() bool { return len(sim.Streams()) == 0 })
			sim.wantState(t, "u-1", fcmsim.UpstreamWaiting)
		})
	}
}

func TestListenEndsWhenNobodyReadsItsLinesAnyMore(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	cmd := command(t, nil, sim.listening()...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut lockedBuffer
	cmd.Stdout, cmd.Stderr = w, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	sim.device(t, "u-1")
	sim.wantState(t, "u-1", fcmsim.UpstreamAcked)
	r.Close() // as head(1) does
	sim.device(t, "u-2")
	result{exitCode(t, cmd.Wait()), "", errOut.String()}.want(t, 1)
	eventually(t, "the stream ends", func() bool { return len(sim.Streams()) == 0 })
	sim.wantState(t, "u-2", fcmsim.UpstreamWaiting)
	if !strings.Contains(errOut.String(), "broken pipe: what was not written is not acked") {
		t.Errorf("stderr: %s", errOut.String())
	}
}

func TestListenEndsAtOnceWhenItsCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := run(sim.listening("--key", "wrong")...)
	r.want(t, 1)
	r.wantErr(t, "refused the credentials", "check the sender id and the server key")
	if r.out != "" || strings.Contains(r.errOut, "wrong") || strings.Contains(r.errOut, "again") {
		t.Errorf("stdout %q, stderr %q", r.out, r.errOut)
	}
}

func TestListenTakesItsFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(sim.ServerKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, []string{
		"PENSTOCK_ENDPOINT=" + sim.Addr(), "PENSTOCK_CA_FILE=" + sim.ca, "PENSTOCK_SENDER_ID=" + string(sim.SenderID()), "PENSTOCK_KEY_FILE=" + name,
		"PENSTOCK_JSON=true", "PENSTOCK_TRACE=true", "PENSTOCK_PROCESSOR=message,echo", "PENSTOCK_SEND_FIRST=hello=world", "PENSTOCK_TO=" + sim.token(),
	}, "listen")
	var out, errOut lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Upstream(sim.Tokens()[0], fcmsim.Upstream{MessageID: "u-1", Data: map[string]string{"action": "ECHO"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the echo comes", func() bool { return len(sim.Record()) == 2 && sim.Record()[1].Answer == "ack" })
	sim.wantState(t, "u-1", fcmsim.UpstreamAcked)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	result{exitCode(t, cmd.Wait()), out.String(), errOut.String()}.want(t, 0)
	var l listenLine
	read(t, out.String(), &l)
	if l.MessageID != "u-1" {
		t.Errorf("stdout: %s", out.String())
	}
	if r := sim.Record(); r[0].Data["hello"] != "world" || r[1].Data["action"] != "ECHO" {
		t.Errorf("the record is %+v", r)
	}
	for _, piece := range []string{"-> downstream ", "<- ack ", "<- upstream u-1 from ", "-> ack u-1 to "} {
		if !strings.Contains(errOut.String(), piece) {
			t.Errorf("the trace lacks %q: %s", piece, errOut.String())
		}
	}
	if strings.Contains(errOut.String(), sim.ServerKey()) || strings.Contains(errOut.String(), sim.token()) {
		t.Error("stderr shows the key or a token")
	}
}

func TestListenRefusesWrongUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		errs []string
	}{
		{[]string{"--processor", "dance"}, []string{`"dance"`, "echo, message and register"}},
		{[]string{"--to", "x"}, []string{"--send-first"}},
		{[]string{"--send-first", "k=v"}, []string{"--to"}},
		{[]string{"--send-first", "from=v", "--to", "x"}, []string{"from"}},
		{[]string{"--exec-timeout", "0s"}, []string{"--exec-timeout"}},
		{[]string{"--grace", "-1s"}, []string{"--grace"}},
		{[]string{"--key-file", "k"}, []string{"exclude each other"}},
		{[]string{"--ca-file", "nowhere"}, []string{"--ca-file"}},
		{[]string{"--endpoint", "nowhere"}, []string{"host:port"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			r := run(append([]string{"listen", "--endpoint", "127.0.0.1:1", "--sender-id", "1", "--key", "k"}, c.args...)...)
			r.want(t, 2)
			r.wantErr(t, append(c.errs, `"penstock listen --help"`)...)
		})
	}
}
