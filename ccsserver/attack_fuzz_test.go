package ccsserver_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccsserver"
	"penstock/internal/xmpp"
)

// FuzzAttacker writes anything at any stage of a stream. Nothing is handed on
// before bind, no stream but the attacker's own exists, nothing panics, what the
// server writes is sound (the harness looks), and whoever has not logged in is
// gone after half a minute.
func FuzzAttacker(f *testing.F) {
	for at := range anywhere {
		for _, s := range []string{
			header, "<?xml version='1.0'?>" + header + auth("", sender, key) + header + bindIQ + downstream("m-1"),
			auth(rival, sender, key), auth("", sender, key) + header + bindIQ + downstream("m-1"), header + bindIQ + sessionIQ, end, " ",
			bindIQ + sessionIQ + pingIQ + downstream("m-1") + ack(token, "u-1") + end,
			gcm(`{"to":"T","message_id":"m-1","data":{"k":"<b>&amp;</gcm>"}}`), gcm(`[`), gcm(`<![CDATA[{}]]>`), `<message/>`,
			`<iq type='get' id='&lt;'/>`, `<presence>`, `<!DOCTYPE a>`, `<a b='&x;'/>`, "\xfe\xff", `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
		} {
			f.Add([]byte(s), uint8(at))
		}
	}
	f.Fuzz(func(t *testing.T, bytes []byte, at uint8) {
		if len(bytes) == 0 || len(bytes) > 100_000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, &ccsserver.Options{})
			begin := stage(at) % (live + 1)
			p, tap := srv.attacker(t, begin)
			tap.pour(p, string(bytes), "", 0)
			pass(35 * time.Second)
			streams := srv.Streams()
			for _, s := range streams {
				if s.Sender != sender && s.Sender != rival || s.Address != attackersAddress {
					t.Errorf("there is a stream %+v", s)
				}
			}
			if srv.handedOn() > 0 && len(streams)+len(srv.closed()) == 0 {
				t.Error("a message was handed on, and no stream was bound")
			}
			for _, c := range srv.closed() {
				if _, ok := errors.AsType[*xmpp.PanicError](c.err); ok {
					t.Errorf("a stream ended by %v", c.err)
				}
			}
			if len(streams) == 0 {
				p.wantGone()
			}
		})
	})
}
