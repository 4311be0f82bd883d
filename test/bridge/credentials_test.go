package bridge_test

import (
	"sync"
	"testing"
	"time"

	"penstock/fcmsim"
)

// FCM ends all connections again and again, and takes back what it has not
// looked at.
func TestStatement21_R_F12_ConnectionsGoAwayAllTheTime(t *testing.T) {
	t.Parallel()
	w := onLoopback(t)
	sim := w.simulator(fcmsim.Options{})
	for _, f := range []fcmsim.Fault{{GoAway: true, Every: 100}, {GoAway: true, Refuse: true, Every: 333}} {
		if err := sim.SetFault(f); err != nil {
			t.Fatal(err)
		}
	}
	p := w.penstock(nil, overFCM(sim))
	c := p.callers(string(sim.SenderID()), serverKey, nil)
	l := newLedger()
	tokens := sim.Tokens()
	const each = 1000
	var all sync.WaitGroup
	for _, by := range fronts {
		for worker := range 20 {
			all.Go(func() {
				for n := range each / 20 {
					if s := l.send(c, by, tokens[(worker+n)%len(tokens)]); s.word != "ok" {
						t.Errorf("%s: told %s %s", by, s.word, s.text)
					}
				}
			})
		}
	}
	all.Wait()
	l.audit(t, sim)
	if n := l.count("ok"); n != len(fronts)*each {
		t.Errorf("%d callers were told of success", n)
	}
	if n := len(sim.Record()); n != len(fronts)*each {
		t.Errorf("FCM was asked %d times for %d messages", n, len(fronts)*each)
	}
	for _, f := range sim.Faults() {
		if f.Applied < 5 {
			t.Errorf("it went away %d times only", f.Applied)
		}
	}
}

func TestS_15_AccessTokensExpireInTheMiddle(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sim := w.simulator(fcmsim.Options{AnswerDelay: 50 * time.Millisecond})
		p := w.penstock(nil, overFCM(sim))
		c := p.callers(string(sim.SenderID()), serverKey, nil)
		l := newLedger()
		var all sync.WaitGroup
		for _, by := range fronts {
			for worker := range 5 {
				all.Go(func() {
					for range 60 {
						if s := l.send(c, by, sim.Tokens()[worker]); s.word != "ok" {
							t.Errorf("%s: told %s %s", by, s.word, s.text)
						}
						time.Sleep(950 * time.Millisecond)
					}
				})
			}
		}
		const times = 3
		for range times {
			time.Sleep(15*time.Second + 10*time.Millisecond)
			if n := sim.ExpireAccessTokens(); n != 1 {
				t.Errorf("%d tokens were in use", n)
			}
		}
		all.Wait()
		l.audit(t, sim)
		if n := sim.TokenRequests(); n != 1+times {
			t.Errorf("%d access tokens were asked for, want %d", n, 1+times)
		}
		refused := 0
		for _, r := range sim.Record() {
			if r.Status == 401 {
				refused++
			}
		}
		if refused < times || len(sim.Record()) != l.count("ok")+refused {
			t.Errorf("%d requests, %d of them refused, for %d messages", len(sim.Record()), refused, l.count("ok"))
		}
		if !p.isHeld("shop", "") {
			t.Error("the project is held")
		}
	})
}
