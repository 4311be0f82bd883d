package bridge_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcmsim"
)

// chains are a Penstock that goes to the simulator by CCS, and one that goes to
// another Penstock, which goes by HTTP v1, or by CCS too.
var chains = []struct {
	name string
	make func(w *world, sim *fcmsim.Sim) (near *penstock, all []*penstock)
}{
	{"CCS", func(w *world, sim *fcmsim.Sim) (*penstock, []*penstock) {
		p := w.penstock(nil, overCCS(sim))
		return p, []*penstock{p}
	}},
	{"CCS to CCS", func(w *world, sim *fcmsim.Sim) (*penstock, []*penstock) {
		far := w.penstock(nil, overCCS(sim))
		near := w.penstock(nil, overPenstock(far, string(sim.SenderID())))
		return near, []*penstock{near, far}
	}},
	{"CCS to HTTP v1", func(w *world, sim *fcmsim.Sim) (*penstock, []*penstock) {
		far := w.penstock(nil, overFCM(sim))
		near := w.penstock(nil, overPenstock(far, string(sim.SenderID())))
		return near, []*penstock{near, far}
	}},
}

func TestVerdictsComeThroughAChain(t *testing.T) {
	for _, chain := range chains {
		t.Run(chain.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				p, _ := chain.make(w, sim)
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				for range 20 {
					c.expect(l, sim.Tokens()[0], accepted)
					c.expect(l, sim.DeadTokens()[0], dead)
					c.expect(l, sim.ForeignTokens()[0], foreign)
					c.expect(l, "no token at all", malformed)
				}
				l.audit(t, sim)
				if n := len(sim.Record()); n != l.count("") {
					t.Errorf("the simulator got %d messages, and there were %d", n, l.count(""))
				}
			})
		})
	}
}

// An upstream message or a receipt is acked at the far end only once the app
// server has acked it, and is offered until then.
func TestUpstreamAndReceiptsComeThroughAChain(t *testing.T) {
	for _, chain := range chains[:2] {
		t.Run(chain.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				p, all := chain.make(w, sim)
				const count = 150 // more than a window
				device := sim.Tokens()[0]
				states := func() (acked int) {
					for n := range count {
						st, err := sim.UpstreamState(device, ccs.MessageID(strconv.Itoa(n)))
						if err != nil {
							t.Fatal(err)
						}
						if st.State == "acked" {
							acked++
						}
					}
					return acked
				}
				for n := range count {
					if _, err := sim.Upstream(device, fcmsim.Upstream{MessageID: ccs.MessageID(strconv.Itoa(n))}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Minute)
				if n := states(); n != 0 {
					t.Fatalf("%d were acked, and there is no app server", n)
				}

				// One that goes away in the middle of its work: what it has not
				// acked is not acked at the far end either.
				var mu sync.Mutex
				begun, done := make(map[ccs.MessageID]int), make(map[ccs.MessageID]int)
				gate := make(chan struct{})
				handler := func(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
					mu.Lock()
					begun[m.MessageID]++
					mu.Unlock()
					select {
					case <-gate:
					case <-ctx.Done():
						return ctx.Err()
					}
					if st, err := sim.UpstreamState(device, m.MessageID); err != nil || st.State == "acked" {
						t.Errorf("%s was acked before the app server was done with it: %v", m.MessageID, err)
					}
					mu.Lock()
					done[m.MessageID]++
					mu.Unlock()
					return nil
				}
				first := p.callers(string(sim.SenderID()), serverKey, &ccsclient.Options{Upstream: handler, Handlers: 100})
				time.Sleep(time.Second)
				mu.Lock()
				if len(begun) != 100 {
					t.Errorf("the app server was offered %d messages", len(begun))
				}
				mu.Unlock()
				// It handles no receipts: one that it was offered is not acked at once.
				acked := func(p *penstock, kind string) string {
					return p.metric(`penstock_upstream_messages_total{kind="` + kind + `",outcome="acked",project="shop"}`)
				}
				if _, err := first.pool.Send(t.Context(), &ccs.Downstream{To: device, MessageID: "early", DeliveryReceiptRequested: true}); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Second)
				for n, each := range all {
					if got := acked(each, "receipt"); got != "" && got != "0" {
						t.Errorf("Penstock %d has acked a receipt that nobody took", n)
					}
				}
				first.pool.Close()
				time.Sleep(10 * time.Minute)
				if n := states(); n != 0 {
					t.Errorf("%d were acked, and the app server has acked none", n)
				}

				close(gate)
				receipts := make(map[ccs.MessageID]int)
				c := p.callers(string(sim.SenderID()), serverKey, &ccsclient.Options{
					Upstream: handler, Handlers: 100,
					Receipts: func(_ context.Context, r *ccs.Receipt) error {
						mu.Lock()
						defer mu.Unlock()
						receipts[r.OriginalMessageID]++
						return nil
					},
				})
				until(t, "all are acked", func() bool { return states() == count })
				mu.Lock()
				for id, n := range done {
					if n != 1 {
						t.Errorf("the app server was done %d times with %s", n, id)
					}
				}
				if len(done) != count {
					t.Errorf("the app server was done with %d messages", len(done))
				}
				mu.Unlock()

				for n := range count {
					if _, err := c.pool.Send(t.Context(), &ccs.Downstream{
						To: device, MessageID: ccs.MessageID("m-" + strconv.Itoa(n)), DeliveryReceiptRequested: true,
					}); err != nil {
						t.Error(err)
					}
				}
				for _, each := range all {
					until(t, "all receipts are acked", func() bool {
						return acked(each, "receipt") == strconv.Itoa(count+1) && acked(each, "upstream") == strconv.Itoa(count)
					})
				}
				synctest.Wait()
				mu.Lock()
				for n := range count {
					if receipts[ccs.MessageID("m-"+strconv.Itoa(n))] != 1 {
						t.Errorf("%d receipts of m-%d came", receipts[ccs.MessageID("m-"+strconv.Itoa(n))], n)
					}
				}
				mu.Unlock()

				// What nobody has acked when Penstock ends stays at the far end.
				c.pool.Close()
				late, err := sim.Upstream(device, fcmsim.Upstream{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				for _, each := range all {
					if err := each.end(); err != nil {
						t.Error(err)
					}
				}
				if st, err := sim.UpstreamState(device, late); err != nil || st.State == "acked" || st.Offers == 0 {
					t.Errorf("the last message is %+v, %v", st, err)
				}
			})
		})
	}
}

// The far end drains its streams again and again while messages flow: callers
// notice nothing.
func TestR_F16_TheFarEndDrains(t *testing.T) {
	for _, chain := range chains {
		t.Run(chain.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				drained := new(counter)
				sim := w.simulator(fcmsim.Options{AnswerDelay: 30 * time.Millisecond, Server: &ccsserver.Options{
					Events: &ccsserver.Events{Draining: func(ccsserver.Stream) { drained.add(1) }},
				}})
				p, all := chain.make(w, sim)
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				c.expect(l, sim.Tokens()[0], accepted)
				var flow sync.WaitGroup
				for _, by := range fronts {
					for worker := range 10 {
						flow.Go(func() {
							for range 60 {
								if s := l.send(c, by, sim.Tokens()[worker]); s.word != "ok" {
									t.Errorf("%s: told %s %s", by, s.word, s.text)
								}
								time.Sleep(100 * time.Millisecond)
							}
						})
					}
				}
				for range 5 {
					time.Sleep(time.Second)
					sim.Drain(ccsserver.DrainOptions{})
				}
				flow.Wait()
				if n := drained.add(0); chain.name != "CCS to HTTP v1" && n != 5 {
					t.Errorf("%d streams were drained", n)
				}
				if n := c.drains.add(0); n != 0 {
					t.Errorf("the app server's own stream was drained %d times", n)
				}
				l.audit(t, sim)
				if len(all) == 1 {
					return
				}

				// The far Penstock ends in order: its streams drain, what it has
				// taken is answered; the near one keeps its app server.
				for _, by := range fronts {
					for worker := range 10 {
						flow.Go(func() {
							for range 20 {
								s := l.send(c, by, sim.Tokens()[worker])
								if s.word != "ok" && s.word != unavailable[by] || s.word != "ok" && s.unknown && by != byLegacy {
									t.Errorf("%s: told %s %s", by, s.word, s.text)
								}
								time.Sleep(100 * time.Millisecond)
							}
						})
					}
				}
				time.Sleep(time.Second)
				far := all[1]
				began := time.Now()
				if err := far.end(); err != nil || time.Since(began) > 30*time.Second {
					t.Errorf("it ended after %v: %v", time.Since(began), err)
				}
				flow.Wait()
				if n := c.drains.add(0); n != 0 {
					t.Errorf("the app server's own stream was drained %d times", n)
				}
				l.audit(t, sim)
			})
		})
	}
}
