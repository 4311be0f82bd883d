package app_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/localca"
)

// The way out under load: everybody gets an answer, and nothing that was
// accepted is lost.
func TestR_F40_EndUnderLoad(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, nil), overFCM(sim))
	live := sim.Tokens()[0]
	var drains atomic.Int64
	pool := r.client(sim.SenderID(), serverKey, &ccsclient.Options{RetryMax: -1, Events: &ccsclient.Events{
		Draining: func(ccsclient.Stream) { drains.Add(1) },
	}})
	if code := send(t, pool, live); code != "" {
		t.Fatal(code)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var nAcked, other atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			one, giveUp := context.WithTimeout(ctx, 3*time.Second)
			err := pool.SendFunc(one, &ccs.Downstream{To: live, MessageID: ccs.NewMessageID(), Data: map[string]string{"n": "ccs"}}, func(a ccsclient.Answer, err error) {
				giveUp()
				if err == nil {
					nAcked.Add(1)
				} else {
					other.Add(1)
				}
			})
			if err != nil {
				giveUp()
			}
		}
	})
	var posted, refused atomic.Int64
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr.HTTP[0]+"/fcm/send", strings.NewReader(`{"to":"`+string(live)+`","data":{"n":"http"}}`))
			req.Header.Set("Authorization", "key="+serverKey)
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				refused.Add(1)
				if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") {
					// A kept connection that was closed as idle: nothing was read of it.
					continue
				}
				return
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || !strings.Contains(string(body), `"success":1`) {
				t.Errorf("while it ended: %d %s", resp.StatusCode, body)
			}
			posted.Add(1)
		}
	})
	until(t, "the load is on", func() bool { return nAcked.Load() > 500 && posted.Load() > 50 })
	began := time.Now()
	if err := r.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took > 28*time.Second {
		t.Errorf("it took %v", took)
	}
	close(stop)
	load.Wait()
	pool.Close()
	if drains.Load() != 1 {
		t.Errorf("%d drains were announced", drains.Load())
	}
	got := map[string]int64{}
	for _, rec := range sim.Record() {
		if rec.Answer == "ack" {
			got[rec.Data["n"]]++
		}
	}
	if got["ccs"] < nAcked.Load() || got["http"] < posted.Load() {
		t.Errorf("acked %d and %d, and the simulator has accepted %v", nAcked.Load(), posted.Load(), got)
	}
	t.Logf("%d acked, %d without answer or nacked, %d posted, %d refused", nAcked.Load(), other.Load(), posted.Load(), refused.Load())
}

// slowCCS is a project whose far end holds every answer back until it is
// released. What comes to it after that is answered at once.
func slowCCS(t *testing.T) (*config.Project, func()) {
	t.Helper()
	dir := t.TempDir()
	ca, err := localca.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server(nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []*ccsserver.Request
	released := false
	srv, err := ccsserver.New(ccsserver.HandlerFunc(func(r *ccsserver.Request) {
		mu.Lock()
		defer mu.Unlock()
		if released {
			r.Answer(nil, nil)
			return
		}
		held = append(held, r)
	}), ccsserver.NewKeys(map[ccs.SenderID][]string{sender: {"far key"}}), &ccsserver.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, AnswerTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return overCCS(l.Addr().String(), ca.CertFile(), "far key", ""), func() {
		mu.Lock()
		defer mu.Unlock()
		released = true
		for _, r := range held {
			r.Answer(nil, nil)
		}
	}
}

// soon is the next answer; who gave none has failed the test already, or hangs.
func soon(t *testing.T, answers <-chan string) string {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(40 * time.Second):
		t.Fatal("an answer is missing")
		return ""
	}
}

// Readiness falls before anything else does, and a message on its way has its
// answer before the door closes.
func TestR_F40_WhatIsOnItsWayIsAnswered(t *testing.T) {
	t.Parallel()
	// A far end that answers late, by our leave.
	far, release := slowCCS(t)
	r := run(t, settings(t, nil), far)
	answers := make(chan string, 2)
	pool := r.client(sender, serverKey, nil)
	go func() {
		status, body := r.post(serverKey, "t")
		if status != 200 {
			body = "refused: " + body
		}
		answers <- body
	}()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := pool.Send(ctx, &ccs.Downstream{To: "t", MessageID: "m-1"}); err != nil {
			answers <- err.Error()
			return
		}
		answers <- `"success":1`
	}()
	until(t, "both are on their way", func() bool { return r.metric(`penstock_lane_in_flight_messages{project="shop"}`) == "2" })
	r.stop()
	until(t, "not ready", func() bool {
		status, body := r.get("/readyz")
		return status == 503 && strings.Contains(body, "shutting down")
	})
	until(t, "nobody else is let in", func() bool {
		conn, err := net.Dial("tcp", r.addr.HTTP[0])
		if err == nil {
			conn.Close()
		}
		conn2, err2 := net.Dial("tcp", r.addr.CCS[0])
		if err2 == nil {
			conn2.Close()
		}
		return err != nil && err2 != nil
	})
	release()
	for range 2 {
		if got := soon(t, answers); !strings.Contains(got, `"success":1`) {
			t.Errorf("got %s", got)
		}
	}
	if err := r.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := net.Dial("tcp", r.addr.Admin); err == nil {
		t.Error("the admin listener is still there")
	}
}

// A far end that never answers does not keep the process: whoever waits is told
// that nobody knows.
func TestR_F40_WhatHasNoAnswerInTimeIsToldSo(t *testing.T) {
	t.Parallel()
	far, _ := slowCCS(t)
	r := runWith(t, app.Options{AnswerTime: 500 * time.Millisecond}, settings(t, nil), far)
	answers := make(chan string, 2)
	go func() {
		status, body := r.post(serverKey, "t")
		answers <- fmt.Sprint(status, " ", body)
	}()
	pool := r.client(sender, serverKey, &ccsclient.Options{RetryMax: -1})
	go func() { answers <- send(t, pool, "t") }()
	until(t, "both are on their way", func() bool { return r.metric(`penstock_lane_in_flight_messages{project="shop"}`) == "2" })
	began := time.Now()
	if err := r.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	for range 2 {
		if got := soon(t, answers); got != "SERVICE_UNAVAILABLE" && !strings.HasPrefix(got, "503 ") && !strings.Contains(got, `"Unavailable"`) {
			t.Errorf("got %s", got)
		}
	}
	if !strings.Contains(r.log.String(), "outcome is unknown") {
		t.Error("nobody is told")
	}
}
