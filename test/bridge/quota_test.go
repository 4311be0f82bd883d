package bridge_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"penstock/fcmsim"
)

// A 429 of the project holds all of it, exactly as long as FCM says, or for a
// minute.
func TestStatement18_S_28_TheProjectWaitsAsLongAsFCMSays(t *testing.T) {
	for _, tt := range []struct {
		name       string
		retryAfter func() string
		wait       time.Duration
	}{
		{"seconds", func() string { return "30" }, 30 * time.Second},
		{"a date", func() string { return time.Now().Add(45 * time.Second).UTC().Format(http.TimeFormat) }, 45 * time.Second},
		{"nothing", func() string { return "" }, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				p := w.penstock(nil, overFCM(sim))
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				c.expect(l, sim.Tokens()[0], accepted)
				if err := sim.SetFault(fcmsim.Fault{Error: "E13", RetryAfter: tt.retryAfter(), Next: 1}); err != nil {
					t.Fatal(err)
				}
				first := l.send(c, byV1, sim.Tokens()[0])
				held := time.Now()
				if first.word != unavailable[byV1] || first.retryAfter != strconv.Itoa(int(tt.wait/time.Second)) {
					t.Errorf("told %s, Retry-After %q", first.word, first.retryAfter)
				}
				if !p.isHeld("shop", "quota") {
					t.Error("nothing tells of the quota")
				}
				seen := len(sim.Record())
				var all sync.WaitGroup
				for _, by := range fronts {
					all.Go(func() {
						for ; ; time.Sleep(100 * time.Millisecond) {
							s := l.send(c, by, sim.Tokens()[1])
							if s.word == "ok" || time.Since(held) > time.Hour {
								return
							}
							if s.word != unavailable[by] {
								t.Errorf("%s: told %s", by, s.word)
							}
							// Who is refused is told what is left of the pause.
							left := tt.wait - time.Since(held)
							if wait, _ := strconv.Atoi(s.retryAfter); by != byCCS && (time.Duration(wait)*time.Second-left).Abs() > time.Second {
								t.Errorf("%s: Retry-After %q with %v left", by, s.retryAfter, left)
							}
						}
					})
				}
				all.Wait()
				next := sim.Record()[seen]
				if late := next.Time.Sub(held) - tt.wait; late < 0 || late > time.Second {
					t.Errorf("FCM was asked again after %v, want %v", next.Time.Sub(held), tt.wait)
				}
				l.audit(t, sim)
			})
		})
	}
}

func TestS_29_OneDevicesLimitIsItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sim := w.simulator(fcmsim.Options{})
		p := w.penstock(nil, overFCM(sim))
		c := p.callers(string(sim.SenderID()), serverKey, nil)
		l := newLedger()
		busy, other := sim.Tokens()[0], sim.Tokens()[1]
		if err := sim.SetFault(fcmsim.Fault{Error: "E14", Token: busy, Next: 1}); err != nil {
			t.Fatal(err)
		}
		if s := l.send(c, byV1, busy); s.word != deviceQuota[byV1] || s.status != http.StatusTooManyRequests {
			t.Errorf("told %s, %d", s.word, s.status)
		}
		began := time.Now()
		for range 50 {
			c.expect(l, other, accepted)
		}
		seen := len(sim.Record())
		c.expect(l, busy, deviceQuota)
		if n := len(sim.Record()) - seen; n != 0 {
			t.Errorf("FCM was asked %d times about a device that is to be left alone", n)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("that took %v: somebody has waited", took)
		}
		if !p.isHeld("shop", "") {
			t.Error("the project is held for one device")
		}
		time.Sleep(time.Minute)
		c.expect(l, busy, accepted)
		l.audit(t, sim)
	})
}
