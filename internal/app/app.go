package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"penstock/ccsserver"
	"penstock/internal/config"
	"penstock/internal/downstream"
	"penstock/internal/keys"
	"penstock/internal/observe"
)

// Options are what is optional about an [App].
type Options struct {
	// LogTo gets log lines, as the configuration wants them. Default: none.
	LogTo io.Writer
	// Ready is called once when everything listens.
	Ready func(Addresses)
	// AnswerTime is how long, on the way out, what was taken may wait for its
	// answer. Default 20 s: all is over within 30 s then.
	AnswerTime time.Duration
	// Descriptors is how many files and connections the process may have open.
	// Default: what the system says.
	Descriptors int
	// Listen opens listeners, and Dial connections to far ends below TLS, such
	// as in memory for tests. Default: the network's.
	Listen func(network, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// Addresses are where an [App] listens, such as 127.0.0.1:5235; as the listeners
// name them, so that all addresses are [::].
type Addresses struct {
	CCS, HTTP []string
	HTTPS     bool   // the HTTP fronts have TLS
	Admin     string // empty: none
	CAFile    string // of Penstock's own CA; empty: nothing uses it
}

// An App is one Penstock. Its Run may be called once.
type App struct {
	opt    Options
	log    *slog.Logger
	reg    *prometheus.Registry
	obs    *observe.Observer
	secret keys.Secret
	ring   *keys.Ring
	ccs    *ccsserver.Server // nil: no CCS
	web    *http.Server      // nil: no HTTP fronts
	webTLS *tls.Config       // nil: they are plain HTTP
	admin  *http.Server      // nil: none
	caFile string

	// projects are the running ones by name; the map never changes, it is
	// replaced.
	projects atomic.Pointer[map[string]*project]
	draining atomic.Bool
	offers   *offers
	lanes    sync.WaitGroup // goroutines of projects
	closing  sync.WaitGroup // projects that are gone or have changed, until they have ended

	cfg *config.Config // Run's alone; another one when projects change
}

// A ConfigError says that the configuration cannot be run as it is. No message
// was sent and nobody was let in.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// New puts an App together. It starts nothing, but makes what is missing in the
// data directory: the CA, and the secret of the key hashes. An error that is no
// [*ConfigError] is none of the configuration's.
func New(cfg *config.Config, opt Options) (*App, error) {
	if opt.AnswerTime == 0 {
		opt.AnswerTime = 20 * time.Second
	}
	if opt.Descriptors == 0 {
		opt.Descriptors = descriptors()
	}
	if opt.Listen == nil {
		opt.Listen = net.Listen
	}
	a := &App{opt: opt, log: slog.New(slog.DiscardHandler), cfg: cfg, reg: prometheus.NewRegistry(), offers: newOffers()}
	if opt.LogTo != nil {
		a.log = observe.NewLog(opt.LogTo, cfg.Log.Format, cfg.Log.Level)
	}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.obs = observe.New(a.reg, a.log)
	a.projects.Store(new(map[string]*project))

	var err error
	if a.secret, err = KeySecret(cfg); err != nil {
		return nil, &ConfigError{err}
	}
	known, err := a.keyring(cfg, nil)
	if err != nil {
		return nil, &ConfigError{err}
	}
	if a.ring, err = keys.NewRing(a.secret, known); err != nil {
		return nil, &ConfigError{err}
	}
	if err := a.makeCCS(cfg); err != nil {
		return nil, err
	}
	if err := a.makeWeb(cfg); err != nil {
		return nil, err
	}
	a.makeAdmin(cfg)
	a.obs.Watch(a.state)
	return a, nil
}

// keyring is what the ring is to know. A project id that is not set is the one
// of the credentials, once the project is open.
func (a *App) keyring(cfg *config.Config, open map[string]*project) ([]keys.Project, error) {
	list, err := keyring(cfg, a.secret)
	for i := range list {
		if r := open[list[i].Name]; list[i].ProjectID == "" && r != nil && r.sender != nil {
			list[i].ProjectID = string(r.sender.Project())
		}
	}
	return list, err
}

// Run listens, serves, and ends in order when ctx does: every message that was
// taken is answered, or its sender knows that it must send it again. It returns
// nil then. What cannot be listened on, and projects that cannot be opened, end
// it at once; a [*ConfigError] says that the configuration is at fault.
func (a *App) Run(ctx context.Context) error {
	listening, err := a.listen()
	if err != nil {
		return err
	}
	defer listening.close()
	if err := a.openAll(ctx); err != nil {
		a.closeProjects(context.Background())
		return &ConfigError{err}
	}

	failed := make(chan error, len(listening.ccs)+len(listening.web)+1)
	var servers sync.WaitGroup
	serve := func(what string, f func() error) {
		servers.Go(func() {
			err := f()
			if errors.Is(err, ccsserver.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			if err != nil {
				err = fmt.Errorf("app: %s: %w", what, err)
			}
			failed <- err
		})
	}
	for _, l := range listening.ccs {
		serve("ccs.listen "+l.Addr().String(), func() error { return a.ccs.Serve(l) })
	}
	for _, l := range listening.web {
		serve("http.listen "+l.Addr().String(), func() error { return a.web.Serve(l) })
	}
	if l := listening.admin; l != nil {
		serve("admin.listen "+l.Addr().String(), func() error { return a.admin.Serve(l) })
	}
	watching, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { a.watchProjects(watching) })
	if a.opt.Ready != nil {
		a.opt.Ready(a.addresses(listening))
	}

	select {
	case <-ctx.Done():
		a.log.Info("ending in order: no new connections, and every message gets its answer")
	case err = <-failed:
		a.log.Error("a listener failed: ending in order", "err", err)
	}
	stopWatching()
	watcher.Wait()
	a.shutdown()
	servers.Wait()
	return err
}

// lane finds the lane of a project; nil: it has none now.
func (a *App) lane(project string) *downstream.Lane {
	if p := (*a.projects.Load())[project]; p != nil {
		return p.lane
	}
	return nil
}

func (a *App) addresses(l *listening) Addresses {
	addr := Addresses{HTTPS: a.webTLS != nil, CAFile: a.caFile}
	for _, l := range l.ccs {
		addr.CCS = append(addr.CCS, l.Addr().String())
	}
	for _, l := range l.web {
		addr.HTTP = append(addr.HTTP, l.Addr().String())
	}
	if l.admin != nil {
		addr.Admin = l.admin.Addr().String()
	}
	return addr
}

// listening are the open listeners.
type listening struct {
	ccs, web []net.Listener
	admin    net.Listener
}

func (l *listening) close() {
	for _, one := range append(append([]net.Listener{l.admin}, l.ccs...), l.web...) {
		if one != nil {
			one.Close()
		}
	}
}
