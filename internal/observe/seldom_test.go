package observe_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccsserver"
	"penstock/internal/observe"
)

// Whoever has no key writes ten lines a second of a kind into the log, no more.
func TestStrangersFillNoLog(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	for _, tt := range []struct{ name, line, count string }{
		{"requests", `showed no key that counts here" front=v1 address=192.0.2.1:4711`, "penstock_requests_refused_total{front=v1,status=401}"},
		{"logins", "do not fit", "penstock_ccs_logins_total{outcome=wrong_credentials}"},
		{"connections", "refused by a limit", "penstock_limit_hits_total{limit=ccs_per_address}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, reg, text := observer(t)
				front, ccs := o.Front("v1"), o.CCS()
				knock := func() {
					for range 1000 {
						switch tt.name {
						case "requests":
							front.Refused(addr.String(), "", 401)
						case "logins":
							ccs.AuthFailed(addr, "1")
						default:
							ccs.Refused(addr, errors.Join(&ccsserver.LimitError{Limit: "per_address"}))
						}
					}
				}
				knock()
				if n := strings.Count(text.String(), tt.line); n != 10 || strings.Contains(text.String(), "left_out") {
					t.Errorf("%d lines, want 10 without a word of others", n)
				}
				time.Sleep(time.Second)
				knock()
				if n := strings.Count(text.String(), tt.line); n != 20 || strings.Count(text.String(), "left_out=990") != 1 {
					t.Errorf("%d lines, want 20, and one that tells of 990", n)
				}
				if got := samples(t, reg)[tt.count]; got != 2000 {
					t.Errorf("%s is %v, want 2000 of %v", tt.count, got, samples(t, reg))
				}
			})
		})
	}
}

// Whatever makes connections wait lasts: an operator is told of it now and then, at
// a level that is seen.
func TestWhatLastsIsToldNowAndThen(t *testing.T) {
	listener := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5235}
	for _, tt := range []struct {
		name, line string
		hit        func(o *observe.Observer)
	}{
		{"a limit", `level=WARN msg="there are as many connections as may be: new ones wait" reason=http_connections`,
			func(o *observe.Observer) { o.LimitHit("http_connections") }},
		{"no descriptors", `level=ERROR msg="connections cannot be taken" listener=192.0.2.1:5235 err="too many open files"`,
			func(o *observe.Observer) { o.Deaf(listener, syscall.EMFILE) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, _, text := observer(t)
				for range 100 { // for 10 s
					tt.hit(o)
					time.Sleep(100 * time.Millisecond)
				}
				if n := strings.Count(text.String(), tt.line); n != 1 || strings.Contains(text.String(), "left_out") {
					t.Errorf("%d lines, want one:\n%s", n, text)
				}
				tt.hit(o)
				if n := strings.Count(text.String(), tt.line); n != 2 || strings.Count(text.String(), "left_out=99") != 1 {
					t.Errorf("%d lines, want two, the second with what was left out:\n%s", n, text)
				}
			})
		})
	}
}
