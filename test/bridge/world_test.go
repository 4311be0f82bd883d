package bridge_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

const (
	serverKey = "psk_0123456789abcdef"
	patience  = 12 * time.Second // verdict_timeout's default
)

// A world is a network with programs on it.
type world struct {
	t   *testing.T
	net network
	mem *memory // nil on loopback
}

// inBubble runs f in a bubble, over a network in memory.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		f(t, &world{t: t, net: m, mem: m})
	})
}

// onLoopback is a world of sockets, in real time.
func onLoopback(t *testing.T) *world { return &world{t: t, net: new(loopback)} }

func (w *world) listen() []net.Listener {
	w.t.Helper()
	l, err := w.net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return []net.Listener{l}
}

// simulator starts one with all its faces.
func (w *world) simulator(opt fcmsim.Options) *fcmsim.Sim {
	w.t.Helper()
	opt.Dir = w.t.TempDir()
	opt.Listeners, opt.HTTPListeners, opt.PlainHTTPListeners = w.listen(), w.listen(), w.listen()
	sim, err := fcmsim.Start(&opt)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { sim.Close() })
	return sim
}

// project is one with a key and no way to go, at the sender id.
func project(name, sender, key string) *config.Project {
	p := config.NewProject(name)
	p.SenderID = sender
	p.Keys = []*config.Key{{Name: "default", Secret: config.NewSecret(key)}}
	p.Quotas.PerMinute, p.Quotas.PerDevice = 0, false
	return p
}

// overFCM is the project shop, which goes to sim by HTTP v1, without a pace of
// its own.
func overFCM(sim *fcmsim.Sim) *config.Project {
	p := project("shop", string(sim.SenderID()), serverKey)
	p.ProjectID = sim.ProjectID()
	p.Transport.HasFCM = true
	f := &p.Transport.FCM
	f.Endpoint, f.CAFile, f.CredentialsFile, f.Proxy = sim.FCMURL(), sim.CAFile(), sim.ServiceAccountFile(), config.NewURL("none")
	return p
}

// overCCS is the project shop, which goes to sim by CCS.
func overCCS(sim *fcmsim.Sim) *config.Project {
	p := project("shop", string(sim.SenderID()), serverKey)
	p.Transport.HasCCS = true
	p.Transport.CCS = config.FarCCS{Endpoint: sim.Addr(), CAFile: sim.CAFile(), Key: config.NewSecret(sim.ServerKey()), Streams: 1}
	return p
}

// overPenstock is the project shop, which goes to another Penstock, where the
// sender id has the same key.
func overPenstock(far *penstock, sender string) *config.Project {
	p := project("shop", sender, serverKey)
	p.Transport.HasCCS = true
	p.Transport.CCS = config.FarCCS{Endpoint: far.addr.CCS[0], CAFile: far.addr.CAFile, Key: config.NewSecret(serverKey), Streams: 1}
	return p
}

// A penstock is a whole one, that runs.
type penstock struct {
	w    *world
	addr app.Addresses
	log  *lockedText
	stop context.CancelFunc
	done chan error

	trusted *tls.Config
	admin   *http.Client
}

// penstock starts one with projects and all fronts, those of HTTP over TLS. Flags
// are settings beside that.
func (w *world) penstock(flags map[string]string, projects ...*config.Project) *penstock {
	w.t.Helper()
	all := map[string]string{
		"data_dir": filepath.Join(w.t.TempDir(), "data"), "ccs.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0",
		"http.own_tls": "true", "admin.listen": "127.0.0.1:0", "log.level": "debug",
		// A client may use a connection in the very moment in which it is closed
		// for being idle: here, where a minute is exact, that happens.
		"limits.http_idle_timeout": "24h",
	}
	for path, value := range flags {
		all[path] = value
	}
	cfg, err := config.Load(config.Sources{Environ: []string{}, Flags: all})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.Projects = projects
	p := &penstock{w: w, log: new(lockedText), done: make(chan error, 1)}
	ready := make(chan app.Addresses, 1)
	a, err := app.New(cfg, app.Options{
		LogTo: p.log, Ready: func(addr app.Addresses) { ready <- addr },
		Listen: w.net.Listen, Dial: w.net.Dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() { p.done <- a.Run(ctx) }()
	select {
	case p.addr = <-ready:
	case err := <-p.done:
		w.t.Fatalf("it did not start: %v\n%s", err, p.log)
	}
	w.t.Cleanup(func() {
		p.admin.CloseIdleConnections()
		p.end()
		if w.t.Failed() {
			w.t.Logf("the log:\n%s", p.log.tail(40))
		}
	})
	p.admin = &http.Client{Transport: &http.Transport{DialContext: w.net.Dial}}
	pem, err := os.ReadFile(p.addr.CAFile)
	if err != nil {
		w.t.Fatal(err)
	}
	p.trusted = &tls.Config{RootCAs: x509.NewCertPool()}
	p.trusted.RootCAs.AppendCertsFromPEM(pem)
	return p
}

// end ends it in order, and returns what Run returned.
func (p *penstock) end() error {
	p.stop()
	err := <-p.done
	p.done <- err
	return err
}

// ask asks the admin listener.
func (p *penstock) ask(path string) (status int, body string) {
	p.w.t.Helper()
	resp, err := p.admin.Get("http://" + p.addr.Admin + path)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// metric is the value of a sample, as text; empty: there is none.
func (p *penstock) metric(name string) string {
	p.w.t.Helper()
	_, body := p.ask("/metrics")
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// isHeld reports whether /readyz and the metrics agree that the project waits
// for that reason and no other.
func (p *penstock) isHeld(name, reason string) bool {
	p.w.t.Helper()
	_, body := p.ask("/readyz")
	want := `{"project":"` + name + `","state":"ok"}`
	if reason != "" {
		want = `{"project":"` + name + `","state":"held","reason":"` + reason + `"}`
	}
	ok := strings.Contains(body, want)
	_, metrics := p.ask("/metrics")
	for _, each := range []string{"quota", "storm", "credential", "configuration"} {
		is := map[bool]string{true: "1", false: "0"}[each == reason]
		ok = ok && strings.Contains(metrics, `penstock_lane_held{project="`+name+`",reason="`+each+`"} `+is+"\n")
	}
	return ok
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

// A lockedText is what a program logs.
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

// tail is the last lines of it.
func (l *lockedText) tail(n int) string {
	lines := strings.Split(l.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
