package app_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	nack, ok := errors.AsType[*ccs.NackError](err)
	if !ok {
		t.Fatal(err)
	}
	return string(nack.Code)
}

func TestThreeFrontsLeadToFCM(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	p := overFCM(sim)
	p.ProjectID = "" // the credentials tell it
	const v1Key = "psk_forv1aloneforv1al"
	p.Keys = append(p.Keys, &config.Key{Name: "v1", Secret: config.NewSecret(v1Key), Fronts: []string{"v1"}})
	r := run(t, settings(t, nil), p)
	live, dead := sim.Tokens()[0], sim.DeadTokens()[0]

	if status, body := r.post(serverKey, string(live)); status != 200 || !strings.Contains(body, `"success":1`) {
		t.Errorf("legacy: %d %s", status, body)
	}
	if status, body := r.post(serverKey, string(dead)); status != 200 || !strings.Contains(body, `"NotRegistered"`) {
		t.Errorf("legacy, dead: %d %s", status, body)
	}
	if status, _ := r.post("psk_ofsomebodyelse0", string(live)); status != 401 {
		t.Errorf("legacy, wrong key: %d", status)
	}
	if status, _ := r.post(v1Key, string(live)); status != 401 {
		t.Errorf("legacy, a key for v1 alone: %d", status)
	}
	for _, name := range []string{"shop", sim.ProjectID(), string(sim.SenderID())} {
		req, _ := http.NewRequest(http.MethodPost, "http://"+r.addr.HTTP[0]+"/v1/projects/"+name+"/messages:send",
			strings.NewReader(`{"message":{"token":"`+string(live)+`"}}`))
		req.Header.Set("Authorization", "Bearer "+v1Key)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("v1 by %s: %d", name, resp.StatusCode)
		}
	}
	pool := r.client(sim.SenderID(), serverKey, nil)
	if code := send(t, pool, live); code != "" {
		t.Errorf("ccs: %s", code)
	}
	if code := send(t, pool, dead); code != "DEVICE_UNREGISTERED" {
		t.Errorf("ccs, dead: %s", code)
	}
	if n := len(sim.Record()); n != 7 {
		t.Errorf("the simulator received %d messages", n)
	}
	for name, want := range map[string]string{
		`penstock_messages_accepted_total{front="legacy",project="shop"}`:                            "2",
		`penstock_messages_accepted_total{front="v1",project="shop"}`:                                "3",
		`penstock_messages_accepted_total{front="ccs",project="shop"}`:                               "2",
		`penstock_messages_answered_total{front="ccs",outcome="DEVICE_UNREGISTERED",project="shop"}`: "1",
		`penstock_messages_answered_total{front="legacy",outcome="ok",project="shop"}`:               "1",
		`penstock_sends_total{outcome="accepted",project="shop"}`:                                    "5",
		`penstock_requests_refused_total{front="legacy",status="401"}`:                               "2",
		`penstock_ccs_streams{project="shop"}`:                                                       "1",
		`penstock_fcm_connections{project="shop",protocol="h2"}`:                                     "1",
		`penstock_token_refreshes_total{outcome="ok",project="shop"}`:                                "1",
		`penstock_lane_in_flight_messages{project="shop"}`:                                           "0",
	} {
		if got := r.metric(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if at, err := strconv.ParseFloat(r.metric(`penstock_token_expiry_timestamp_seconds{project="shop"}`), 64); err != nil || time.Until(time.Unix(int64(at), 0)) < 30*time.Minute {
		t.Errorf("the token ends at %v, %v", at, err)
	}
}

func TestT_30_WhatIsPassedOverIsCounted(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, nil), overFCM(sim))
	live := sim.Tokens()[0]
	if status, body := r.postBody(serverKey, `{"to":"`+string(live)+`","nobody_knows_this":"x"}`); status != 200 {
		t.Errorf("legacy: %d %s", status, body)
	}
	const name = `penstock_ignored_fields_total{project="shop"}`
	if got := r.metric(name); got != "1" {
		t.Errorf("%s is %q; want 1: the request's key", name, got)
	}
	_, err := r.client(sim.SenderID(), serverKey, nil).Send(t.Context(), &ccs.Downstream{
		To: live, MessageID: "m-1", Notification: map[string]string{"title": "Goal", "color": "no color"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.metric(name); got != "2" {
		t.Errorf("%s is %q; want 2: the color too", name, got)
	}
}

func TestUpstreamAndReceiptsComeBack(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	// Two Penstocks in a chain: the first one's far end is the second.
	second := run(t, settings(t, nil), overCCS(sim.Addr(), sim.CAFile(), sim.ServerKey(), sim.SenderID()))
	first := run(t, settings(t, nil), overCCS(second.addr.CCS[0], filepath.Join(second.cfg.DataDir, "ca.pem"), serverKey, sender))

	live := sim.Tokens()[0]
	id, err := sim.Upstream(live, fcmsim.Upstream{Data: map[string]string{"hello": "server"}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the message is offered by the simulator", func() bool {
		st, err := sim.UpstreamState(live, id)
		return err == nil && st.Offers > 0
	})
	if st, _ := sim.UpstreamState(live, id); st.State == "acked" {
		t.Fatal("it was acked, and there is no app server")
	}

	var mu sync.Mutex
	refuse, got := true, map[ccs.MessageID]int{}
	receipts := make(chan *ccs.Receipt, 10)
	pool := first.client(sender, serverKey, &ccsclient.Options{
		Upstream: func(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
			mu.Lock()
			defer mu.Unlock()
			got[m.MessageID]++
			if refuse {
				refuse = false
				return ccsclient.ErrTryAgain
			}
			if st, _ := sim.UpstreamState(live, m.MessageID); st.State == "acked" {
				t.Error("it was acked before the app server was done with it")
			}
			return nil
		},
		Receipts: func(_ context.Context, r *ccs.Receipt) error { receipts <- r; return nil },
	})
	until(t, "the message is acked", func() bool {
		st, err := sim.UpstreamState(live, id)
		return err == nil && st.State == "acked"
	})
	mu.Lock()
	if got[id] != 2 {
		t.Errorf("the app server was asked %d times", got[id])
	}
	mu.Unlock()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := pool.Send(ctx, &ccs.Downstream{To: live, MessageID: "m-1", DeliveryReceiptRequested: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-receipts:
		if r.OriginalMessageID != "m-1" || r.Device != live {
			t.Errorf("got %+v", r)
		}
	case <-ctx.Done():
		t.Fatal("there was no receipt")
	}
	until(t, "the receipt is acked all the way", func() bool {
		return first.metric(`penstock_upstream_messages_total{kind="receipt",outcome="acked",project="shop"}`) == "1" &&
			second.metric(`penstock_upstream_messages_total{kind="receipt",outcome="acked",project="shop"}`) == "1"
	})
	if code := send(t, pool, sim.DeadTokens()[0]); code != "DEVICE_UNREGISTERED" {
		t.Errorf("a dead token: %s", code)
	}
	if n := first.metric(`penstock_far_streams{project="shop"}`); n != "1" {
		t.Errorf("%s streams to the far end", n)
	}
}

// Without a taker nothing is acked, and the far end keeps it.
func TestUpstreamForNobodyStaysAtTheFarEnd(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	p := overCCS(sim.Addr(), sim.CAFile(), sim.ServerKey(), sim.SenderID())
	p.Upstream.To = nil
	r := run(t, settings(t, nil), p)
	id, err := sim.Upstream(sim.Tokens()[0], fcmsim.Upstream{})
	if err != nil {
		t.Fatal(err)
	}
	r.client(sender, serverKey, nil)
	until(t, "it is left", func() bool {
		return r.metric(`penstock_upstream_messages_total{kind="upstream",outcome="left",project="shop"}`) == "1"
	})
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if st, err := sim.UpstreamState(sim.Tokens()[0], id); err != nil || st.State == "acked" {
		t.Errorf("the message is %s, %v", st.State, err)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	far := overCCS("127.0.0.1:1", "", "key", "")
	far.Name, far.SenderID = "far", "5"
	far.Keys[0].Secret = config.NewSecret("psk_another012345678")
	r := run(t, settings(t, nil), overFCM(sim), far)
	var got struct {
		Ready    bool
		Reason   string
		Projects []struct{ Project, State, Reason string }
	}
	status, body := r.get("/readyz")
	parse(t, body, &got)
	if status != 200 || !got.Ready || len(got.Projects) != 2 || got.Projects[0].State != "held" || got.Projects[0].Reason == "" || got.Projects[1].Project != "shop" || got.Projects[1].State != "ok" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := r.get("/healthz"); status != 200 || body != "{\"ok\":true}\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := r.get("/debug/pprof/"); status != 404 {
		t.Errorf("profiles: %d", status)
	}
	for _, secret := range []string{serverKey, sender + "9", r.cfg.DataDir} {
		if strings.Contains(body, secret) {
			t.Errorf("it names %s", secret)
		}
	}
}

func TestProfilesAreThereWhenSwitchedOn(t *testing.T) {
	t.Parallel()
	r := run(t, settings(t, map[string]string{"admin.pprof": "true"}))
	if status, _ := r.get("/debug/pprof/goroutine?debug=1"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestNotReadyWithoutRoom(t *testing.T) {
	t.Parallel()
	far, release := slowCCS(t)
	r := run(t, settings(t, map[string]string{"limits.messages_per_project": "1"}), far)
	pool := r.client(sender, serverKey, &ccsclient.Options{RetryMax: -1})
	answered := make(chan error, 1)
	if err := pool.SendFunc(t.Context(), &ccs.Downstream{To: "t", MessageID: "m-1"}, func(_ ccsclient.Answer, err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	until(t, "not ready", func() bool {
		status, body := r.get("/readyz")
		return status == 503 && strings.Contains(body, `"state":"full"`)
	})
	if code := send(t, pool, "t"); code != "SERVICE_UNAVAILABLE" {
		t.Errorf("one too many: %q", code)
	}
	until(t, "the message has its answer", func() bool { release(); return len(answered) == 1 })
	until(t, "ready again", func() bool { status, _ := r.get("/readyz"); return status == 200 })
}

// One project without room is its own affair: the others are served.
func TestAFullProjectLeavesTheOthersReady(t *testing.T) {
	t.Parallel()
	far, release := slowCCS(t)
	other := overFCM(simulator(t))
	other.Name = "other"
	other.Keys[0].Secret = config.NewSecret("psk_another012345678")
	r := run(t, settings(t, map[string]string{"limits.messages_per_project": "1"}), far, other)
	pool := r.client(sender, serverKey, &ccsclient.Options{RetryMax: -1})
	answered := make(chan error, 1)
	if err := pool.SendFunc(t.Context(), &ccs.Downstream{To: "t", MessageID: "m-1"}, func(_ ccsclient.Answer, err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	until(t, "a full project", func() bool {
		status, body := r.get("/readyz")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return strings.Contains(body, `"state":"full"`)
	})
	until(t, "the message has its answer", func() bool { release(); return len(answered) == 1 })
}

func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	start := func(cfg *config.Config, projects ...*config.Project) error {
		cfg.Projects = projects
		a, err := app.New(cfg, app.Options{})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return a.Run(ctx)
	}
	for _, setting := range []string{"ccs.listen", "http.listen", "admin.listen"} {
		t.Run(setting, func(t *testing.T) {
			err := start(settings(t, map[string]string{setting: taken.Addr().String()}))
			bad, ok := errors.AsType[*app.ListenError](err)
			if !ok || bad.Setting != setting || !errors.Is(err, syscall.EADDRINUSE) ||
				err.Error() != "cannot listen on "+taken.Addr().String()+": another program listens there: give another address in "+setting+" (--"+strings.Replace(setting, ".", "-", 1)+")" {
				t.Errorf("got %v", err)
			}
		})
	}
	bad := func(change func(p *config.Project)) *config.Project {
		p := project("shop", sender)
		p.Transport.HasFCM = true
		p.Transport.FCM.Endpoint = "https://127.0.0.1:1"
		change(p)
		return p
	}
	nothing := filepath.Join(t.TempDir(), "nothing")
	noJSON := filepath.Join(t.TempDir(), "sa.json")
	if err := os.WriteFile(noJSON, []byte("no JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		p    *config.Project
		want []string
	}{
		{"no credentials", bad(func(p *config.Project) { p.Transport.FCM.CredentialsFile = nothing }), []string{"project shop", "transport.fcm.credentials_file", nothing}},
		{"damaged credentials", bad(func(p *config.Project) { p.Transport.FCM.CredentialsFile = noJSON }), []string{"project shop", "transport.fcm.credentials_file"}},
		{"damaged credentials in the configuration", bad(func(p *config.Project) { p.Transport.FCM.Credentials = config.NewSecret("psk_canary") }), []string{"project shop", "transport.fcm.credentials"}},
		{"no CA", bad(func(p *config.Project) {
			p.Transport.FCM.Credentials, p.Transport.FCM.CAFile = config.NewSecret(`{"type":"service_account"}`), nothing
		}), []string{"project shop"}},
		{"a reserved key for message ids", bad(func(p *config.Project) { p.Translate.MessageIDKey = "google.id" }), []string{"project shop", "translate.message_id_key", "google.id", "reserved"}},
		{"a short key", bad(func(p *config.Project) { p.Keys[0].Secret = config.NewSecret("short") }), []string{"key default of project shop", "at least 16"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := start(settings(t, nil), tt.p)
			if _, ok := errors.AsType[*app.ConfigError](err); !ok {
				t.Fatalf("got %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("there is no %q in: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("it shows a secret: %v", err)
			}
		})
	}
	t.Run("one key for two projects", func(t *testing.T) {
		a, b := project("a", "1"), project("b", "2")
		if err := start(settings(t, nil), a, b); err == nil || !strings.Contains(err.Error(), "key default of project b is the same as key default of project a") {
			t.Errorf("got %v", err)
		}
	})
}

// Callers of HTTP wait for the verdict timeout, and not as long as the far end
// may take; over CCS the server itself sees to that.
func TestHTTPCallersAreAnsweredInTime(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, map[string]string{"verdict_timeout": "2s"}), overFCM(sim))
	if err := sim.SetFault(fcmsim.Fault{Silence: true, Face: fcmsim.FaceHTTP}); err != nil {
		t.Fatal(err)
	}
	live := string(sim.Tokens()[0])
	var both sync.WaitGroup
	for path, body := range map[string]string{
		"/fcm/send":                       `{"to":"` + live + `"}`,
		"/v1/projects/shop/messages:send": `{"message":{"token":"` + live + `"}}`,
	} {
		both.Go(func() {
			began := time.Now()
			req, _ := http.NewRequest(http.MethodPost, "http://"+r.addr.HTTP[0]+path, strings.NewReader(body))
			req.Header.Set("Authorization", "key="+serverKey)
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if took := time.Since(began); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || took < 2*time.Second || took > 7*time.Second {
				t.Errorf("%s: %d after %v, want 503 with Retry-After after 2 s", path, resp.StatusCode, took)
			}
		})
	}
	both.Wait()
	sim.ClearFaults()
}
