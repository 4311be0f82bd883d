package bridge_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
	"penstock/internal/config"
)

const otherKey = "psk_another012345678"

// Of two projects in one process one is broken: the other does not notice.
func TestABrokenProjectIsNobodyElsesTrouble(t *testing.T) {
	for _, spoilt := range []bool{false, true} {
		inBubble(t, func(t *testing.T, w *world) {
			good, bad := w.simulator(fcmsim.Options{AnswerDelay: 20 * time.Millisecond}), w.simulator(fcmsim.Options{})
			if spoilt {
				bad.SetAccess(fcmsim.Access{KeyRevoked: true})
			}
			other := overFCM(bad)
			other.Name, other.Keys[0].Secret = "bad", config.NewSecret(otherKey)
			p := w.penstock(nil, overFCM(good), other)
			c := p.callers(string(good.SenderID()), serverKey, nil)
			poor := p.callers(string(bad.SenderID()), otherKey, nil)
			poor.name = "bad"
			fine, refused := newLedger(), newLedger()
			c.expect(fine, good.Tokens()[0], accepted)
			first := unavailable
			if !spoilt {
				first = accepted
			}
			poor.expect(refused, bad.Tokens()[0], first)

			// Many messages of the broken project wait in front of all others.
			var all sync.WaitGroup
			for _, by := range fronts {
				for range 90 {
					all.Go(func() {
						if s := refused.send(poor, by, bad.Tokens()[0]); s.word != first[by] {
							t.Errorf("%s: told %s", by, s.word)
						}
					})
				}
			}
			synctest.Wait()
			before, began := refused.count(""), time.Now()
			for range 20 {
				c.expect(fine, good.Tokens()[1], accepted)
			}
			if took := time.Since(began); took != 20*20*time.Millisecond {
				t.Errorf("spoilt %v: twenty rounds of 20 ms took %v", spoilt, took)
			}
			if n := refused.count(""); spoilt && n != before {
				t.Errorf("meanwhile %d of the broken project's messages were answered", n-before)
			}
			if spoilt != p.isHeld("bad", "credential") || !p.isHeld("shop", "") {
				t.Errorf("spoilt %v: the wrong project is held", spoilt)
			}
			if status, _ := p.ask("/readyz"); status != 200 {
				t.Errorf("spoilt %v: /readyz is %d", spoilt, status)
			}
			all.Wait()
			fine.audit(t, good)
			refused.audit(t, bad)
		})
	}
}

// What belongs to one project's app server reaches no other one.
func TestProjectsAreApart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sims := []*fcmsim.Sim{w.simulator(fcmsim.Options{}), w.simulator(fcmsim.Options{})}
		keys := []string{serverKey, otherKey}
		second := overCCS(sims[1])
		second.Name, second.Keys[0].Secret = "other", config.NewSecret(otherKey)
		p := w.penstock(nil, overCCS(sims[0]), second)

		var mu sync.Mutex
		got := []map[string]int{{}, {}}
		note := func(who int, what string) error {
			mu.Lock()
			defer mu.Unlock()
			got[who][what]++
			return nil
		}
		var apps []*callers
		for who, sim := range sims {
			apps = append(apps, p.callers(string(sim.SenderID()), keys[who], &ccsclient.Options{
				Upstream: func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
					return note(who, "upstream of "+m.Data["of"])
				},
				Receipts: func(_ context.Context, r *ccs.Receipt) error {
					return note(who, "receipt of "+string(r.OriginalMessageID))
				},
			}))
		}
		apps[1].name = "other"
		const each = 50
		var all sync.WaitGroup
		ledgers := []*ledger{newLedger(), newLedger()}
		for who, sim := range sims {
			name := string(rune('A' + who))
			for range each {
				if _, err := sim.Upstream(sim.Tokens()[0], fcmsim.Upstream{Data: map[string]string{"of": name}}); err != nil {
					t.Fatal(err)
				}
				all.Go(func() { apps[who].expect(ledgers[who], sim.Tokens()[1], accepted) })
			}
			// Ids are each sender's own: both use the same one, in the same moment.
			all.Go(func() {
				_, err := apps[who].pool.Send(t.Context(), &ccs.Downstream{
					To: sim.Tokens()[2], MessageID: "same", DeliveryReceiptRequested: true, Data: map[string]string{"id": "same"},
				})
				ledgers[who].note(t, "same", saidByCCS(err))
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		for who, name := range []string{"A", "B"} {
			if len(got[who]) != 2 || got[who]["upstream of "+name] != each || got[who]["receipt of same"] != 1 {
				t.Errorf("the app server of %s got %v", name, got[who])
			}
		}
		mu.Unlock()
		for who, sim := range sims {
			ledgers[who].audit(t, sim)
			if ledgers[who].count("ok") != ledgers[who].count("") {
				t.Errorf("%v were told of success", ledgers[who].told)
			}
		}

		// A key opens its own project, and by no front another one.
		refused := make(chan error, 100)
		stranger := p.callers(string(sims[0].SenderID()), otherKey, &ccsclient.Options{Events: &ccsclient.Events{
			ReconnectFailed: func(err error) { refused <- err },
		}})
		if err, ok := errors.AsType[*ccsclient.CredentialsError](<-refused); !ok {
			t.Errorf("the other project's key at this sender id: %v", err)
		}
		before := len(sims[0].Record()) + len(sims[1].Record())
		if s := stranger.send(byV1, sims[0].Tokens()[0], "stolen"); s.word != "PERMISSION_DENIED" || s.status != 403 {
			t.Errorf("v1: told %s, %d", s.word, s.status)
		}
		if n := len(sims[0].Record()) + len(sims[1].Record()) - before; n != 0 {
			t.Errorf("%d messages were sent with the wrong key", n)
		}
		// Legacy HTTP names no project: the key decides, and the device is foreign.
		if s := stranger.send(byLegacy, sims[0].Tokens()[0], "astray"); s.word == "ok" {
			t.Errorf("legacy: told %s", s.word)
		}
		if d, _ := sims[0].Device(sims[0].Tokens()[0]); d.ReceivedCount != 0 {
			t.Errorf("the device got %d messages", d.ReceivedCount)
		}
	})
}
