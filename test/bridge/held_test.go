package bridge_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcmsim"
)

// refusals has every front told that the service is unavailable, for a while.
func refusals(t *testing.T, c *callers, l *ledger, sim *fcmsim.Sim, long time.Duration) {
	t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Second) {
		c.expect(l, sim.Tokens()[0], unavailable)
	}
}

// resumes sends a message after the other until one is accepted, and tells how
// long that took.
func resumes(t *testing.T, c *callers, l *ledger, sim *fcmsim.Sim) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) {
		s := l.send(c, byV1, sim.Tokens()[0])
		took := time.Since(began)
		if s.word == "ok" || took > time.Hour {
			return took
		}
	}
}

// Nothing is used up while credentials are broken, and nobody's token dies.
func TestStatement20_T_47_TheKeyIsRevoked(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sim := w.simulator(fcmsim.Options{})
		p := w.penstock(nil, overFCM(sim))
		c := p.callers(string(sim.SenderID()), serverKey, nil)
		l := newLedger()
		c.expect(l, sim.Tokens()[0], accepted)
		if !p.isHeld("shop", "") {
			t.Error("the project is held from the beginning")
		}
		time.Sleep(50 * time.Second) // a token that is quite new is not replaced at once
		sends, fetches := len(sim.Record()), sim.TokenRequests()
		sim.SetAccess(fcmsim.Access{KeyRevoked: true})
		sim.ExpireAccessTokens()
		refusals(t, c, l, sim, 10*time.Minute)
		if !p.isHeld("shop", "credential") {
			t.Error("nothing tells of the credential")
		}
		if n := len(sim.Record()) - sends; n > len(fronts) {
			t.Errorf("FCM was asked %d times with a token that was over", n)
		}
		if n := sim.TokenRequests() - fetches; n < 2 || n > 8 {
			t.Errorf("%d tokens were asked for in ten minutes", n)
		}
		for _, by := range []front{byLegacy, byV1} {
			s := l.send(c, by, sim.DeadTokens()[0])
			wait, err := strconv.Atoi(s.retryAfter)
			if s.status != http.StatusServiceUnavailable || err != nil || wait < 1 {
				t.Errorf("%s: %d, Retry-After %q", by, s.status, s.retryAfter)
			}
		}
		sim.SetAccess(fcmsim.Access{})
		if took := resumes(t, c, l, sim); took > 5*time.Minute+patience {
			t.Errorf("it took %v to notice that the key is back", took)
		}
		c.expect(l, sim.Tokens()[0], accepted)
		c.expect(l, sim.DeadTokens()[0], dead)
		if !p.isHeld("shop", "") {
			t.Error("the project is still held")
		}
		l.audit(t, sim)
	})
}

// What is wrong with the project, or with the way to FCM, is nobody's token's
// fault.
func TestStatement16_TheProjectIsHeldForAnOperator(t *testing.T) {
	fault := func(f fcmsim.Fault) func(*testing.T, *fcmsim.Sim) {
		return func(t *testing.T, sim *fcmsim.Sim) {
			if err := sim.SetFault(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *fcmsim.Sim)
	}{
		{"E18 no permission", func(_ *testing.T, sim *fcmsim.Sim) { sim.SetAccess(fcmsim.Access{PermissionDenied: true}) }},
		{"E19 no API", func(_ *testing.T, sim *fcmsim.Sim) { sim.SetAccess(fcmsim.Access{APIDisabled: true}) }},
		{"a JSON 404 that names no token", fault(fcmsim.Fault{Status: 404,
			Body: `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}`})},
		{"a page with 404", fault(fcmsim.Fault{Status: 404, ContentType: "text/html", Body: "<html><h1>NotRegistered</h1></html>"})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				sim := w.simulator(fcmsim.Options{})
				p := w.penstock(nil, overFCM(sim))
				c := p.callers(string(sim.SenderID()), serverKey, nil)
				l := newLedger()
				c.expect(l, sim.Tokens()[0], accepted)
				tt.spoil(t, sim)
				sends, began := len(sim.Record()), time.Now()
				var first sync.WaitGroup
				first.Go(func() { refusals(t, c, l, sim, time.Second) })
				synctest.Wait()
				until(t, "the project is held", func() bool { return p.isHeld("shop", "configuration") })
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it was held after %v", took)
				}
				first.Wait()
				refusals(t, c, l, sim, 2*time.Minute)
				if n := len(sim.Record()) - sends; n < 2 || n > len(fronts)+5 {
					t.Errorf("FCM was asked %d times in two minutes", n)
				}
				if !p.isHeld("shop", "configuration") {
					t.Error("the project is not held any more")
				}
				sim.SetAccess(fcmsim.Access{})
				sim.ClearFaults()
				if took := resumes(t, c, l, sim); took > 5*time.Minute {
					t.Errorf("it took %v to notice that all is well", took)
				}
				c.expect(l, sim.Tokens()[0], accepted)
				c.expect(l, sim.DeadTokens()[0], dead)
				l.audit(t, sim)
			})
		})
	}
	t.Run("E18 the wrong project", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *world) {
			sim := w.simulator(fcmsim.Options{})
			wrong := overFCM(sim)
			wrong.ProjectID = "another-project"
			p := w.penstock(nil, wrong)
			c := p.callers(string(sim.SenderID()), serverKey, nil)
			l := newLedger()
			c.expect(l, sim.Tokens()[0], unavailable)
			if !p.isHeld("shop", "configuration") {
				t.Error("nothing tells of the project")
			}
			for _, r := range sim.Record() {
				if r.Status != http.StatusForbidden {
					t.Errorf("FCM has answered %d", r.Status)
				}
			}
			l.audit(t, sim)
		})
	})
}
