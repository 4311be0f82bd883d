package fcmsend_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

// A delivery is one call of Deliver against a far end that answers each try
// alike; tries are told with their times.
type delivery struct {
	result fcmsend.Result
	err    error
	took   time.Duration
	tries  []time.Duration // since the call
	bodies []string
}

func deliver(ctx context.Context, t *testing.T, w *far, r *fcm.SendRequest, answer func(n int, r *request)) delivery {
	t.Helper()
	var d delivery
	began := time.Now()
	w.handle = func(r *request) {
		d.tries = append(d.tries, time.Since(began))
		d.bodies = append(d.bodies, string(r.body))
		answer(len(d.tries), r)
	}
	d.result, d.err = w.sender(nil).Deliver(ctx, r)
	d.took = time.Since(began)
	synctest.Wait()
	return d
}

func withTTL(d time.Duration) *fcm.SendRequest {
	r := toToken("k", "v")
	ttl := fcm.Duration(d)
	r.Message.Android = &fcm.AndroidConfig{TTL: &ttl}
	return r
}

func always(status int, body string, fields ...string) func(int, *request) {
	return func(_ int, r *request) { r.answer(status, body, fields...) }
}

// gaps are the waits between tries.
func (d *delivery) gaps() []time.Duration {
	var all []time.Duration
	for i := 1; i < len(d.tries); i++ {
		all = append(all, d.tries[i]-d.tries[i-1])
	}
	return all
}

func TestDeliverWaitsAsGoogleAsks(t *testing.T) {
	quota := errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", errorInfo("RATE_LIMIT_EXCEEDED"))
	down := errorBody(503, "UNAVAILABLE", "The service is currently unavailable.")
	cases := []struct {
		name  string
		try   func(int, *request)
		least []time.Duration
	}{
		{"S-33 503", always(503, down), []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}},
		{"S-33 500", always(500, errorBody(500, "INTERNAL", "x")), []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}},
		{"S-35 502 and a page", always(502, "<html>"), []time.Duration{10 * time.Second, 20 * time.Second}},
		{"S-34 Retry-After 3", always(503, down, "retry-after", "3"), []time.Duration{10 * time.Second, 10 * time.Second, 10 * time.Second}},
		{"S-32 R-F25 Retry-After 30", always(429, quota, "retry-after", "30"), []time.Duration{30 * time.Second, 30 * time.Second}},
		{"S-31 R-F25 429 without Retry-After", always(429, quota), []time.Duration{60 * time.Second, 120 * time.Second}},
		{"S-32 429 with garbage", always(429, quota, "retry-after", "soon"), []time.Duration{60 * time.Second}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				d := deliver(t.Context(), t, w, toToken(), func(n int, r *request) {
					if n > len(c.least) {
						r.accept()
						return
					}
					c.try(n, r)
				})
				if d.err != nil || d.result.Name == "" {
					t.Fatalf("%+v, %v; want it accepted", d.result, d.err)
				}
				jitter := false
				for i, gap := range d.gaps() {
					if gap < c.least[i] || gap > c.least[i]*5/4 {
						t.Errorf("wait %d is %v; want %v and at most a quarter more", i+1, gap, c.least[i])
					}
					jitter = jitter || gap != c.least[i]
				}
				if len(d.tries) != len(c.least)+1 || !jitter {
					t.Errorf("%d tries, jitter %v", len(d.tries), jitter)
				}
			})
		})
	}
}

func TestS_36_DeliverEndsAtAnHourOrTheTimeToLive(t *testing.T) {
	for name, c := range map[string]struct {
		r     *fcm.SendRequest
		limit time.Duration
		least int
	}{
		"an hour":        {toToken(), time.Hour, 8},
		"weeks to live":  {withTTL(fcm.MaxTTL), time.Hour, 8},
		"two minutes":    {withTTL(2 * time.Minute), 2 * time.Minute, 4},
		"eleven seconds": {withTTL(11 * time.Second), 11 * time.Second, 1},
	} {
		t.Run("S-36 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				d := deliver(t.Context(), t, w, c.r, always(503, ""))
				wantError(t, d.result, d.err, fcm.Unavailable, false)
				if d.took > c.limit || len(d.tries) < c.least || len(d.tries) > 14 {
					t.Errorf("%d tries in %v; want %d at least, and %v at most", len(d.tries), d.took, c.least, c.limit)
				}
			})
		})
	}
}

func TestS_37_ATimeToLiveOfNothingIsTriedOnce(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		d := deliver(t.Context(), t, w, withTTL(0), always(503, ""))
		wantError(t, d.result, d.err, fcm.Unavailable, false)
		if len(d.tries) != 1 || d.took != 0 {
			t.Errorf("%d tries in %v; want one", len(d.tries), d.took)
		}
	})
}

func TestS_38_TheTimeToLiveShrinksAndDatesStay(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		r := withTTL(10 * time.Minute)
		r.Message.APNS = &fcm.APNSConfig{Headers: map[string]string{"apns-expiration": "946685400"}}
		d := deliver(t.Context(), t, w, r, func(n int, r *request) {
			if n == 4 {
				r.accept()
				return
			}
			r.answer(503, "")
		})
		if d.err != nil || len(d.tries) != 4 {
			t.Fatalf("%d tries, %v", len(d.tries), d.err)
		}
		for i, body := range d.bodies {
			var got struct {
				Message struct {
					Android struct{ TTL string }
					APNS    struct{ Headers map[string]string }
				}
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			left := (10*time.Minute - d.tries[i].Truncate(time.Second)).Seconds()
			if got.Message.Android.TTL != itoa(int(left))+"s" || got.Message.APNS.Headers["apns-expiration"] != "946685400" {
				t.Errorf("try %d after %v: %s", i+1, d.tries[i], body)
			}
		}
	})
}

func TestDeliverDoesNotRepeatWhatIsFinal(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		want   fcm.Class
	}{
		"S-19 a dead token":   {404, errorBody(404, "NOT_FOUND", "x", fcmError("UNREGISTERED")), fcm.Unregistered},
		"S-24 a bad message":  {400, errorBody(400, "INVALID_ARGUMENT", "x"), fcm.InvalidMessage},
		"S-26 another's":      {403, errorBody(403, "PERMISSION_DENIED", "x", fcmError("SENDER_ID_MISMATCH")), fcm.SenderIDMismatch},
		"S-27 no permission":  {403, errorBody(403, "PERMISSION_DENIED", "x", errorInfo("IAM_PERMISSION_DENIED")), fcm.Configuration},
		"S-16 Apple's key":    {401, errorBody(401, "UNAUTHENTICATED", "x", fcmError("THIRD_PARTY_AUTH_ERROR")), fcm.ThirdPartyAuth},
		"S-17 no credential":  {401, errorBody(401, "UNAUTHENTICATED", "x"), fcm.Credential},
		"S-21 an unknown URL": {404, "<html>", fcm.Configuration},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				d := deliver(t.Context(), t, w, toToken(), always(c.status, c.body))
				wantError(t, d.result, d.err, c.want, false)
				if len(d.tries) != 1 || d.took != 0 {
					t.Errorf("%d tries in %v; want one", len(d.tries), d.took)
				}
			})
		})
	}
}

func TestDeliverRemembersThatAnOutcomeIsUnknown(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		d := deliver(t.Context(), t, w, toToken(), func(n int, r *request) {
			if n == 1 {
				r.cancel(2)
				return
			}
			r.answer(404, errorBody(404, "NOT_FOUND", "x", fcmError("UNREGISTERED")))
		})
		wantError(t, d.result, d.err, fcm.Unregistered, true)
		if len(d.tries) != 2 || d.gaps()[0] < 10*time.Second {
			t.Errorf("tries at %v", d.tries)
		}
	})
}

func TestDeliverLeavesWithItsContext(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		d := deliver(ctx, t, w, toToken(), always(503, errorBody(503, "UNAVAILABLE", "x")))
		e := wantError(t, d.result, d.err, fcm.Unavailable, false)
		if e.Reply == nil || d.took != 15*time.Second || len(d.tries) != 2 {
			t.Errorf("%v after %v and %d tries; want FCM's answer after 15 s and two", e, d.took, len(d.tries))
		}
	})
}

func TestS_36_TheTimeOfATryCountsToo(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		// The first try takes all of its ten seconds, and five more are too few for
		// the wait.
		d := deliver(t.Context(), t, w, withTTL(15*time.Second), func(int, *request) {})
		wantError(t, d.result, d.err, fcm.Unavailable, true)
		if len(d.tries) != 1 {
			t.Errorf("%d tries", len(d.tries))
		}
	})
}

func TestDeliverOutlivesATokenEndpointInTrouble(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			if n < 3 {
				rw.WriteHeader(503)
				return
			}
			giveToken(rw, "token", 3599)
		})
		w.handle = (*request).accept
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		began := time.Now()
		if r, err := s.Deliver(t.Context(), toToken()); err != nil || r.Name == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("took %v", took)
		}
		h.set(func(_ int, rw http.ResponseWriter) {
			rw.WriteHeader(400)
			rw.Write([]byte(`{"error":"invalid_grant"}`))
		})
		s = w.senderWith(inline(t, serviceAccount(nil)), nil)
		began = time.Now()
		r, err := s.Deliver(t.Context(), toToken())
		e := wantError(t, r, err, fcm.Credential, false)
		if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || cause.Code != "invalid_grant" || time.Since(began) != 0 {
			t.Errorf("%v after %v; want invalid_grant at once", e, time.Since(began))
		}
	})
}

func TestDeliverRefusesBeforeAnyIO(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		r, err := w.sender(nil).Deliver(t.Context(), &fcm.SendRequest{})
		e := wantError(t, r, err, fcm.InvalidMessage, false)
		if len(w.dialled()) != 0 || !strings.Contains(e.Error(), "Recipient") {
			t.Errorf("%v after %d dials", e, len(w.dialled()))
		}
	})
}
