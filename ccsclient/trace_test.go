package ccsclient_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func TestTheTraceTellsEveryStanzaWithoutItsSecrets(t *testing.T) {
	const secret = "fullTokenOfADeviceThatNobodyMaySee"
	play(t, func(t *testing.T, srv *server) {
		var traces list[ccsclient.Trace]
		p, st := srv.bound(func(o *ccsclient.Options) {
			acceptsUpstream(o)
			o.Receipts = func(context.Context, *ccs.Receipt) error { return nil }
			o.Trace = traces.add
		})
		wantNext := func(direction ccsclient.Direction, text string) {
			t.Helper()
			got := traces.take()
			if len(got) != 1 || got[0].Direction != direction || got[0].Text != text {
				t.Errorf("traced %+v, want %s %q", got, direction, text)
				return
			}
			if !got[0].Time.Equal(time.Now()) || got[0].Slot != 0 {
				t.Errorf("traced at %v on slot %d", got[0].Time, got[0].Slot)
			}
			if s := got[0].Text; strings.Contains(s, secret) || strings.Contains(s, "payload") || strings.Contains(s, serverKey) {
				t.Errorf("traced what is secret: %s", s)
			}
		}
		traces.take() // the login is no message
		ttl := seconds(60)
		p.sendCtx(t.Context(), &ccs.Downstream{
			To: secret, MessageID: "m-1", TTL: ttl, CollapseKey: "payload", DryRun: true, DeliveryReceiptRequested: true,
			Data: map[string]string{"payload": "payload"}, Notification: map[string]string{"title": "payload", "body": "payload"},
		})
		wantNext(ccsclient.Out, "downstream m-1 to full…(34) ttl 1m0s collapsible receipt requested dry run, 1 data keys, 2 notification keys")
		st.wantTo(secret)
		st.say(`{"message_type":"ack","from":"` + secret + `","message_id":"m-1","registration_id":"` + secret + `"}`)
		wantNext(ccsclient.In, "ack m-1 from full…(34), canonical token full…(34)")
		p.sendCtx(t.Context(), &ccs.Downstream{Condition: "'" + secret + "' in topics", MessageID: "m-2"})
		wantNext(ccsclient.Out, "downstream m-2 to 'ful…(46), 0 data keys, 0 notification keys")
		st.payload()
		st.say(`{"message_type":"nack","from":"` + secret + `","message_id":"m-2","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: ` + secret + `"}`)
		wantNext(ccsclient.In, "nack m-2 from full…(34): BAD_REGISTRATION")
		st.device(`{"from":"` + secret + `","message_id":"u-1","category":"c","data":{"payload":"payload"}}`)
		synctest.Wait()
		got := traces.take()
		if len(got) != 2 || got[0].Direction != ccsclient.In || got[0].Text != "upstream u-1 from full…(34), 1 data keys" ||
			got[1].Direction != ccsclient.Out || got[1].Text != "ack u-1 to full…(34)" {
			t.Errorf("traced %+v", got)
		}
		st.wantAck(secret, "u-1")
		st.device(`{"from":"gcm.googleapis.com","message_type":"receipt","message_id":"dr2:m-1","data":{"device_registration_id":"` + secret + `","message_status":"MESSAGE_SENT_TO_DEVICE"}}`)
		got = traces.take()
		if len(got) != 2 || got[0].Text != "receipt dr2:m-1 for full…(34): MESSAGE_SENT_TO_DEVICE" || got[1].Text != "ack dr2:m-1 to gcm.…(18)" {
			t.Errorf("traced %+v", got)
		}
		st.device(`{"message_type":"news","from":"` + secret + `","payload":"payload"}`)
		wantNext(ccsclient.In, `unknown message type "news"`)
		st.control()
		wantNext(ccsclient.In, "control CONNECTION_DRAINING")
	})
}

// wantTo wants a downstream message to that token.
func (st *stream) wantTo(to string) {
	st.t.Helper()
	if m := st.payload(); m["to"] != to {
		st.t.Fatalf("%v, want a message to %s", m, to)
	}
}
