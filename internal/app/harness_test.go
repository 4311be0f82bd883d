package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

const (
	sender    = "1234567890"
	serverKey = "psk_0123456789abcdef"
)

// A lockedText is what a server logs.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// settings are a configuration on loopback and free ports, without projects.
func settings(t *testing.T, flags map[string]string) *config.Config {
	t.Helper()
	all := map[string]string{
		"data_dir": filepath.Join(t.TempDir(), "data"), "ccs.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0",
		"admin.listen": "127.0.0.1:0", "log.level": "debug",
	}
	for path, value := range flags {
		all[path] = value
	}
	cfg, err := config.Load(config.Sources{Environ: []string{}, Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// simulator starts a simulator with all its faces.
func simulator(t *testing.T) *fcmsim.Sim {
	t.Helper()
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir(), HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

// project is one with the key serverKey and no way to go.
func project(name, sender string) *config.Project {
	p := config.NewProject(name)
	p.SenderID = sender
	p.Keys = []*config.Key{{Name: "default", Secret: config.NewSecret(serverKey)}}
	p.Quotas.PerMinute, p.Quotas.PerDevice = 0, false
	return p
}

// overFCM is a project that goes to the simulator by HTTP v1.
func overFCM(sim *fcmsim.Sim) *config.Project {
	p := project("shop", string(sim.SenderID()))
	p.ProjectID = sim.ProjectID()
	p.Transport.HasFCM = true
	f := &p.Transport.FCM
	f.Endpoint, f.CAFile, f.CredentialsFile, f.Proxy = sim.FCMURL(), sim.CAFile(), sim.ServiceAccountFile(), config.NewURL("none")
	return p
}

// overCCS is a project that goes to a CCS endpoint.
func overCCS(endpoint, caFile, key string, far ccs.SenderID) *config.Project {
	p := project("shop", sender)
	p.Transport.HasCCS = true
	p.Transport.CCS = config.FarCCS{Endpoint: endpoint, CAFile: caFile, Key: config.NewSecret(key), SenderID: string(far), Streams: 1}
	return p
}

// A running is an App under test.
type running struct {
	t    *testing.T
	cfg  *config.Config
	addr app.Addresses
	log  *lockedText
	stop context.CancelFunc
	done chan error
}

// run starts an App and waits until it listens.
func run(t *testing.T, cfg *config.Config, projects ...*config.Project) *running {
	t.Helper()
	return runWith(t, app.Options{}, cfg, projects...)
}

func runWith(t *testing.T, opt app.Options, cfg *config.Config, projects ...*config.Project) *running {
	t.Helper()
	r := &running{t: t, cfg: cfg, log: new(lockedText), done: make(chan error, 1)}
	cfg.Projects = append(cfg.Projects, projects...)
	ready := make(chan app.Addresses, 1)
	opt.LogTo, opt.Ready = r.log, func(addr app.Addresses) { ready <- addr }
	a, err := app.New(cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.done <- a.Run(ctx) }()
	select {
	case r.addr = <-ready:
	case err := <-r.done:
		t.Fatalf("it did not start: %v\n%s", err, r.log)
	}
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("the log:\n%s", r.log)
		}
	})
	return r
}

// end ends it, and returns what Run returned.
func (r *running) end() error {
	r.stop()
	err := <-r.done
	r.done <- err
	return err
}

// until waits for something that happens soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// get asks the admin listener.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get("http://" + r.addr.Admin + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// metric is the value of a sample, as text; empty: there is none.
func (r *running) metric(name string) string {
	r.t.Helper()
	_, body := r.get("/metrics")
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// post sends one legacy message, with a key.
func (r *running) post(key, to string) (int, string) {
	r.t.Helper()
	return r.postBody(key, fmt.Sprintf(`{"to":%q,"data":{"k":"v"}}`, to))
}

func (r *running) postBody(key, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.addr.HTTP[0]+"/fcm/send", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "key="+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// trust is TLS that trusts Penstock's own CA.
func (r *running) trust() *tls.Config {
	r.t.Helper()
	pem, err := os.ReadFile(filepath.Join(r.cfg.DataDir, "ca.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

// client is an app server that is logged in, or tries to be.
func (r *running) client(sender ccs.SenderID, key string, opt *ccsclient.Options) *ccsclient.Pool {
	r.t.Helper()
	if opt == nil {
		opt = &ccsclient.Options{}
	}
	opt.TLS = r.trust()
	pool, err := ccsclient.NewPool(r.addr.CCS[0], ccsclient.Credentials{SenderID: sender, Key: key}, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = pool.Run(context.Background()) // Close ends it
	}()
	r.t.Cleanup(func() {
		pool.Close()
		<-ran
	})
	return pool
}

// send sends one message, and returns its nack's code, or "".
func send(t *testing.T, pool *ccsclient.Pool, to ccs.RegistrationToken) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := pool.Send(ctx, &ccs.Downstream{To: to, MessageID: ccs.NewMessageID(), Data: map[string]string{"k": "v"}})
	return codeOf(t, err)
}

func parse(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
