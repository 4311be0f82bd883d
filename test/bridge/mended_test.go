package bridge_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcmsim"
)

// An operator who puts a good key in place of a broken one sees messages flow
// within seconds, however long the project has been held; everything that tells
// of it tells the same.
func TestS_17_S_27_ANewKeyEndsTheHold(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		spoil        func(key map[string]string, sim *fcmsim.Sim)
	}{
		{"S-17 a key that is not the account's any more", "credential", func(key map[string]string, _ *fcmsim.Sim) {
			key["private_key_id"] = "0123456789abcdef0123456789abcdef01234567"
			key["client_email"] = "nobody@" + key["project_id"] + ".iam.gserviceaccount.com"
		}},
		{"S-27 an account that may not send", "configuration", func(_ map[string]string, sim *fcmsim.Sim) {
			sim.SetAccess(fcmsim.Access{PermissionDenied: true})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				good, err := os.ReadFile(sim.ServiceAccountFile())
				if err != nil {
					t.Fatal(err)
				}
				var key map[string]string
				if err := json.Unmarshal(good, &key); err != nil {
					t.Fatal(err)
				}
				tt.spoil(key, sim)
				bad, err := json.Marshal(key)
				if err != nil {
					t.Fatal(err)
				}
				shop := overFCM(sim)
				file := filepath.Join(t.TempDir(), "key.json")
				shop.Transport.FCM.CredentialsFile = file
				put := func(content []byte) {
					t.Helper()
					if err := os.WriteFile(file, content, 0o600); err != nil {
						t.Fatal(err)
					}
					if err := os.Chtimes(file, time.Now(), time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				put(bad)
				p := w.penstock(nil, shop)
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				c.expect(l, sim.Tokens()[0], unavailable)
				// By now the next try is minutes away.
				time.Sleep(20 * time.Minute)
				c.expect(l, sim.Tokens()[0], unavailable)
				time.Sleep(time.Second)
				sends, fetches := len(sim.Record()), sim.TokenRequests()
				holds := p.metric(`penstock_lane_holds_total{project="shop",reason="` + tt.reason + `"}`)

				// Many wait, in the middle of that. Another broken key is tried once, and
				// that is told.
				crowd := func() *sync.WaitGroup {
					var all sync.WaitGroup
					for _, by := range fronts {
						for range 30 {
							all.Go(func() { l.send(c, by, sim.Tokens()[0]) })
						}
					}
					synctest.Wait()
					return &all
				}
				all := crowd()
				put(append(bad, ' '))
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if n, m := len(sim.Record())-sends, sim.TokenRequests()-fetches; n+m > 2 || m != 1 {
					t.Errorf("after another broken key FCM was asked %d times, and %d tokens were", n, m)
				}
				if !p.isHeld("shop", tt.reason) {
					t.Error("it is not held any more")
				}
				if again := p.metric(`penstock_lane_holds_total{project="shop",reason="` + tt.reason + `"}`); again == holds {
					t.Errorf("nothing tells that it was in vain: %s holds", again)
				}
				all.Wait()
				if n := l.count("ok"); n != 0 {
					t.Errorf("%d were accepted", n)
				}
				time.Sleep(20 * time.Minute)
				c.expect(l, sim.Tokens()[0], unavailable)

				all = crowd()
				sends, fetches = len(sim.Record()), sim.TokenRequests()
				sim.SetAccess(fcmsim.Access{})
				put(good)
				began := time.Now()
				all.Wait()
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("messages flow after %v", took)
				}
				if n := l.count("ok"); n != 3*30 {
					t.Errorf("%d of %d were accepted", n, 3*30)
				}
				if n, m := len(sim.Record())-sends, sim.TokenRequests()-fetches; n != 3*30 || m != 1 {
					t.Errorf("FCM was asked %d times for %d messages, and %d tokens were", n, 3*30, m)
				}
				if !p.isHeld("shop", "") {
					t.Error("the project is still held")
				}
				c.expect(l, sim.DeadTokens()[0], dead)
				l.audit(t, sim)
				log := p.log.String()
				for _, words := range []string{"the changed credential file is in use", "the project waits no more"} {
					if !strings.Contains(log, words) {
						t.Errorf("the log does not say %q", words)
					}
				}
			})
		})
	}
}
