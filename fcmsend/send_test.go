package fcmsend_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestS_01_S_02_S_54_PostsToTheProjectsPathWithABearer(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{UserAgent: "shop/1.0"})
		for range 3 { // the third goes out as remembered bytes
			p := send(t, s, toToken("k", "v"))
			if len(w.dialled()) == 0 {
				w.conns <- w.conn()
			}
			c := <-w.conns
			r := c.request()
			w.conns <- c
			for name, want := range map[string]string{
				":method": "POST", ":scheme": "https", ":authority": "fcm.googleapis.com", ":path": sendPath,
				"content-type": "application/json", "authorization": "Bearer " + accessToken, "user-agent": "shop/1.0",
			} {
				if r.header[name] != want {
					t.Errorf("%s is %q; want %q", name, r.header[name], want)
				}
			}
			if len(r.header) != 8 || r.header["content-length"] == "" {
				t.Errorf("header %v; want seven fields and content-length", r.header)
			}
			var body struct {
				Message struct {
					Token string
					Data  map[string]string
				}
			}
			if err := json.Unmarshal(r.body, &body); err != nil || body.Message.Token != device || body.Message.Data["k"] != "v" {
				t.Errorf("body %s, %v", r.body, err)
			}
			if r.header["content-length"] != itoa(len(r.body)) {
				t.Errorf("content-length %s of %d bytes", r.header["content-length"], len(r.body))
			}
			r.accept()
			p.wantAccepted()
		}
	})
}

func TestS_01_AnEndpointMayHaveAPath(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.hosts["other.example:8443"] = w.hosts["fcm.googleapis.com:443"]
		opt := w.options(&fcmsend.Options{Endpoint: "https://other.example:8443/front/"})
		opt.TLS.ServerName = "fcm.googleapis.com"
		s, err := fcmsend.New("12345", fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		p := send(t, s, toToken())
		r := w.conn().request()
		if r.header[":path"] != "/front/v1/projects/12345/messages:send" || r.header[":authority"] != "other.example:8443" {
			t.Errorf("path %q at %q", r.header[":path"], r.header[":authority"])
		}
		r.accept()
		p.wantAccepted()
	})
}

func TestS_03_S_04_S_05_WritesOneSpellingDurationsAndStrings(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		ttl, exact := fcm.Duration(3*time.Second), fcm.Duration(3500*time.Millisecond)
		p := send(t, s, &fcm.SendRequest{Message: &fcm.Message{
			Token: device, Data: map[string]string{"n": "12"},
			Android: &fcm.AndroidConfig{CollapseKey: "c", TTL: &ttl, Notification: &fcm.AndroidNotification{VibrateTimings: []fcm.Duration{exact}}},
		}})
		r := w.conn().request()
		for _, want := range []string{`"collapse_key":"c"`, `"ttl":"3s"`, `"3.500000000s"`, `"n":"12"`, `"vibrate_timings"`} {
			if !strings.Contains(string(r.body), want) {
				t.Errorf("%s is not in %s", want, r.body)
			}
		}
		r.accept()
		p.wantAccepted()
	})
}

func TestS_06_S_07_RefusesBeforeAnyIO(t *testing.T) {
	cases := map[string]*fcm.Message{
		"S-06 no target":              {},
		"S-06 two targets":            {Token: "a", Topic: "b"},
		"S-07 android and android_v2": {Token: "a", Android: &fcm.AndroidConfig{}, AndroidV2: &fcm.AndroidConfigV2{}},
	}
	for name, m := range cases {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
					t.Error("a token was asked for")
					return fcmsend.Token{}, nil
				}), nil)
				send(t, s, &fcm.SendRequest{Message: m}).wantError(fcm.InvalidMessage, false)
				if n := len(w.dialled()); n != 0 {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
	t.Run("S-06 no message", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			send(t, w.sender(nil), &fcm.SendRequest{}).wantError(fcm.InvalidMessage, false)
		})
	})
}

func TestSuccesses(t *testing.T) {
	cases := []struct{ name, body, want string }{
		{"S-08 an id of Android", `{"name":"projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"}`, "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"},
		{"S-08 digits", "{\n  \"name\": \"projects/p/messages/1717673451795380\"\n}\n", "projects/p/messages/1717673451795380"},
		{"S-08 a check", `{"name":"projects/p/messages/fake_message_id"}`, "projects/p/messages/fake_message_id"},
		{"S-09 an object without a name is accepted", `{"other":1}`, ""},
		{"S-09 an empty object is accepted", `{}`, ""},
		{"S-09 a name that is no text is no name", `{"name":5}`, ""},
		{"an answer as long as may be", `{"name":"projects/p/messages/1"}` + strings.Repeat(" ", 64<<10-32), "projects/p/messages/1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(nil)
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request().answer(200, c.body)
				if r, err := p.wait(); err != nil || r.Name != c.want || r.ValidateOnly {
					t.Errorf("%+v, %v; want %q", r, err, c.want)
				}
				p = send(t, s, toToken()) // and once more without a length
				r := conn.request()
				r.head(200, false)
				r.data(c.body, true)
				if r, err := p.wait(); err != nil || r.Name != c.want {
					t.Errorf("%+v, %v; want %q", r, err, c.want)
				}
				conn.noRequest()
			})
		})
	}
}

func TestS_53_AValidatedSendIsMarked(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		r := toToken()
		r.ValidateOnly = true
		p := send(t, w.sender(nil), r)
		got := w.conn().request()
		var body struct {
			Message      map[string]any
			ValidateOnly bool `json:"validate_only"`
		}
		if err := json.Unmarshal(got.body, &body); err != nil || !body.ValidateOnly || body.Message == nil {
			t.Errorf("body %s, %v; want validate_only beside message", got.body, err)
		}
		got.accept()
		if r, err := p.wait(); err != nil || !r.ValidateOnly {
			t.Errorf("%+v, %v; want it marked", r, err)
		}
	})
}

func TestAnswersThatTellNothing(t *testing.T) {
	page := "<html>" + strings.Repeat("canary page ", 100) + "</html>"
	cases := []struct {
		name   string
		answer func(r *request)
	}{
		{"R-F19 200 and a page", func(r *request) { r.answer(200, page, "content-type", "text/html") }},
		{"R-F19 200 and nothing", func(r *request) { r.answer(200, "") }},
		{"R-F19 200 without a body", func(r *request) { r.head(200, true) }},
		{"S-09 200 and an array", func(r *request) { r.answer(200, `["name"]`) }},
		{"S-09 200 and half an object", func(r *request) { r.answer(200, `{"name":"projects/p/mess`) }},
		{"S-09 200 and fewer bytes than declared", func(r *request) {
			r.head(200, false, "content-length", "100")
			r.data(`{"name":"projects/p/messages/1"}`, true)
		}},
		{"S-09 200 and more bytes than declared", func(r *request) {
			r.head(200, false, "content-length", "0")
			r.data(`{"name":"projects/p/messages/1"}`, true)
		}},
		{"S-09 200, then a reset", func(r *request) {
			r.head(200, false)
			r.data(`{"name":"projects/p/messages/1"}`, false)
			r.cancel(2)
		}},
		{"S-09 200, then the connection ends", func(r *request) {
			r.head(200, false)
			r.data(`{"name":"projects/p/messages/1"}`, false)
			r.nc.Close()
		}},
		{"R-A65 200 and more than 64 KiB", func(r *request) {
			r.head(200, false)
			r.data(`{"name":"projects/p/messages/1","x":"`+strings.Repeat("x", 64<<10)+`"}`, false)
		}},
		{"R-F11 cut before the answer", func(r *request) { r.nc.Close() }},
		{"R-F11 the stream is reset", func(r *request) { r.cancel(2) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				p := send(t, w.sender(nil), toToken())
				conn := w.conn()
				c.answer(conn.request())
				e := p.wantError(fcm.Unavailable, true)
				if p.took != 0 || e.Reply != nil || e.Err == nil || len(e.Error()) > 200 || strings.Contains(e.Error(), "canary") {
					t.Errorf("error %v, reply %v; want a cause in a line, and nothing of the page", e, e.Reply)
				}
				conn.noRequest()
				w.noConn()
			})
		})
	}
}

func TestRepliesAreClassifiedAcrossTheWire(t *testing.T) {
	page := "<!DOCTYPE html>" + strings.Repeat("canary page ", 1000)
	apns := func(status, reason string) string {
		return `{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":` + status + `,"reason":"` + reason + `"}`
	}
	violation := func(field string) string {
		return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"` + field + `","description":"bad"}]}`
	}
	topic := &fcm.SendRequest{Message: &fcm.Message{Topic: "news"}}
	gateway := "Request is missing required authentication credential. Expected OAuth 2 access token"
	cases := []struct {
		name   string
		to     *fcm.SendRequest
		status int
		body   string
		want   fcm.Class
	}{
		{"S-16 Apple's key in the gateway's words", nil, 401, errorBody(401, "UNAUTHENTICATED", gateway, fcmError("THIRD_PARTY_AUTH_ERROR")), fcm.ThirdPartyAuth},
		{"S-19 a dead token", nil, 404, errorBody(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED")), fcm.Unregistered},
		{"S-20 404 without FcmError", nil, 404, errorBody(404, "NOT_FOUND", "Requested entity was not found."), fcm.Configuration},
		{"S-21 404 and a page", nil, 404, page, fcm.Configuration},
		{"S-22 Apple's 410", nil, 400, errorBody(400, "INVALID_ARGUMENT", "APNs device token is disabled.", apns("410", "Unregistered")), fcm.Unregistered},
		{"S-23 a violation of message.token", nil, 400, errorBody(400, "INVALID_ARGUMENT", "bad", violation("message.token"), fcmError("INVALID_ARGUMENT")), fcm.MalformedToken},
		{"S-24 400 without details", nil, 400, errorBody(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), fcm.InvalidMessage},
		{"S-25 BadRequest without violations", nil, 400, errorBody(400, "INVALID_ARGUMENT", "Message is too large.", `{"@type":"type.googleapis.com/google.rpc.BadRequest"}`, fcmError("INVALID_ARGUMENT")), fcm.InvalidMessage},
		{"S-26 another sender's token", nil, 403, errorBody(403, "PERMISSION_DENIED", "SenderId mismatch", fcmError("SENDER_ID_MISMATCH")), fcm.SenderIDMismatch},
		{"S-27 no permission", nil, 403, errorBody(403, "PERMISSION_DENIED", "denied", errorInfo("IAM_PERMISSION_DENIED")), fcm.Configuration},
		{"S-27 API not enabled", nil, 403, errorBody(403, "PERMISSION_DENIED", "not used", errorInfo("SERVICE_DISABLED")), fcm.Configuration},
		{"S-28 the project's quota", nil, 429, errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", errorInfo("RATE_LIMIT_EXCEEDED")), fcm.ProjectQuota},
		{"S-29 a device's quota", nil, 429, errorBody(429, "RESOURCE_EXHAUSTED", "quota", fcmError("QUOTA_EXCEEDED")), fcm.DeviceQuota},
		{"S-30 a topic's quota", topic, 429, errorBody(429, "RESOURCE_EXHAUSTED", "Topic quota exceeded.", fcmError("QUOTA_EXCEEDED")), fcm.TopicQuota},
		{"S-33 500", nil, 500, errorBody(500, "INTERNAL", "Internal error encountered.", fcmError("INTERNAL")), fcm.Internal},
		{"S-33 503", nil, 503, errorBody(503, "UNAVAILABLE", "The service is currently unavailable."), fcm.Unavailable},
		{"S-35 502 and a page", nil, 502, page, fcm.Unavailable},
		{"S-39 details the other way round", nil, 400, errorBody(400, "INVALID_ARGUMENT", "bad", fcmError("INVALID_ARGUMENT"), violation("message.token")), fcm.MalformedToken},
		{"S-40 strange details", nil, 503, errorBody(503, "STRANGE", "x", `{"@type":"type.googleapis.com/strange","a":[1]}`, fcmError("STRANGE")), fcm.Unavailable},
		{"S-41 the older type", nil, 404, errorBody(404, "NOT_FOUND", "x", `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmErrorCode","errorCode":"UNREGISTERED"}`), fcm.Unregistered},
		{"R-A65 a redirect is not followed", nil, 302, "", fcm.Configuration},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				tokens := 0
				s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
					tokens++
					return fcmsend.Token{Value: accessToken}, nil
				}), nil)
				to := c.to
				if to == nil {
					to = toToken()
				}
				p := send(t, s, to)
				conn := w.conn()
				conn.request().answer(c.status, c.body, "location", "https://elsewhere.example/")
				e := p.wantError(c.want, false)
				if e.Reply == nil || e.Reply.HTTPStatus != c.status || e.RetryAfter != 0 {
					t.Errorf("reply %+v, RetryAfter %v", e.Reply, e.RetryAfter)
				}
				if strings.Contains(e.Error(), "canary") || len(e.Error()) > 300 {
					t.Errorf("the page is in the error: %.300s", e.Error())
				}
				conn.noRequest() // nor is it sent again
				w.noConn()
				if tokens != 1 {
					t.Errorf("%d tokens were asked for; want 1", tokens)
				}
			})
		})
	}
}

func TestAStatusIsAnAnswerThoughTheBodyIsMissing(t *testing.T) {
	cases := []struct {
		name    string
		status  int
		end     func(r *request)
		class   fcm.Class
		unknown bool
	}{
		{"503 and a cut", 503, func(r *request) { r.nc.Close() }, fcm.Unavailable, false},
		{"503 and a reset", 503, func(r *request) { r.cancel(2) }, fcm.Unavailable, false},
		{"503 and more than was declared", 503, func(r *request) { r.data("x", true) }, fcm.Unavailable, false},
		{"503 and silence", 503, func(*request) {}, fcm.Unavailable, false},
		{"S-19 S-20 404 and a cut", 404, func(r *request) { r.nc.Close() }, fcm.Unavailable, false},
		{"S-19 S-20 404, half of its reply and a cut", 404, func(r *request) {
			r.data(`{"error":{"code":404,"status":"NOT_FOUND","det`, false)
			synctest.Wait()
			r.nc.Close()
		}, fcm.Unavailable, false},
		{"S-27 403, all of its reply and a cut", 403, func(r *request) {
			r.data(errorBody(403, "PERMISSION_DENIED", "x", errorInfo("SERVICE_DISABLED")), false)
			synctest.Wait()
			r.nc.Close()
		}, fcm.Configuration, false},
		{"S-26 S-27 403 and a reset", 403, func(r *request) { r.cancel(2) }, fcm.Unavailable, false},
		{"S-26 S-27 403 and silence", 403, func(*request) {}, fcm.Unavailable, false},
		{"S-21 404 and too much", 404, func(r *request) { r.data(strings.Repeat("x", 70<<10), false) }, fcm.Configuration, false},
		{"403 and too much", 403, func(r *request) { r.data(strings.Repeat("x", 70<<10), false) }, fcm.Configuration, false},
		{"302 and a cut", 302, func(r *request) { r.nc.Close() }, fcm.Configuration, false},
		{"400 and a cut", 400, func(r *request) { r.nc.Close() }, fcm.InvalidMessage, false},
		{"S-09 200 and silence", 200, func(*request) {}, fcm.Unavailable, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				p := send(t, w.sender(nil), toToken())
				r := w.conn().request()
				if strings.HasSuffix(c.name, "declared") {
					r.head(c.status, false, "content-length", "0")
				} else {
					r.head(c.status, false)
				}
				synctest.Wait()
				c.end(r)
				p.wantError(c.class, c.unknown)
				if p.took != 0 && !strings.HasSuffix(c.name, "silence") {
					t.Errorf("took %v; want it at once", p.took)
				}
			})
		})
	}
}

// What one call heard says nothing of the next, which uses its memory.
func TestAnAnswerThatIsCutIsNotMistakenForTheOneBefore(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		var conn *farConn
		for range 10 {
			p := send(t, s, toToken())
			if conn == nil {
				conn = w.conn()
			}
			conn.request().answer(503, "", "retry-after", "30")
			p.wantError(fcm.Unavailable, false)
			p = send(t, s, toToken())
			r := conn.request()
			r.head(200, false)
			r.data(success, false)
			r.cancel(2)
			if e := p.wantError(fcm.Unavailable, true); e.RetryAfter != 0 || e.Reply != nil {
				t.Errorf("%v, retry after %v, reply %v", e, e.RetryAfter, e.Reply)
			}
		}
	})
}

func TestS_32_RetryAfterIsReadAsSecondsAndAsDate(t *testing.T) {
	for value, want := range map[string]time.Duration{"30": 30 * time.Second, "Sat, 01 Jan 2000 00:01:00 GMT": time.Minute, "soon": 0, "": 0} {
		t.Run("S-32 "+value, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				p := send(t, w.sender(nil), toToken())
				w.conn().request().answer(503, "", "retry-after", value)
				if e := p.wantError(fcm.Unavailable, false); e.RetryAfter != want {
					t.Errorf("RetryAfter %v; want %v", e.RetryAfter, want)
				}
			})
		})
	}
}

func TestS_51_ARequestIsGivenTenSeconds(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		time.Sleep(10*time.Second - time.Nanosecond)
		p.wantPending()
		e := p.wantError(fcm.Unavailable, true)
		if p.took != 10*time.Second || e.Err == nil {
			t.Errorf("given up after %v: %v; want 10 s", p.took, e)
		}
		time.Sleep(time.Millisecond)
		if code, ok := conn.resetOf(r.id); !ok || code != 8 {
			t.Errorf("reset %v, %v; want CANCEL", code, ok)
		}
		r.accept() // late, to nobody
		synctest.Wait()
		// The connection goes on.
		p = send(t, s, toToken())
		conn.request().accept()
		p.wantAccepted()
	})
	play(t, func(t *testing.T, w *far) {
		p := send(t, w.sender(&fcmsend.Options{RequestTimeout: time.Minute}), toToken())
		w.conn().request()
		p.wantError(fcm.Unavailable, true)
		if p.took != time.Minute {
			t.Errorf("given up after %v; want a minute", p.took)
		}
	})
}

func TestAContextEndsASend(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		p := sendWith(ctx, t, s, toToken())
		conn := w.conn()
		r := conn.request()
		e := p.wantError(fcm.Unavailable, true)
		if p.took != 2*time.Second || e.Err != context.DeadlineExceeded { //nolint:errorlint // the cause itself
			t.Errorf("after %v: %v", p.took, e)
		}
		// One that is over before anything is written has a known outcome.
		p = sendWith(ctx, t, s, toToken())
		if e := p.wantError(fcm.Unavailable, false); !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("error %v; want the context's", e)
		}
		time.Sleep(time.Millisecond)
		if _, ok := conn.resetOf(r.id); !ok {
			t.Error("the stream was not reset")
		}
		conn.noRequest()
		// And that he has left says nothing of the connection.
		p = send(t, s, toToken())
		conn.request().accept()
		p.wantAccepted()
		w.noConn()
	})
}

func TestAnAnswerInTheMomentOfLeavingCounts(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		for range 20 { // which of two things that have happened counts is chance
			ctx := &lastMoment{Context: t.Context(), before: func() { conn.request().accept() }, done: make(chan struct{})}
			sendWith(ctx, t, s, toToken()).wantAccepted()
		}
		if n := s.State().InFlight; n != 0 {
			t.Errorf("%d places are taken, and nobody is there", n)
		}
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		written := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		s.Close()
		written.wantError(fcm.Unavailable, true)
		send(t, s, toToken()).wantError(fcm.Unavailable, false)
		if !conn.isOver() {
			t.Error("the connection is left open")
		}
		if st := s.State(); len(st.Connections) != 0 || st.InFlight != 0 || st.Waiting != 0 || st.Dialing != 0 {
			t.Errorf("state %+v", st)
		}
		s.Close()
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1})
		first := send(t, s, toToken())
		w.conn().request()
		waits := send(t, s, toToken())
		waits.wantPending()
		if st := s.State(); st.Waiting != 1 || st.InFlight != 1 || len(st.Connections) != 1 || st.Connections[0].Protocol != "h2" || st.Connections[0].Limit != 1 {
			t.Errorf("state %+v", st)
		}
		s.Close()
		waits.wantError(fcm.Unavailable, false)
		first.wantError(fcm.Unavailable, true)
		if n := len(w.dialled()); n != 1 {
			t.Errorf("%d dials; want none after the first", n)
		}
	})
}
