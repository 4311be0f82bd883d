package bridge_test

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"penstock/fcmsim"
	"penstock/internal/config"
)

// FCM is away for two minutes, while senders go on as before: they learn it, FCM
// is left in peace, and when it is back nobody storms it.
func TestStatement19_R_F27_FCMGoesAwayAndComesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		down func(*testing.T, *world, *fcmsim.Sim)
		up   func(*world, *fcmsim.Sim)
		// calm is when all is as before: a ramp of a minute, behind the next
		// probe, or the next dial.
		calm time.Duration
	}{
		{
			"503", func(t *testing.T, _ *world, sim *fcmsim.Sim) {
				if err := sim.SetFault(fcmsim.Fault{Error: "E22"}); err != nil {
					t.Fatal(err)
				}
			},
			func(_ *world, sim *fcmsim.Sim) { sim.ClearFaults() },
			70 * time.Second,
		},
		{
			"R-F9 nobody listens", func(t *testing.T, w *world, sim *fcmsim.Sim) { w.mem.takeDown(hostOf(t, sim)) },
			func(w *world, sim *fcmsim.Sim) { w.mem.bringUp(hostOf(w.t, sim)) },
			130 * time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				const (
					each   = 5 // messages a second, by each front
					normal = 30 * time.Second
					outage = 2 * time.Minute
				)
				sim := w.simulator(fcmsim.Options{})
				shop := overFCM(sim)
				shop.Quotas = config.NewProject("shop").Quotas // as towards Google
				p := w.penstock(nil, shop)
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				began := time.Now()
				var all sync.WaitGroup
				// flow sends for so long, and calls judge about each message.
				flow := func(long time.Duration, judge func(by front, sent time.Duration, s said)) {
					for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Second / each) {
						for n, by := range fronts {
							to := sim.Tokens()[n]
							all.Go(func() {
								sent := time.Since(began)
								judge(by, sent, l.send(c, by, to))
							})
						}
					}
				}
				ok := func(by front, sent time.Duration, s said) {
					if s.word != "ok" {
						t.Errorf("%s at %v: told %s", by, sent, s.word)
					}
				}
				flow(normal, ok)
				tt.down(t, w, sim)
				down, dialled := time.Now(), w.mem.dialled(hostOf(t, sim))
				flow(outage, func(by front, sent time.Duration, s said) {
					lost := sent < normal+outage-patience
					if s.word != unavailable[by] && (lost || s.word != "ok") {
						t.Errorf("%s at %v: told %s", by, sent, s.word)
					}
				})
				tries := 0
				for _, r := range sim.Record() {
					if !r.Time.Before(down) {
						tries++
					}
				}
				tries += w.mem.dialled(hostOf(t, sim)) - dialled
				if most := 100 + int(outage/time.Second); tries < 3 || tries > most {
					t.Errorf("FCM was tried %d times in %v, want at most %d", tries, outage, most)
				}
				if !p.isHeld("shop", "storm") {
					t.Error("nothing tells of the storm")
				}
				tt.up(w, sim)
				up := time.Now()
				flow(tt.calm+20*time.Second, func(by front, sent time.Duration, s said) {
					if sent > normal+outage+tt.calm {
						ok(by, sent, s)
					}
				})
				all.Wait()
				perSecond := make(map[int]int)
				for _, r := range sim.Record() {
					if !r.Time.Before(up) {
						perSecond[int(r.Time.Sub(up)/time.Second)]++
					}
				}
				for second, n := range perSecond {
					if n > 2*each*len(fronts) {
						t.Errorf("%d messages in second %d after the outage; normal are %d", n, second, each*len(fronts))
					}
				}
				if !p.isHeld("shop", "") {
					t.Error("the project is still held")
				}
				l.audit(t, sim)
			})
		})
	}
}

// hostOf is where the simulator's HTTP v1 is dialled.
func hostOf(t *testing.T, sim *fcmsim.Sim) string {
	t.Helper()
	u, err := url.Parse(sim.FCMURL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
