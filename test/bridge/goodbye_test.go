package bridge_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
)

// What an app server is at work with when Penstock is told to end is acked onward
// before the streams to the far end are closed: nobody gets it again.
func TestTheEndWaitsForUpstreamHandlers(t *testing.T) {
	for _, chain := range chains[:2] {
		t.Run(chain.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				p, _ := chain.make(w, sim)
				calls := new(counter)
				c := p.callers(string(sim.SenderID()), serverKey, &ccsclient.Options{
					Handlers: 100,
					Upstream: func(context.Context, ccsclient.Sender, *ccs.Upstream) error {
						calls.add(1)
						time.Sleep(3 * time.Second)
						return nil
					},
				})
				l := newLedger()
				c.expect(l, sim.Tokens()[0], accepted)
				device := sim.Tokens()[0]
				const count = 50
				var ids []ccs.MessageID
				for range count {
					id, err := sim.Upstream(device, fcmsim.Upstream{Data: map[string]string{"k": "v"}})
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, id)
				}
				time.Sleep(time.Second)
				if n := calls.add(0); n != count {
					t.Fatalf("%d are being handled", n)
				}
				began := time.Now()
				if err := p.end(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took < 2*time.Second || took > 8*time.Second {
					t.Errorf("it took %v, and the handlers are done after 2 s", took)
				}
				synctest.Wait() // the last acks have left, and those of a chain have further to go
				for _, id := range ids {
					if st, err := sim.UpstreamState(device, id); err != nil || st.State != "acked" {
						t.Errorf("%s is %s at the far end, %v", id, st.State, err)
					}
				}
				if n := calls.add(0); n != count {
					t.Errorf("%d messages were handled, and there are %d", n, count)
				}
			})
		})
	}
	t.Run("and for nobody who is not there", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *world) {
			sim := w.simulator(fcmsim.Options{})
			p := w.penstock(nil, overCCS(sim))
			id, err := sim.Upstream(sim.Tokens()[0], fcmsim.Upstream{Data: map[string]string{"k": "v"}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			began := time.Now()
			if err := p.end(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if st, err := sim.UpstreamState(sim.Tokens()[0], id); err != nil || st.State == "acked" {
				t.Errorf("it is %s at the far end, %v, and nobody has it", st.State, err)
			}
		})
	})
}
