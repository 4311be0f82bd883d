package fcmsend_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcm"
	"penstock/fcmsend"
)

// living is a message with times to live of all platforms.
func living(ttl time.Duration) *fcm.SendRequest {
	r := withTTL(ttl)
	r.Message.APNS = &fcm.APNSConfig{Headers: map[string]string{"apns-expiration": "946685400"}}
	r.Message.Webpush = &fcm.WebpushConfig{Headers: map[string]string{"TTL": itoa(int(ttl / time.Second))}}
	return r
}

func wantLife(t *testing.T, r *request, seconds int) {
	t.Helper()
	body := string(r.body)
	if !json.Valid(r.body) {
		t.Errorf("%s is no JSON", body)
	}
	for _, want := range []string{`"ttl":"` + itoa(seconds) + `s"`, `"TTL":"` + itoa(seconds) + `"`, `"apns-expiration":"946685400"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

func TestS_38_WaitingInTheSenderCountsToo(t *testing.T) {
	busy := func(t *testing.T, w *far) (*fcmsend.Sender, *farConn, *request, *sending) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1})
		first := send(t, s, toToken())
		conn := w.conn()
		return s, conn, conn.request(), first
	}
	for name, c := range map[string]struct {
		ttl, waited time.Duration
		want        int // seconds
	}{
		"less than a second":      {10 * time.Minute, 999 * time.Millisecond, 600},
		"whole seconds":           {10 * time.Minute, 3500 * time.Millisecond, 597},
		"to the very end":         {3 * time.Second, 3 * time.Second, 0},
		"now or never stays that": {0, 3 * time.Second, 0},
	} {
		t.Run("S-38 for a place, "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s, conn, taken, first := busy(t, w)
				p := send(t, s, living(c.ttl))
				time.Sleep(c.waited)
				taken.accept()
				first.wantAccepted()
				r := conn.request()
				wantLife(t, r, c.want)
				r.accept()
				p.wantAccepted()
			})
		})
	}
	t.Run("S-38 for a place, and too long", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			s, conn, taken, first := busy(t, w)
			p := send(t, s, living(3*time.Second))
			time.Sleep(3*time.Second + time.Millisecond)
			taken.accept()
			first.wantAccepted()
			if e := p.wantError(fcm.Expired, false); e.Reply != nil || e.Err == nil {
				t.Errorf("%+v, want a cause and no reply", e)
			}
			conn.noRequest()
			p = send(t, s, toToken()) // the place is free again
			conn.request().accept()
			p.wantAccepted()
		})
	})
	t.Run("S-38 for an answer that did not come", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			s := w.sender(nil)
			long := send(t, s, living(100*time.Second)) // which becomes shorter as text too
			conn := w.conn()
			wantLife(t, conn.request(), 100)
			short := send(t, s, living(4*time.Second))
			wantLife(t, conn.request(), 4)
			time.Sleep(5 * time.Second)
			conn.goAway(0, http2.ErrCodeNo, "")
			short.wantError(fcm.Expired, false)
			again := w.conn()
			r := again.request()
			wantLife(t, r, 95)
			r.accept()
			long.wantAccepted()
			again.noRequest()
		})
	})
	t.Run("S-38 S-15 for a new access token", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			w.tokenHost()
			s := w.senderWith(inline(t, serviceAccount(nil)), nil)
			p := send(t, s, living(10*time.Minute))
			conn := w.conn()
			r := conn.request()
			time.Sleep(4 * time.Second)
			r.answer(401, "")
			r = conn.request()
			wantLife(t, r, 596)
			r.accept()
			p.wantAccepted()
		})
	})
}
