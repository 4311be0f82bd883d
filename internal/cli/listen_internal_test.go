package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcmsim"
	"penstock/internal/ccstest"
)

// A terminal collects what is written to it.
type terminal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *terminal) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *terminal) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A bubble has a listen and a simulator in it, with streams in memory: time
// passes when both wait, and stands while a command of --exec runs.
type bubble struct {
	*fcmsim.Sim
	t        *testing.T
	far      *ccstest.Listener
	dir      string
	cmd      listenCmd
	out, err terminal
	env      *env
	stop     context.CancelFunc // the signal
	ended    chan error

	mu     sync.Mutex // guards what follows
	closed []error    // how each stream ended at the simulator; nil: in order
}

// inBubble runs f in a bubble whose listen is started by start.
func inBubble(t *testing.T, f func(t *testing.T, b *bubble)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		far := ccstest.Listen()
		b := &bubble{t: t, far: far, dir: dir, ended: make(chan error, 1)}
		sim, err := fcmsim.Start(&fcmsim.Options{
			ClearText: true, Listeners: []net.Listener{far}, Server: &ccsserver.Options{Events: &ccsserver.Events{Closed: b.noteClosed}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		b.Sim = sim
		b.cmd = listenCmd{JSON: true, Grace: 10 * time.Second, ExecTimeout: time.Minute}
		b.cmd.Endpoint = "sim:5235"
		var ctx context.Context
		ctx, b.stop = context.WithCancel(context.Background())
		defer b.stop()
		b.env = &env{ctx: ctx, stdout: &b.out, stderr: &b.err, interrupted: new(atomic.Bool)}
		f(t, b)
	})
}

func (b *bubble) noteClosed(_ ccsserver.Stream, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = append(b.closed, err)
}

func (b *bubble) options() *ccsclient.Options {
	return &ccsclient.Options{ClearText: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.far.Dial(ctx) }}
}

func (b *bubble) credentials() ccsclient.Credentials {
	return ccsclient.Credentials{SenderID: b.SenderID(), Key: b.ServerKey()}
}

// start starts listen and waits until messages reach it.
func (b *bubble) start() {
	b.t.Helper()
	go func() { b.ended <- b.cmd.listen(b.env, b.credentials(), b.options()) }()
	time.Sleep(time.Second) // until which a silent stream gets no upstream message
	synctest.Wait()
}

// end stops listen as a signal does, and returns its exit code.
func (b *bubble) end() int {
	b.t.Helper()
	b.stop()
	return b.code(<-b.ended)
}

func (b *bubble) code(err error) int {
	b.t.Helper()
	if err == nil {
		return exitGood
	}
	if x, ok := errors.AsType[*exitError](err); ok {
		return x.code
	}
	return exitFailed
}

// runs makes the command of --exec one that notes its stdin in a file and ends
// with the exit code that stands in another, which is then code.
func (b *bubble) runs(code int) {
	b.cmd.Exec = fmt.Sprintf("cat >> '%s/ran'; exit $(cat '%[1]s/code')", b.dir)
	b.exits(code)
}

func (b *bubble) exits(code int) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "code"), fmt.Appendln(nil, code), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// ran lists the messages that the command was run for.
func (b *bubble) ran() []string {
	b.t.Helper()
	synctest.Wait()
	text, err := os.ReadFile(filepath.Join(b.dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	var list []string
	for _, l := range b.parse(string(text)) {
		list = append(list, string(l.MessageID))
	}
	return list
}

func (b *bubble) wantRan(want ...string) {
	b.t.Helper()
	if got := b.ran(); fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Fatalf("the command ran for %v, want %v; stderr: %s", got, want, b.err.String())
	}
}

// lines are those of stdout.
func (b *bubble) lines() []listenLine {
	b.t.Helper()
	synctest.Wait()
	return b.parse(b.out.String())
}

func (b *bubble) parse(text string) []listenLine {
	b.t.Helper()
	var list []listenLine
	for text := range strings.Lines(text) {
		var l listenLine
		if err := json.Unmarshal([]byte(text), &l); err != nil || !strings.HasSuffix(text, "\n") {
			b.t.Fatalf("%q: %v", text, err)
		}
		list = append(list, l)
	}
	return list
}

// device sends an upstream message from the first device.
func (b *bubble) device(id ccs.MessageID, data map[string]string) {
	b.t.Helper()
	if _, err := b.Upstream(b.Tokens()[0], fcmsim.Upstream{MessageID: id, Data: data}); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

func (b *bubble) wantState(id ccs.MessageID, state string) {
	b.t.Helper()
	synctest.Wait()
	u, err := b.UpstreamState("", id)
	if err != nil || u.State != state {
		b.t.Fatalf("%s is %s, %v; want %s; stderr: %s", id, u.State, err, state, b.err.String())
	}
}

func (b *bubble) wantSaid(words string) {
	b.t.Helper()
	synctest.Wait()
	if !strings.Contains(b.err.String(), words) {
		b.t.Errorf("stderr lacks %q:\n%s", words, b.err.String())
	}
}

func (b *bubble) wantCode(want int) {
	b.t.Helper()
	if got := b.end(); got != want {
		b.t.Errorf("exit code %d, want %d; stderr: %s", got, want, b.err.String())
	}
}

func TestListenPrintsALineAndAcksIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.start()
		b.device("u-1", map[string]string{"k": "a <b>\n"})
		b.wantState("u-1", fcmsim.UpstreamAcked)
		b.device("u-2", nil)
		b.wantState("u-2", fcmsim.UpstreamAcked)
		want := fmt.Sprintf(`{"kind":"upstream","from":%q,"category":"com.example.app","message_id":"u-1","data":{"k":"a \u003cb\u003e\n"},"stream":%q,"redelivered":false}
{"kind":"upstream","from":%[1]q,"category":"com.example.app","message_id":"u-2","data":{},"stream":%[2]q,"redelivered":false}
`, b.Tokens()[0], b.Streams()[0].ID)
		if got := b.out.String(); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
		b.wantCode(exitGood)
		b.wantSaid("listening on pipe as " + string(b.SenderID()) + "@gcm.googleapis.com/")
	})
}

func TestListenPrintsWordsForPeople(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.cmd.JSON = false
		b.start()
		b.device("u\x1b[2J", map[string]string{"k": "\x1b[31mred", "a": "1"})
		b.wantState("u\x1b[2J", fcmsim.UpstreamAcked)
		want := fmt.Sprintf(`upstream "u\x1b[2J" from %s, app com.example.app: {"a": "1", "k": "\x1b[31mred"}`+"\n", b.Tokens()[0].Redacted())
		if got := b.out.String(); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
}

func TestListenPrintsReceiptsAndAcksThem(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.runs(0)
		b.start()
		stream := b.Streams()[0].ID
		other, err := ccsclient.Dial(t.Context(), "sim:5235", b.credentials(), b.options())
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- other.Run(t.Context()) }()
		m := &ccs.Downstream{To: b.Tokens()[0], MessageID: "m-1", DeliveryReceiptRequested: true}
		if _, err := other.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := other.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ran
		got := b.lines()
		if len(got) != 1 {
			t.Fatalf("%d lines: %s", len(got), b.out.String())
		}
		at, device := got[0].Data["message_sent_timestamp"], got[0].Data["device_registration_id"]
		delete(got[0].Data, "message_sent_timestamp")
		delete(got[0].Data, "device_registration_id")
		want := listenLine{Kind: "receipt", From: "gcm.googleapis.com", Category: "com.example.app", MessageID: "dr2:m-1", Stream: stream,
			Data: map[string]string{"message_status": "MESSAGE_SENT_TO_DEVICE", "original_message_id": "m-1"}}
		if fmt.Sprint(got[0]) != fmt.Sprint(want) || at != fmt.Sprint(time.Now().UnixMilli()) || device != string(b.Tokens()[0]) {
			t.Errorf("got  %+v, sent at %s\nwant %+v", got[0], at, want)
		}
		b.wantRan("dr2:m-1")
		time.Sleep(time.Hour)
		b.Cut(nil)
		time.Sleep(time.Minute) // acked: it comes no more
		if n := len(b.lines()); n != 1 {
			t.Errorf("%d lines after a cut", n)
		}
	})
}

func TestListenAcksWhenTheCommandSucceeded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		t.Setenv("PENSTOCK_KEY", "a secret")
		t.Setenv("LISTEN_TEST", "kept")
		b.cmd.Exec = fmt.Sprintf(`cat > '%s/ran'; env > '%[1]s/env'; echo said; echo told >&2; sleep 0.1 & exit 0`, b.dir)
		b.start()
		b.device("u-1", map[string]string{"k": "$(touch /tmp/no) '\" v"})
		b.wantState("u-1", fcmsim.UpstreamAcked)
		stdin, err := os.ReadFile(filepath.Join(b.dir, "ran"))
		if err != nil || string(stdin) != b.out.String() {
			t.Errorf("stdin was %q, %v; stdout %q", stdin, err, b.out.String())
		}
		environ, err := os.ReadFile(filepath.Join(b.dir, "env"))
		if err != nil || !strings.Contains(string(environ), "LISTEN_TEST=kept\n") || strings.Contains(string(environ), "PENSTOCK_KEY=") {
			t.Errorf("the environment: %v %s", err, environ)
		}
		b.wantSaid("said\ntold\n")
		b.wantCode(exitGood)
	})
}

func TestListenRunsTheCommandAgainInItsPlaceFiveTimesAtMost(t *testing.T) {
	t.Run("until it succeeds", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.runs(75)
			b.start()
			b.device("u-1", nil)
			b.device("u-2", nil)
			b.wantRan("u-1")
			time.Sleep(time.Second - 1)
			b.wantRan("u-1")
			time.Sleep(time.Nanosecond)
			b.wantRan("u-1", "u-1")
			b.wantState("u-1", fcmsim.UpstreamOffered)
			b.wantState("u-2", fcmsim.UpstreamOffered)
			b.exits(0)
			time.Sleep(2 * time.Second)
			b.wantRan("u-1", "u-1", "u-1", "u-2")
			b.wantState("u-1", fcmsim.UpstreamAcked)
			b.wantState("u-2", fcmsim.UpstreamAcked)
			if n := len(b.lines()); n != 2 {
				t.Errorf("%d lines, want one for each message", n)
			}
			b.wantSaid("u-1 from " + b.Tokens()[0].Redacted() + ": the command ended with exit code 75: try again in 1s\n")
			b.wantCode(exitGood)
		})
	})
	t.Run("and no more", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.runs(75)
			b.start()
			b.device("u-1", nil)
			want := []string{"u-1"}
			for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
				b.wantRan(want...)
				b.wantState("u-1", fcmsim.UpstreamOffered)
				time.Sleep(wait*time.Second - 1)
				b.wantRan(want...)
				time.Sleep(time.Nanosecond)
				want = append(want, "u-1")
			}
			b.wantRan(want...)
			b.wantState("u-1", fcmsim.UpstreamAcked)
			b.wantSaid("failed for good, and acked: upstream u-1 from " + b.Tokens()[0].Redacted() + ": the command ended with exit code 75")
			if strings.Contains(b.err.String(), "try again in 32s") {
				t.Errorf("stderr promises a seventh run: %s", b.err.String())
			}
			time.Sleep(time.Hour)
			b.wantRan(want...)
			b.wantCode(exitFailed)
		})
	})
	t.Run("and not at all once it is to end", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.runs(75)
			b.start()
			b.device("u-1", nil)
			b.device("u-2", nil)
			began := time.Now()
			b.wantCode(exitGood)
			if took := time.Since(began); took > listenBye {
				t.Errorf("the end took %v", took)
			}
			b.wantRan("u-1")
			b.wantState("u-1", fcmsim.UpstreamWaiting)
			b.wantState("u-2", fcmsim.UpstreamWaiting)
		})
	})
}

func TestListenAcksAndReportsWhatFailedForGood(t *testing.T) {
	for how, c := range map[string]struct{ exec, says string }{
		"by an exit code":  {"exit 3", "exit code 3"},
		"by a signal":      {"kill -9 $$", "signal: killed"},
		"as unknown words": {"no-such-command-is-there", "exit code 127"},
	} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.cmd.Exec = c.exec
				b.start()
				b.device("u-1", nil)
				b.wantState("u-1", fcmsim.UpstreamAcked)
				b.wantSaid("failed for good, and acked: upstream u-1 from ")
				b.wantSaid(c.says)
				b.wantCode(exitFailed)
			})
		})
	}
}

func TestListenMarksWhatComesAgainAfterACut(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.runs(75)
		b.start()
		first := b.Streams()[0].ID
		b.device("u-1", nil)
		b.device("u-2", nil)
		b.exits(0)
		b.Cut(nil)
		time.Sleep(time.Second) // the command succeeds; its ack has nowhere to go
		b.wantRan("u-1", "u-1", "u-2")
		time.Sleep(time.Minute)
		b.wantRan("u-1", "u-1", "u-2") // not again for copies
		second := b.Streams()[0].ID
		b.wantState("u-1", fcmsim.UpstreamAcked)
		b.wantState("u-2", fcmsim.UpstreamAcked)
		var got []string
		for _, l := range b.lines() {
			got = append(got, fmt.Sprint(l.MessageID, " ", l.Stream, " ", l.Redelivered))
		}
		want := []string{"u-1 " + first + " false", "u-2 " + first + " false", "u-1 " + second + " true"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		b.wantSaid("stream " + first + " ended: ")
		b.wantCode(exitGood)
	})
}

func TestListenServesTheActionsThatItIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.cmd.Processor = []string{"echo", "register"}
		b.runs(0)
		b.start()
		token, other := b.Tokens()[0], b.Tokens()[1]
		echo := map[string]string{"action": "ECHO", "k": "v"}
		b.device("u-1", echo)
		b.device("u-2", map[string]string{"action": "REGISTER"})
		b.device("u-3", map[string]string{"action": "MESSAGE", "recipient": string(other)})
		b.device("u-4", nil)
		var got []string
		for _, r := range b.Record() {
			got = append(got, fmt.Sprint(r.To == token, r.Data))
		}
		want := []string{fmt.Sprint(true, echo), fmt.Sprint(true, map[string]string{"action": "REGISTER", "status": "ok"})}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		b.wantRan("u-3", "u-4") // whatever no processor serves
		for _, id := range []ccs.MessageID{"u-1", "u-2", "u-3", "u-4"} {
			b.wantState(id, fcmsim.UpstreamAcked)
		}
		if n := len(b.lines()); n != 4 {
			t.Errorf("%d lines", n)
		}
		b.wantCode(exitGood)
	})
	t.Run("and reports an answer that was refused", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.cmd.Processor = []string{"message"}
			b.start()
			b.device("u-1", map[string]string{"action": "MESSAGE", "recipient": string(b.DeadTokens()[0])})
			b.wantState("u-1", fcmsim.UpstreamAcked)
			b.wantSaid("failed for good, and acked: upstream u-1 from ")
			b.wantSaid("DEVICE_UNREGISTERED")
			b.wantCode(exitFailed)
		})
	})
}

func TestListenSendsAFirstMessage(t *testing.T) {
	for how, c := range map[string]struct {
		dead bool
		code int
		says string
	}{
		"that is acked":  {false, exitGood, " is acked\n"},
		"that is nacked": {true, exitFailed, "nack DEVICE_UNREGISTERED"},
	} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				to := b.Tokens()[0]
				if c.dead {
					to = b.DeadTokens()[0]
				}
				b.cmd.To, b.cmd.SendFirst = string(to), map[string]string{"message": "hello"}
				b.start()
				if r := b.Record(); len(r) != 1 || r[0].To != to || r[0].Data["message"] != "hello" {
					t.Errorf("the record is %+v", r)
				}
				b.wantSaid("the first message")
				b.wantSaid(c.says)
				if b.out.String() != "" || strings.Contains(b.err.String(), string(to)) {
					t.Errorf("stdout %q, stderr %q", b.out.String(), b.err.String())
				}
				b.wantCode(c.code)
			})
		})
	}
}

// A failing stdout takes so many lines and then no more.
type failing struct {
	terminal
	left atomic.Int32
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left.Add(-1) < 0 {
		return 0, errors.New("no space left on device")
	}
	return f.terminal.Write(p)
}

func TestListenDoesNotAckWhatItCouldNotWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var out failing
		out.left.Store(1)
		b.env.stdout = &out
		b.runs(0)
		b.start()
		b.device("u-1", nil)
		b.wantState("u-1", fcmsim.UpstreamAcked)
		b.device("u-2", nil)
		err := <-b.ended
		if b.code(err) != exitFailed || !strings.Contains(err.Error(), "stdout: no space left on device") {
			t.Errorf("ended by %v", err)
		}
		b.wantState("u-2", fcmsim.UpstreamWaiting)
		b.wantRan("u-1")
	})
}

// A stuck stdout takes nothing, and does not say so.
type stuck chan struct{}

func (s stuck) Write(p []byte) (int, error) { <-s; return len(p), nil }

func TestListenEndsThoughNobodyReadsItsLines(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		out := make(stuck)
		b.env.stdout = out
		b.start()
		b.device("u-1", nil)
		began := time.Now()
		b.stop()
		err := <-b.ended
		if took := time.Since(began); took > 30*time.Second || b.code(err) != exitFailed || !strings.Contains(err.Error(), "stdout takes nothing") {
			t.Errorf("ended after %v by %v", took, err)
		}
		b.wantState("u-1", fcmsim.UpstreamWaiting)
		close(out)
	})
}

func TestListenAcksNothingThatASecondSignalBrokeOff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.cmd.Exec = "sleep 1000"
		b.start()
		if _, err := b.Upstream(b.Tokens()[0], fcmsim.Upstream{MessageID: "u-1"}); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; runtime.Gosched() { // no waiting for the bubble while the command runs
			b.env.lastDeeds.Range(func(f, _ any) bool { (*f.(*func()))(); done = true; return false })
		}
		b.wantState("u-1", fcmsim.UpstreamOffered)
		b.wantSaid("upstream u-1 from " + b.Tokens()[0].Redacted() + " was broken off: it is not acked")
		b.wantCode(exitGood) // which nobody sees: the program has exited by then
		b.wantState("u-1", fcmsim.UpstreamWaiting)
	})
}

func TestListenThatNeverConnectedCouldNotBeTried(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.far.Close()
		b.start()
		b.wantSaid("no connection: sim:5235: connect: ")
		b.wantSaid("connecting again in ")
		b.wantCode(exitNotTried)
	})
}

func TestListenAnswersBeforeItEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.cmd.Processor = []string{"echo"}
		if err := b.SetFault(fcmsim.Fault{Delay: 3 * time.Second}); err != nil {
			t.Fatal(err)
		}
		b.start()
		b.device("u-1", map[string]string{"action": "ECHO"})
		b.device("u-2", map[string]string{"action": "ECHO"})
		b.wantCode(exitGood)
		if r := b.Record(); len(r) != 1 || r[0].Answer != "ack" {
			t.Errorf("the record is %+v", r)
		}
		b.wantState("u-1", fcmsim.UpstreamAcked)
		b.wantState("u-2", fcmsim.UpstreamWaiting)
	})
	t.Run("as long as it may", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.cmd.Processor = []string{"echo"}
			if err := b.SetFault(fcmsim.Fault{Silence: true}); err != nil {
				t.Fatal(err)
			}
			b.start()
			b.device("u-1", map[string]string{"action": "ECHO"})
			began := time.Now()
			b.wantCode(exitGood)
			if took := time.Since(began); took < b.cmd.Grace || took > b.cmd.Grace+2*listenBye {
				t.Errorf("the end took %v", took)
			}
			b.wantSaid("upstream u-1 from " + b.Tokens()[0].Redacted() + " was broken off: it is not acked")
			b.wantState("u-1", fcmsim.UpstreamWaiting)
		})
	})
}
