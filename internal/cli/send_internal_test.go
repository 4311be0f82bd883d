package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A posting is a send in a bubble.
type posting struct {
	*bubble
	send sendCmd
}

// inPosting runs f in a bubble with a send of n messages, m-1 and so on.
func inPosting(t *testing.T, n int, f func(t *testing.T, p *posting)) {
	t.Helper()
	inBubble(t, func(t *testing.T, b *bubble) {
		p := &posting{bubble: b, send: sendCmd{To: string(b.Tokens()[0]), MessageID: "m", Count: &n, Timeout: 30 * time.Second, JSON: true}}
		p.send.Endpoint = "sim:5235"
		f(t, p)
	})
}

// startAt starts send towards a far end with this fault, and returns when nothing more happens by itself.
func (p *posting) startAt(fault fcmsim.Fault) {
	p.t.Helper()
	if err := p.SetFault(fault); err != nil {
		p.t.Fatal(err)
	}
	source, total, err := p.send.messages(p.t.Context(), map[string]bool{"to": true})
	if err != nil {
		p.t.Fatal(err)
	}
	go func() { p.ended <- p.send.send(p.env, p.credentials(), p.options(), source, total) }()
	synctest.Wait()
}

// signal stops send as a signal does, and returns its exit code and how long it
// took to end.
func (p *posting) signal() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	code = p.end()
	return code, time.Since(began)
}

// answers counts the lines of stdout by their answer and why, and wants them to
// be those that the summary, the last line, sums up.
func (p *posting) answers() map[string]int {
	p.t.Helper()
	lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
	var sum sendSummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || !sum.Summary {
		p.t.Fatalf("the last line is %s, %v", lines[len(lines)-1], err)
	}
	got := make(map[string]int)
	for _, line := range lines[:len(lines)-1] {
		var l sendLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		got[strings.TrimSpace(l.Answer+" "+l.ErrorDescription)]++
	}
	unknown := 0
	for what, n := range got {
		if strings.HasPrefix(what, "unknown") {
			unknown += n
		}
	}
	if sum.Sent != len(lines)-1 || sum.Acked != got["ack"] || sum.Unknown != unknown || sum.Nacked != 0 {
		p.t.Errorf("the summary is %+v, of %v", sum, got)
	}
	return got
}

func (p *posting) wantAnswers(want map[string]int) {
	p.t.Helper()
	if got := p.answers(); fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("got %v, want %v; stderr: %s", got, want, p.err.String())
	}
}

// wantGoodbye wants that one stream stood, and was closed in order.
func (p *posting) wantGoodbye() {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.closed) != 1 || p.closed[0] != nil {
		p.t.Errorf("streams ended with %v", p.closed)
	}
}

func TestC54_ASignalLetsWhatWasWrittenBeAnswered(t *testing.T) {
	inPosting(t, 50, func(t *testing.T, p *posting) {
		p.startAt(fcmsim.Fault{Delay: time.Second})
		if n := len(p.Record()); n != 50 {
			t.Fatalf("%d messages were written", n)
		}
		code, took := p.signal()
		if code != exitGood || took != time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
		p.wantAnswers(map[string]int{"ack": 50})
		p.wantGoodbye()
		p.wantSaid("ending: up to 10s for the answers to 50 messages")
	})
}

func TestC54_ASignalKeepsBackWhatWasNotWritten(t *testing.T) {
	// A window of 100 is written, as many wait behind it, and the rest is in the
	// source.
	inPosting(t, 1000, func(t *testing.T, p *posting) {
		p.startAt(fcmsim.Fault{Delay: 3 * time.Second})
		code, took := p.signal()
		if code != exitFailed || took != 3*time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
		// The one that waited for its place was handed over too.
		p.wantAnswers(map[string]int{"ack": 100, "unknown not sent: interrupted": sendAhead + 1})
		if n := len(p.Record()); n != ccs.Window {
			t.Errorf("%d messages were written", n)
		}
		p.wantGoodbye()
	})
}

func TestC54_ASignalWaitsTenSecondsAtMost(t *testing.T) {
	for _, tt := range []struct{ timeout, took time.Duration }{
		{30 * time.Second, sendGrace},
		{4 * time.Second, 3 * time.Second}, // one has passed
	} {
		t.Run(tt.timeout.String(), func(t *testing.T) {
			inPosting(t, 2, func(t *testing.T, p *posting) {
				p.send.Timeout = tt.timeout
				p.startAt(fcmsim.Fault{Silence: true})
				time.Sleep(time.Second)
				code, took := p.signal()
				if code != exitFailed || took != tt.took {
					t.Errorf("exit code %d after %v", code, took)
				}
				p.wantAnswers(map[string]int{"unknown written, but interrupted before the answer came; it may have been delivered": 2})
				p.wantGoodbye()
			})
		})
	}
}

func TestASignalWithNothingWrittenEndsSendAtOnce(t *testing.T) {
	inPosting(t, 1000, func(t *testing.T, p *posting) {
		p.far.Close()
		p.startAt(fcmsim.Fault{Delay: time.Second})
		code, took := p.signal()
		if code != exitFailed || took != 0 {
			t.Errorf("exit code %d after %v", code, took)
		}
		if n := len(p.Record()); n != 0 {
			t.Errorf("%d messages were written", n)
		}
		for what, n := range p.answers() {
			if !strings.HasPrefix(what, "unknown not sent: ") {
				t.Errorf("%d of %s", n, what)
			}
		}
	})
}

// A signal ends the wait for a pipe that nobody ends.
func TestASignalEndsTheWaitForAPipe(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := time.AfterFunc(10*time.Second, func() { in.Close() })
	defer late.Stop()
	if _, _, err := fileMessages(ctx, fmt.Sprintf("/dev/fd/%d", out.Fd())); !errors.Is(err, errEndedBySignal) {
		t.Errorf("got %v", err)
	}
	if !late.Stop() {
		t.Error("it took as long as the pipe was open")
	}
}
