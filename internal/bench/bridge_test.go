package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"penstock/internal/ccstest"
)

func TestBridgeMeasuresTheGateway(t *testing.T) {
	var steps []string
	b := small(t.Context(), &steps)
	b.profile = time.Second
	r, err := b.bridge()
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 4 || b.total != 4 {
		t.Errorf("steps %q of %d", steps, b.total)
	}
	if r.Raw <= 0 || r.Ours <= 0 || r.Ratio <= 0 || r.RawCPU <= 0 || r.RSSMB <= 0 {
		t.Errorf("a figure is missing: %+v", r)
	}
	if len(r.Latency) != 2 || r.Latency[0].Rate != min(5000, r.Ours/2) || r.Latency[1].Rate != r.Ours/2 || r.P99 != r.Latency[0].P99 {
		t.Fatalf("latency at %+v, want it at 5000 and at half of %d", r.Latency, r.Ours)
	}
	for _, l := range r.Latency {
		if l.P50 <= 0 || l.P99 < l.P50 || l.RawP50 <= 0 || l.RawP99 < l.RawP50 {
			t.Errorf("at %d messages a second: %+v", l.Rate, l)
		}
	}
	c := r.CPU
	if sum := c.Read + c.Translate + c.Send + c.Answer + c.Runtime; c.Total <= 0 || math.Abs(sum-c.Total) > 0.01 {
		t.Errorf("the parts are %v of %v: %+v", sum, c.Total, c)
	}
	if c.Runtime >= c.Total { // of few samples each stage need not have one
		t.Errorf("no stage was seen: %+v", c)
	}
	line, err := json.Marshal(r)
	if err != nil || strings.ContainsRune(string(line), '\n') {
		t.Errorf("%q, %v", line, err)
	}
	for _, name := range []string{`{"bench":"bridge",`, `"raw":`, `"ours":`, `"ratio":`, `"p99_ms_at_half":`, `"cpu_us":{"total":`, `"read":`, `"translate":`, `"send":`, `"answer":`} {
		if !strings.Contains(string(line), name) {
			t.Errorf("%s lacks %s", line, name)
		}
	}
}

func TestBridgeEndsWithItsContext(t *testing.T) {
	for _, step := range []string{"rate", "where", "answers"} {
		t.Run(step, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var steps []string
			b := small(ctx, &steps)
			b.hurryBy, b.profile = time.Nanosecond, time.Second
			b.step = func(_, _ int, what string) {
				if strings.HasPrefix(what, step) {
					b.slice, b.profile = time.Hour, time.Hour // it would not end by itself
					time.AfterFunc(300*time.Millisecond, cancel)
				}
			}
			if _, err := b.bridge(); !errors.Is(err, context.Canceled) {
				t.Errorf("it returned %v", err)
			}
		})
	}
}

func TestABridgeThatAnswersByItselfIsFoundOut(t *testing.T) {
	var steps []string
	b := small(t.Context(), &steps)
	if err := b.open(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	br, err := b.between(roleMinimal)
	if err != nil {
		t.Fatal(err)
	}
	defer br.end()
	if _, err := b.through(br, b.slice, commandMark); err == nil || !strings.HasSuffix(err.Error(), "of which 0 came out of it") {
		t.Errorf("it returned %v", err)
	}
}

func TestSamplesHaveStages(t *testing.T) {
	for want, stacks := range map[string][]string{
		stageRead: {
			"internal/runtime/syscall.Syscall6 crypto/tls.(*Conn).Read penstock/internal/xmpp.(*Conn).read penstock/internal/xmpp.(*Conn).Run penstock/ccsserver.(*session).serve",
			"runtime.mallocgc penstock/ccs.ParseFromApp penstock/ccsserver.(*session).message",
		},
		stageTranslate: {
			"runtime.mallocgc penstock/internal/translate.ToV1 penstock/internal/transport/tofcm.(*Transport).Send penstock/internal/downstream.(*Lane).try",
			"penstock/fcm.(*SendRequest).Append penstock/fcmsend.(*Sender).SendBy penstock/internal/downstream.(*Lane).try",
		},
		stageSend: {
			"runtime.newproc penstock/internal/downstream.(*Lane).pump penstock/internal/downstream.(*Lane).Submit penstock/internal/front/ccs.(*Handler).Downstream penstock/ccsserver.(*session).hand",
			"crypto/tls.(*Conn).Write penstock/fcmsend.(*h2conn).write",
		},
		stageAnswer: {
			"golang.org/x/net/http2.(*Framer).ReadFrame penstock/fcmsend.(*h2conn).read",
			"penstock/ccs.AppendAck penstock/ccsserver.(*Request).Answer penstock/internal/front/ccs.(*Handler).Downstream.func1 penstock/internal/downstream.(*Lane).try",
			"crypto/tls.(*Conn).Write penstock/internal/xmpp.(*Writer).write penstock/internal/xmpp.(*Writer).Run",
		},
		stageRuntime: {"runtime.futex runtime.findRunnable runtime.schedule", ""},
	} {
		for _, stack := range stacks {
			if got := stageOf(strings.Fields(stack)); got != want {
				t.Errorf("%s is %s, want %s", stack, got, want)
			}
		}
	}
}

func TestAProfileIsReadAsItIs(t *testing.T) {
	var packed bytes.Buffer
	if err := pprof.StartCPUProfile(&packed); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
		spin()
	}
	pprof.StopCPUProfile()
	samples, err := readProfile(packed.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var total, here int64
	for _, s := range samples {
		if s.value <= 0 || s.value%int64(10*time.Millisecond) != 0 {
			t.Errorf("a sample of %d ns", s.value)
		}
		total += s.value
		if i := slices.Index(s.functions, "penstock/internal/bench.spin"); i >= 0 && i < slices.Index(s.functions, "penstock/internal/bench.TestAProfileIsReadAsItIs") {
			here += s.value
		}
	}
	if here == 0 || here > total {
		t.Errorf("%d of %d ns are where all the time was spent", here, total)
	}
	shares, err := stagesOf(packed.Bytes())
	if err != nil || math.Abs(sum(shares)-1) > 1e-9 {
		t.Errorf("%v, %v", shares, err)
	}
}

func sum(shares map[string]float64) (all float64) {
	for _, s := range shares {
		all += s
	}
	return all
}

//go:noinline
func spin() {
	x := 1
	for range 1_000_000 {
		x = x*3 + 1
	}
	runtime.KeepAlive(x)
}

func TestWhatIsNoProfileIsRefused(t *testing.T) {
	var packed bytes.Buffer
	if err := pprof.StartCPUProfile(&packed); err != nil {
		t.Fatal(err)
	}
	pprof.StopCPUProfile()
	if _, err := stagesOf(packed.Bytes()); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("a profile without samples: %v", err)
	}
	if _, err := stagesOf([]byte("no profile")); err == nil {
		t.Error("text passes for a profile")
	}
	if _, err := stagesOf(packed.Bytes()[:packed.Len()/2]); err == nil {
		t.Error("half a profile passes for one")
	}
	for name, text := range map[string][]byte{"a tag without end": {0x80}, "a length beyond the end": {0x12, 5, 1}, "an empty list": {0x12, 2, 0x0a, 0}} {
		if err := fields(text, func(_ protowire.Number, _ uint64, sub []byte) error {
			return fields(sub, func(_ protowire.Number, _ uint64, list []byte) error {
				_, err := varints(list)
				return err
			})
		}); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestMessagesAreDueAtTicks(t *testing.T) {
	s := newPacedStream(nil, 3, 2000, 10*time.Millisecond, 90*time.Millisecond)
	if s.first != 3_000_000_001 {
		t.Errorf("the first id is %d", s.first)
	}
	for n, want := range []time.Duration{1, 1, 2, 2, 3} {
		if got := s.due(n); got != want*time.Millisecond {
			t.Errorf("message %d is due after %v, want %v ms", n, got, want)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 7 * time.Millisecond, 100 * time.Millisecond, time.Hour} {
		want := int(2 * min(d, 100*time.Millisecond) / time.Millisecond)
		if got := s.dueBy(d); got != want {
			t.Errorf("%d messages are due by %v, want %d", got, d, want)
		}
	}
}

// answerer is an end of CCS that acks each message after a time, once it is logged in.
func answerAfter(t *testing.T, delay time.Duration) *pacedStream {
	here, there := ccstest.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&minimal{delay: delay}).serveLater(there)
	}()
	t.Cleanup(func() {
		here.Close()
		<-done
	})
	s := newPacedStream(here, 0, 5000, 10*time.Millisecond, 100*time.Millisecond)
	s.sleep = time.Sleep // in fake time
	return s
}

func TestAPacedStreamMeasuresFromWhenMessagesAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := answerAfter(t, 7*time.Millisecond)
		if err := s.run(time.Now()); err != nil {
			t.Fatal(err)
		}
		if len(s.took) != 500 || s.sent != 550 {
			t.Errorf("%d messages sent, %d measured; 550 are due, 500 of them after the warm-up", s.sent, len(s.took))
		}
		if low, high := slices.Min(s.took), slices.Max(s.took); low != 7*time.Millisecond || high != 7*time.Millisecond {
			t.Errorf("answers took %v to %v", low, high)
		}
	})
}

func TestAPacedStreamThatIsHeldBackCountsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := answerAfter(t, 40*time.Millisecond) // a window of 100 is 2,500 a second
		if err := s.run(time.Now()); err != nil {
			t.Fatal(err)
		}
		if len(s.took) != 500 || slices.Max(s.took) < 100*time.Millisecond {
			t.Errorf("%d answers took up to %v: half of the messages had to wait for the others", len(s.took), slices.Max(s.took))
		}
	})
}

func TestAPacedStreamWithoutAnswersEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := ccstest.Pipe()
		defer there.Close()
		defer here.Close()
		s := newPacedStream(here, 0, 500, 0, 100*time.Millisecond)
		s.sleep = time.Sleep
		if err := s.run(time.Now()); err == nil {
			t.Error("it did not miss its answers")
		}
	})
}
