package fcmsim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/ccstest"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func (f *v1Face) fault(fault fcmsim.Fault) {
	f.t.Helper()
	f.ClearFaults()
	if err := f.SetFault(fault); err != nil {
		f.t.Fatal(err)
	}
}

func TestM_21_AnswersThatAFaultAsksFor(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	const m = `{"token":"%s"}`
	count := func() int {
		got, _ := f.received(f.Tokens()[0])
		return len(got)
	}
	t.Run("M-21 an error by its number, with Retry-After", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E22", RetryAfter: "Fri, 31 Dec 1999 23:59:59 GMT"})
		before := count()
		r := f.message(m)
		r.wantError(503, "UNAVAILABLE", "The service is currently unavailable.", list(fcmError("UNAVAILABLE")))
		if got := r.header.Get("Retry-After"); got != "Fri, 31 Dec 1999 23:59:59 GMT" {
			t.Errorf("Retry-After is %q", got)
		}
		if count() != before {
			t.Error("the message was delivered")
		}
	})
	t.Run("M-21 a status, and a body of any kind", func(t *testing.T) {
		f := f.on(t)
		for _, fault := range []fcmsim.Fault{
			{Status: 418, Body: "<p>", ContentType: "text/html", RetryAfter: "x"},
			{Status: 200, Body: "{}"},
			{Status: 200},
			{Status: 301, Body: "gone"},
		} {
			f.fault(fault)
			before := count()
			r := f.message(m)
			contentType := fault.ContentType
			if contentType == "" {
				contentType = "application/json; charset=UTF-8"
			}
			if r.status != fault.Status || r.body != fault.Body || r.header.Get("Content-Type") != contentType || r.header.Get("Retry-After") != fault.RetryAfter {
				t.Errorf("%d %v %q", r.status, r.header, r.body)
			}
			fault.Deliver = true
			f.fault(fault)
			if count() != before {
				t.Error("the message was delivered")
			}
			if f.message(m); count() != before+1 {
				t.Error("the message was not delivered")
			}
			if rec := f.Record(); rec[len(rec)-1].Status != fault.Status || (rec[len(rec)-1].Answer == "ack") != (fault.Status < 300) {
				t.Errorf("recorded as %+v", rec[len(rec)-1])
			}
		}
	})
	t.Run("M-21 HTML 502", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E23"})
		r := f.message(m)
		if r.status != 502 || r.header.Get("Content-Type") != "text/html; charset=UTF-8" || !contains(r.body, "<title>Error 502 (Server Error)!!1</title>") || !contains(r.body, "30 seconds") {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
	})
	t.Run("M-21 an error although the message is delivered", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E21", Deliver: true})
		before := count()
		if r := f.message(m); r.status != 500 || count() != before+1 {
			t.Errorf("%d, %d delivered", r.status, count()-before)
		}
	})
	t.Run("M-21 the next two", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E21", Next: 2})
		if got := fmt.Sprint(f.message(m).status, f.message(m).status, f.message(m).status); got != "500 500 200" {
			t.Error(got)
		}
	})
	t.Run("M-21 each third", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E21", Every: 3, Next: 2})
		var got []int
		for range 10 {
			got = append(got, f.message(m).status)
		}
		if fmt.Sprint(got) != "[200 200 500 200 200 500 200 200 200 200]" {
			t.Error(got)
		}
	})
	t.Run("M-21 a token, by either of its names, a topic, a condition", func(t *testing.T) {
		f := f.on(t)
		d := f.add(fcmsim.DeviceOptions{})
		byToken, byFID, both := `{"token":"`+string(d.Token)+`"}`, `{"fid":"`+d.FID+`"}`, `{"token":"`+d.FID+`"}`
		for token, hit := range map[ccs.RegistrationToken][]string{
			d.Token: {byToken, byFID, both}, ccs.RegistrationToken(d.FID): {byToken, byFID, both},
			"/topics/news": {`{"topic":"news"}`}, "'a' in topics": {`{"condition":"'a' in topics"}`},
		} {
			f.fault(fcmsim.Fault{Error: "E21", Token: token})
			for _, m := range []string{byToken, byFID, both, `{"topic":"news"}`, `{"condition":"'a' in topics"}`, m, `{"topic":"old"}`} {
				want := 200
				for _, h := range hit {
					if m == h {
						want = 500
					}
				}
				if r := f.message(m); r.status != want {
					t.Errorf("fault for %.20s, message %.40s: %d", token, m, r.status)
				}
			}
		}
	})
	t.Run("M-21 a share", func(t *testing.T) {
		f := f.on(t)
		run := func(seed uint64) (list []int) {
			f.fault(fcmsim.Fault{Error: "E21", Share: 0.25, Seed: seed})
			for range 400 {
				list = append(list, f.message(`{"topic":"news"}`).status)
			}
			return list
		}
		a, b, c := run(1), run(1), run(2)
		n := strings.Count(fmt.Sprint(a), "500")
		if n < 60 || n > 140 || fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
			t.Errorf("%d of 400", n)
		}
	})
	t.Run("M-21 what is wrong in itself is answered so", func(t *testing.T) {
		f := f.on(t)
		f.fault(fcmsim.Fault{Error: "E21"})
		if r := f.message(`{"topic":"a b"}`); r.status != 400 {
			t.Errorf("%d", r.status)
		}
		if n := f.Faults()[0].Applied; n != 0 {
			t.Errorf("applied %d times", n)
		}
	})
}

func TestM_21_AFaultHasAFace(t *testing.T) {
	inBubble(t, fcmsim.Options{}, func(b *bench) {
		f, a := v1Of(t, b.Sim), b.login()
		i := 0
		for _, c := range []struct {
			fault     fcmsim.Fault
			http, ccs bool
		}{
			{fcmsim.Fault{Error: "E21"}, true, false},
			{fcmsim.Fault{Nack: "INTERNAL_SERVER_ERROR"}, false, true},
			{fcmsim.Fault{Nack: "INTERNAL_SERVER_ERROR", Error: "E21"}, true, true},
			{fcmsim.Fault{Nack: "INTERNAL_SERVER_ERROR", Error: "E21", Face: fcmsim.FaceCCS}, false, true},
			{fcmsim.Fault{Nack: "INTERNAL_SERVER_ERROR", Error: "E21", Face: fcmsim.FaceBoth}, true, true},
			{fcmsim.Fault{Delay: time.Second}, true, true},
			{fcmsim.Fault{Delay: time.Second, Face: fcmsim.FaceHTTP}, true, false},
			{fcmsim.Fault{Delay: time.Second, Face: fcmsim.FaceCCS}, false, true},
		} {
			b.ClearFaults()
			err := b.SetFault(c.fault)
			if c.fault.Face == fcmsim.FaceCCS && c.fault.Error != "" {
				if err == nil {
					t.Errorf("%+v is taken", c.fault)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			r := f.message(`{"token":"%s"}`)
			if hit := r.status != 200 || time.Since(start) > 0; hit != c.http {
				t.Errorf("%+v: over HTTP %d after %v", c.fault, r.status, time.Since(start))
			}
			i++
			m := down(b.Tokens()[0], ccs.MessageID(fmt.Sprint(i)))
			start = time.Now()
			a.send(m)
			_, nacked := a.read().(*ccs.Nack)
			if hit := nacked || time.Since(start) > 0; hit != c.ccs {
				t.Errorf("%+v: over CCS %v after %v", c.fault, nacked, time.Since(start))
			}
			want := 0
			for _, hit := range []bool{c.http, c.ccs} {
				if hit {
					want++
				}
			}
			if n := b.Faults()[0].Applied; n != want {
				t.Errorf("%+v: applied %d times; want %d", c.fault, n, want)
			}
		}
	})
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	f := newV1(t, fcmsim.Options{})
	for name, fault := range map[string]fcmsim.Fault{
		"a face of none":             {Face: "xmpp", Delay: 1},
		"an error of none":           {Error: "E99"},
		"two ways":                   {Error: "E21", Status: 500},
		"an error and a cut":         {Error: "E21", Cut: true},
		"a reset and silence":        {Reset: true, Silence: true},
		"a status below 200":         {Status: 100},
		"a status above 599":         {Status: 600},
		"a body without status":      {Body: "x", Delay: 1},
		"a body of megabytes":        {Status: 200, Body: strings.Repeat("x", 2<<20)},
		"a content type without it":  {ContentType: "x", Error: "E21"},
		"a content type of lines":    {ContentType: "x\r\ny", Status: 200},
		"a Retry-After of lines":     {RetryAfter: "x\ny", Status: 503},
		"a Retry-After for nothing":  {RetryAfter: "1", Delay: 1},
		"a long Retry-After":         {RetryAfter: strings.Repeat("1", 2000), Status: 503},
		"nothing to break off":       {Short: true, Reset: true},
		"refusal by token":           {Refuse: true, Token: "x"},
		"refusal after a while":      {Refuse: true, Delay: 1},
		"refusal of CCS":             {Refuse: true, Face: fcmsim.FaceCCS},
		"refusal of both":            {Refuse: true, Face: fcmsim.FaceBoth},
		"an error of CCS":            {Error: "E21", Face: fcmsim.FaceCCS},
		"a nack of HTTP":             {Nack: "X", Face: fcmsim.FaceHTTP},
		"slow HTTP":                  {Slow: 100, Face: fcmsim.FaceHTTP},
		"deliver what is answered":   {GoAway: true, Deliver: true},
		"each minus third":           {Error: "E21", Every: -3},
		"nothing to do":              {Face: fcmsim.FaceHTTP},
		"a nack and its own silence": {Nack: "X", Silence: true, Error: "E21"},
	} {
		if err := f.SetFault(fault); err == nil {
			t.Errorf("%s is taken: %+v", name, fault)
		}
	}
}

// An h2 is a simulator in memory, and clients that reach it over TLS.
type h2 struct {
	*fcmsim.Sim
	t     *testing.T
	l     *ccstest.Listener
	plain *ccstest.Listener
	auth  string
}

// overHTTP runs f in a bubble with a simulator that listens.
func overHTTP(t *testing.T, name string, opt fcmsim.Options, f func(h *h2)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &h2{t: t, l: ccstest.Listen(), plain: ccstest.Listen()}
			opt.ClearText = true
			opt.Listeners = append(opt.Listeners, ccstest.Listen())
			opt.HTTPListeners = append(opt.HTTPListeners, h.l)
			opt.PlainHTTPListeners = append(opt.PlainHTTPListeners, h.plain)
			var err error
			if h.Sim, err = fcmsim.Start(&opt); err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			h.auth = "Bearer " + h.AccessToken()
			f(h)
		})
	})
}

// client makes a client with connections of its own; without h2 it speaks
// HTTP/1.1.
func (h *h2) client(http2 bool) *http.Client {
	tr := &http.Transport{
		ForceAttemptHTTP2: http2,
		TLSClientConfig:   &tls.Config{RootCAs: h.CertPool()},
		DialContext: func(ctx context.Context, _, addr string) (c net.Conn, err error) {
			if addr == "plain:80" {
				return h.plain.Dial(ctx)
			}
			return h.l.Dial(ctx)
		},
	}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// post sends to the first live token. What comes back is status and body, or an
// error.
func (h *h2) post(c *http.Client) (string, error) {
	return h.postTo(c, "https://fcm.googleapis.com", h.auth)
}

func (h *h2) postTo(c *http.Client, base, auth string) (string, error) {
	body := fmt.Sprintf(`{"message":{"token":%q}}`, h.Tokens()[0])
	req, err := http.NewRequest(http.MethodPost, base+"/v1/projects/"+h.ProjectID()+"/messages:send", bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", auth)
	req.GetBody = nil // no repeats that the test does not see
	r, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.Proto, " ", r.StatusCode, " ", string(text)), err
}

func (h *h2) mustPost(c *http.Client) {
	h.t.Helper()
	if got, err := h.post(c); err != nil || !strings.HasPrefix(got, "HTTP/2.0 200 {") {
		h.t.Errorf("%s, %v", got, err)
	}
}

func (h *h2) fault(f fcmsim.Fault) {
	h.t.Helper()
	h.ClearFaults()
	if err := h.SetFault(f); err != nil {
		h.t.Fatal(err)
	}
}

func (h *h2) delivered() int {
	d, _ := h.Device(h.Tokens()[0])
	return d.ReceivedCount
}

func TestM_21_ConnectionsThatBreak(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		proto := map[bool]string{true: " over HTTP/2", false: " over HTTP/1.1"}[http2]
		overHTTP(t, "M-21 a reset, and what was delivered"+proto, fcmsim.Options{}, func(h *h2) {
			c := h.client(http2)
			for i, deliver := range []bool{false, true} {
				h.fault(fcmsim.Fault{Cut: true, Deliver: deliver, Next: 1})
				if got, err := h.post(c); err == nil || h.delivered() != i {
					h.t.Errorf("%s, %v; %d delivered", got, err, h.delivered())
				}
				h.ClearFaults()
			}
			if got, err := h.post(c); err != nil || !contains(got, " 200 ") {
				h.t.Errorf("the next one: %s, %v", got, err)
			}
			if r := h.Record(); r[0].Answer != "" || r[0].Status != 0 || r[2].Status != 200 {
				h.t.Errorf("recorded %+v", r)
			}
		})
		overHTTP(t, "M-21 a reset after a while"+proto, fcmsim.Options{}, func(h *h2) {
			h.fault(fcmsim.Fault{Cut: true, Delay: time.Minute})
			start := time.Now()
			if got, err := h.post(h.client(http2)); err == nil || time.Since(start) != time.Minute {
				h.t.Errorf("%s, %v after %v", got, err, time.Since(start))
			}
		})
		overHTTP(t, "M-21 a delay"+proto, fcmsim.Options{}, func(h *h2) {
			h.fault(fcmsim.Fault{Delay: time.Minute})
			start := time.Now()
			if got, err := h.post(h.client(http2)); err != nil || !contains(got, " 200 ") || time.Since(start) != time.Minute || h.delivered() != 1 {
				h.t.Errorf("%s, %v after %v", got, err, time.Since(start))
			}
		})
		overHTTP(t, "M-21 silence"+proto, fcmsim.Options{}, func(h *h2) {
			h.fault(fcmsim.Fault{Silence: true})
			c := h.client(http2)
			c.Timeout = time.Hour
			start := time.Now()
			if got, err := h.post(c); err == nil || time.Since(start) != time.Hour || h.delivered() != 0 {
				h.t.Errorf("%s, %v after %v", got, err, time.Since(start))
			}
		})
		overHTTP(t, "M-21 a body cut short"+proto, fcmsim.Options{}, func(h *h2) {
			h.fault(fcmsim.Fault{Short: true, Error: "E22"})
			got, err := h.post(h.client(http2))
			if err == nil || !contains(got, ` 503 {`) || contains(got, "FcmError") {
				h.t.Errorf("%s, %v", got, err)
			}
			h.fault(fcmsim.Fault{Short: true})
			got, err = h.post(h.client(http2))
			if err == nil || !contains(got, ` 200 {`) || contains(got, "}") || h.delivered() != 1 {
				h.t.Errorf("%s, %v", got, err)
			}
		})
		overHTTP(t, "M-21 a stream that is reset"+proto, fcmsim.Options{}, func(h *h2) {
			c := h.client(http2)
			h.fault(fcmsim.Fault{Reset: true, Next: 1, Deliver: true})
			got, err := h.post(c)
			if err == nil || h.delivered() != 1 || http2 && !contains(err.Error(), "INTERNAL_ERROR") {
				h.t.Errorf("%s, %v", got, err)
			}
			if got, err := h.post(c); err != nil || !contains(got, " 200 ") {
				h.t.Errorf("the next one: %s, %v", got, err)
			}
		})
		overHTTP(t, "M-21 M-24 no more on this connection"+proto, fcmsim.Options{}, func(h *h2) {
			dials := 0
			c := h.client(http2)
			tr := c.Transport.(*http.Transport)
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials++
				return dial(ctx, network, addr)
			}
			h.fault(fcmsim.Fault{GoAway: true, Every: 3})
			for i := range 10 {
				if got, err := h.post(c); err != nil || !contains(got, " 200 ") {
					h.t.Errorf("message %d: %s, %v", i, got, err)
				}
				synctest.Wait() // the client has read GOAWAY
			}
			if dials != 4 || h.delivered() != 10 {
				h.t.Errorf("%d connections, %d delivered; want 4 and 10", dials, h.delivered())
			}
		})
	}
	overHTTP(t, "M-21 a delay of all answers", fcmsim.Options{AnswerDelay: time.Second}, func(h *h2) {
		start := time.Now()
		if h.mustPost(h.client(true)); time.Since(start) != time.Second {
			h.t.Errorf("it took %v", time.Since(start))
		}
	})
	overHTTP(t, "M-21 a stream that is refused before it is read", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{Refuse: true, Next: 1})
		got, err := h.post(h.client(true))
		if err == nil || !contains(err.Error(), "REFUSED_STREAM") && !contains(err.Error(), "Request.GetBody") || len(h.Record()) != 0 {
			h.t.Errorf("%s, %v, %d in the record", got, err, len(h.Record()))
		}
		h.mustPost(h.client(true))
	})
	overHTTP(t, "M-21 M-24 GOAWAY that leaves the stream out", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{Refuse: true, GoAway: true, Next: 1})
		got, err := h.post(h.client(true))
		if err == nil || len(h.Record()) != 0 {
			h.t.Errorf("%s, %v, %d in the record", got, err, len(h.Record()))
		}
		h.mustPost(h.client(true))
	})
	overHTTP(t, "shutdown does not wait for silence", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{Silence: true})
		done := make(chan error, 1)
		go func() {
			_, err := h.post(h.client(true))
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		if err := h.Shutdown(context.Background()); err != nil || time.Since(start) > 10*time.Second {
			h.t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-done; err == nil {
			h.t.Error("the request was answered")
		}
	})
	overHTTP(t, "shutdown lets requests finish", fcmsim.Options{}, func(h *h2) {
		h.fault(fcmsim.Fault{Delay: 100 * time.Millisecond})
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { h.mustPost(h.client(true)) })
		}
		synctest.Wait()
		if err := h.Shutdown(context.Background()); err != nil {
			h.t.Error(err)
		}
		all.Wait()
		if _, err := h.post(h.client(true)); !errors.Is(err, io.EOF) && err == nil {
			h.t.Error("it still serves")
		}
	})
}

func TestM_21_FaultsOverTheControlAPI(t *testing.T) {
	r := newRemote(t, fcmsim.Options{})
	const full = `{"face":"http","token":"t","next":3,"every":2,"share":0.5,"seed":7,"delay_ms":20,"status":503,"body":"b","content_type":"c","retry_after":"1","short":true,"goaway":true,"deliver":true}`
	got := r.call("POST", "/fault", full, 200)
	want := map[string]any{"face": "http", "token": "t", "next": 3.0, "every": 2.0, "share": 0.5, "seed": 7.0, "delay_ms": 20.0, "status": 503.0,
		"body": "b", "content_type": "c", "retry_after": "1", "short": true, "goaway": true, "deliver": true, "applied": 0.0}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	r.call("POST", "/fault", `{"error":"E13"}`, 200)
	r.call("POST", "/fault", `{"reset":true}`, 200)
	r.call("POST", "/fault", `{"refuse":true}`, 200)
	r.refused("POST", "/fault", `{"every":0,"error":"E13"}`, 400, "every must be above 0")
	r.refused("POST", "/fault", `{"error":"E99"}`, 400, "error must be the number")
	if list := r.call("GET", "/fault", "", 200); len(list.([]any)) != 4 {
		t.Errorf("%v", list)
	}
}
