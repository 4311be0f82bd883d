package bridge_test

import (
	"sync"
	"testing"
	"time"

	"penstock/fcmsim"
	"penstock/internal/config"
)

// A project's own verdict_timeout is how long its senders wait, by whichever
// front they send and wherever the message goes; the others wait as long as the
// general one says.
func TestAProjectsOwnPatienceRulesItsMessages(t *testing.T) {
	const own = 3 * time.Second
	ways := map[string]func(*fcmsim.Sim) *config.Project{"HTTP v1": overFCM, "CCS": overCCS}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sims := []*fcmsim.Sim{w.simulator(fcmsim.Options{}), w.simulator(fcmsim.Options{})}
				hasty, calm := way(sims[0]), way(sims[1])
				hasty.VerdictTimeout = own
				calm.Name, calm.Keys[0].Secret = "calm", config.NewSecret(otherKey)
				p := w.penstock(nil, hasty, calm)
				apps := []*callers{
					p.callers(string(sims[0].SenderID()), serverKey, nil), p.callers(string(sims[1].SenderID()), otherKey, nil),
				}
				apps[1].name = "calm"
				ledgers := []*ledger{newLedger(), newLedger()}
				for n, sim := range sims {
					apps[n].expect(ledgers[n], sim.Tokens()[0], accepted)
					if err := sim.SetFault(fcmsim.Fault{Silence: true, Deliver: true}); err != nil {
						t.Fatal(err)
					}
				}
				var all sync.WaitGroup
				// One try takes ten seconds at most, which is less than the general patience.
				for n, limit := range []time.Duration{own, min(patience, 10*time.Second)} {
					for _, by := range fronts {
						all.Go(func() {
							began := time.Now()
							s := ledgers[n].send(apps[n], by, sims[n].Tokens()[0])
							took := time.Since(began)
							if s.word != unavailable[by] || !s.unknown || took != limit {
								t.Errorf("%s, project %s: told %s %s after %v, want %s after %v",
									by, apps[n].name, s.word, s.text, took, unavailable[by], limit)
							}
						})
					}
				}
				all.Wait()
				for n, sim := range sims {
					ledgers[n].audit(t, sim)
				}
			})
		})
	}
	t.Run("without a stream to a far end nothing is sent, or said to be", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *world) {
			sim := w.simulator(fcmsim.Options{})
			shop := overCCS(sim)
			shop.VerdictTimeout = own
			w.mem.takeDown(sim.Addr())
			p := w.penstock(nil, shop)
			c := p.callers(string(sim.SenderID()), serverKey, nil)
			l := newLedger()
			var all sync.WaitGroup
			for _, by := range fronts {
				all.Go(func() {
					began := time.Now()
					s := l.send(c, by, sim.Tokens()[0])
					if took := time.Since(began); s.word != unavailable[by] || s.unknown && by != byLegacy || took != own-time.Second {
						t.Errorf("%s: told %s %s after %v", by, s.word, s.text, took)
					}
				})
			}
			time.Sleep(own)
			w.mem.bringUp(sim.Addr())
			all.Wait()
			time.Sleep(2 * time.Minute)
			l.audit(t, sim)
			if n := len(sim.Record()); n != 0 {
				t.Errorf("%d messages were sent behind their time", n)
			}
		})
	})
}
