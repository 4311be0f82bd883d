package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/config"
	"penstock/internal/downstream"
	"penstock/internal/observe"
	"penstock/internal/pace"
	"penstock/internal/translate"
	"penstock/internal/transport/toccs"
	"penstock/internal/transport/tofcm"
)

// A project is one that runs: its lane, and the way to its far end.
type project struct {
	cfg    *config.Project
	lane   *downstream.Lane
	room   int // messages that the lane holds
	parse  *translate.LegacyOptions
	sender *fcmsend.Sender    // of transport fcm
	pool   *ccsclient.Pool    // of transport ccs
	leave  context.CancelFunc // tells what comes from the far end that the pool is about to close
	stop   context.CancelFunc // ends the lane's and the pool's Run
	done   chan struct{}      // closed when nothing of it runs any more
}

// openProject makes what a project needs and starts its lane.
func (a *App) openProject(ctx context.Context, cfg *config.Config, p *config.Project) (*project, error) {
	r := &project{cfg: p, room: cfg.Limits.MessagesPerProject, parse: parseOptions(p), done: make(chan struct{})}
	timeout := p.VerdictTimeout
	if timeout == 0 {
		timeout = cfg.VerdictTimeout
	}
	startWithin := timeout - downstream.LastCall
	run := func(context.Context) {}
	var transport downstream.Transport
	var err error
	if p.Transport.HasCCS {
		transport, run, err = a.farCCS(r, startWithin)
	} else {
		transport, err = a.fcm(ctx, r, startWithin)
	}
	if err != nil {
		return nil, fmt.Errorf("project %s (%s): %w", p.Name, cfg.Place("projects."+p.Name), err)
	}
	r.lane, err = downstream.New(transport, &downstream.Options{
		Project: fcm.ProjectID(p.Name), Pace: paceOf(p), VerdictTimeout: timeout,
		MaxInWork: r.room, Events: a.obs.Lane(p.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", p.Name, err)
	}
	// What was accepted outlives the end of ctx: close ends it, in order.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	a.lanes.Go(func() {
		defer close(r.done)
		ran := make(chan struct{})
		go func() {
			defer close(ran)
			run(life)
		}()
		_ = r.lane.Run(life) // nil: close shuts it down
		<-ran
	})
	return r, nil
}

// close refuses what waits, lets what is on its way have its answer until ctx
// ends, and then nothing of the project runs any more.
func (r *project) close(ctx context.Context) {
	_ = r.lane.Shutdown(ctx) // the context's: then what was on its way was cut, and answered so
	if r.pool != nil {
		r.leave()
		_ = r.pool.Shutdown(ctx) // the context's: the rest has been cut
	}
	r.stop()
	<-r.done
	if r.sender != nil {
		r.sender.Close()
	}
}

// paceOf turns settings into options, whose zero values are defaults of their own.
func paceOf(p *config.Project) *pace.Options {
	q := p.Quotas
	o := &pace.Options{PerMinute: q.PerMinute, Ramp: q.Ramp, MaxInFlight: q.InFlight}
	if p.Transport.HasCCS { // the far end has its own; windows are the brake
		o = pace.Unlimited()
		// More would wait in the pool, where nobody minds their patience.
		o.MaxInFlight = min(q.InFlight, p.Transport.CCS.Streams*ccs.Window)
		return o
	}
	if q.PerMinute == 0 {
		o.PerMinute = -1
	}
	if q.Ramp == 0 {
		o.Ramp = -1
	}
	if !q.PerDevice {
		o.DevicePerMinute, o.DevicePerHour = -1, -1
	}
	return o
}

func translateOf(p *config.Project) *translate.Options {
	t := p.Translate
	o := &translate.Options{
		PassThrough: t.PassThrough, ThreadFromTag: t.ThreadFromTag, WebTag: t.WebTag,
		MessageIDKey: t.MessageIDKey, SizeLimit: t.SizeLimit,
	}
	if t.OddPriority == "normal" {
		o.OddPriority = translate.OddPriorityIsNormal
	}
	return o
}

// parseOf is how requests of legacy HTTP are read for a project.
func (a *App) parseOf(project string) *translate.LegacyOptions {
	p := (*a.projects.Load())[project]
	if p == nil {
		return nil
	}
	return p.parse
}

func parseOptions(p *config.Project) *translate.LegacyOptions {
	return &translate.LegacyOptions{
		Null:   map[string]translate.NullData{"drop": translate.DropNull, "empty": translate.NullIsEmpty, "text": translate.NullIsText}[p.Translate.NullData],
		Strict: p.Translate.Strict, RefuseUnknown: p.Translate.RefuseUnknown, OddPriority: translateOf(p).OddPriority,
	}
}

// fcm makes the way to HTTP v1. What cannot leave within startWithin of its
// acceptance is of no use there.
func (a *App) fcm(ctx context.Context, r *project, startWithin time.Duration) (downstream.Transport, error) {
	words := translateOf(r.cfg)
	words.Ignored = func(n int) { a.obs.Ignored(r.cfg.Name, n) }
	events := a.obs.FCM(r.cfg.Name)
	tell := events.CredentialsSwapped
	events.CredentialsSwapped = func() {
		tell()
		r.lane.Mended() // there is one: nobody else uses the sender
	}
	var err error
	if r.sender, err = newSender(ctx, r.cfg, words, &a.opt, events); err != nil {
		return nil, err
	}
	return tofcm.New(r.sender, &tofcm.Options{Translate: words, StartWithin: startWithin}), nil
}

// newSender makes a project's sender, which connects when it is first used. Words
// are how its messages are translated; they are only checked.
func newSender(ctx context.Context, p *config.Project, words *translate.Options, o *Options, events *fcmsend.Events) (*fcmsend.Sender, error) {
	if err := checkWords(words); err != nil {
		return nil, err
	}
	credentials, err := Credentials(ctx, &p.Transport.FCM)
	if err != nil {
		return nil, err
	}
	opt, err := SenderOptions(&p.Transport.FCM)
	if err != nil {
		return nil, err
	}
	opt.Dial, opt.Events = o.Dial, events
	sender, err := fcmsend.New(p.ID(), credentials, opt)
	if err != nil {
		return nil, fmt.Errorf("%w: set project_id, or give credentials that name it", err)
	}
	return sender, nil
}

func checkWords(words *translate.Options) error {
	if err := words.Validate(); err != nil {
		return fmt.Errorf("translate.message_id_key: %w", err)
	}
	return nil
}

// SenderOptions is the way to FCM that settings describe, without events. An
// error names the setting and holds no password of a proxy.
func SenderOptions(f *config.FCM) (*fcmsend.Options, error) {
	opt := &fcmsend.Options{Endpoint: f.Endpoint, MaxConnections: f.MaxConnections}
	var err error
	if opt.TLS, err = trust(f.CAFile); err != nil {
		return nil, fmt.Errorf("transport.fcm.ca_file: %w", err)
	}
	target, err := url.Parse(f.Endpoint)
	if err != nil {
		return nil, errors.New("transport.fcm.endpoint is no URL") // err would repeat it
	}
	if opt.Proxy, err = f.ProxyFor(target); err != nil {
		return nil, errors.New("transport.fcm.proxy, or HTTPS_PROXY in the environment, is no URL of a proxy")
	}
	return opt, nil
}

// Credentials reads the credentials that settings name. Those of the machine are
// looked for 10 s at most.
func Credentials(ctx context.Context, f *config.FCM) (fcmsend.Credentials, error) {
	switch {
	case f.CredentialsFile != "":
		c, err := fcmsend.File(f.CredentialsFile)
		if err != nil {
			return nil, fmt.Errorf("transport.fcm.credentials_file: %w", err)
		}
		return c, nil
	case !f.Credentials.IsEmpty():
		c, err := fcmsend.Inline([]byte(f.Credentials.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("transport.fcm.credentials: %w", err)
		}
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := fcmsend.Default(ctx)
	if err != nil {
		return nil, fmt.Errorf("transport.fcm.application_default: %w: give credentials_file, or make them with gcloud auth application-default login", err)
	}
	return c, nil
}

// trust is TLS that trusts the CAs of a file; nil without one: the system's.
func trust(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
	}
	return c, nil
}

// farCCS makes the way to a far end that speaks CCS, and from there to the
// project's app servers. What cannot leave within startWithin of its acceptance
// is of no use there. What it returns to be run ends after the pool's Shutdown.
func (a *App) farCCS(r *project, startWithin time.Duration) (downstream.Transport, func(context.Context), error) {
	f := &r.cfg.Transport.CCS
	cred, opt, err := FarEnd(r.cfg)
	if err != nil {
		return nil, nil, err
	}
	opt.Dial, opt.Events, opt.RetryMax = a.opt.Dial, a.obs.Far(r.cfg.Name, f.Endpoint), -1
	leaving, leave := context.WithCancel(context.Background())
	r.leave = leave
	if len(r.cfg.Upstream.To) > 0 && a.ccs != nil {
		up := &upstream{server: a.ccs, sender: r.cfg.Sender(), offers: a.offers, closing: leaving.Done()}
		opt.Upstream, opt.Receipts = up.message, up.receipt
		// As many as the far end leaves unacked: one that waits for its app
		// server holds back no other.
		opt.Handlers = upstreamWindow * f.Streams
	}
	if r.pool, err = ccsclient.NewPool(f.Endpoint, cred, opt); err != nil {
		return nil, nil, fmt.Errorf("transport.ccs: %w", err)
	}
	return toccs.New(r.pool, &toccs.Options{StartWithin: startWithin}), func(ctx context.Context) { _ = r.pool.Run(ctx) }, nil
}

// FarEnd is how a project of transport ccs connects and logs in, without events
// and handlers.
func FarEnd(p *config.Project) (ccsclient.Credentials, *ccsclient.Options, error) {
	f := &p.Transport.CCS
	cred := ccsclient.Credentials{SenderID: p.Sender(), Key: f.Text().Reveal()}
	if f.SenderID != "" {
		cred.SenderID = ccsSender(f.SenderID)
	}
	tlsConfig, err := trust(f.CAFile)
	if err != nil {
		return ccsclient.Credentials{}, nil, fmt.Errorf("transport.ccs.ca_file: %w", err)
	}
	return cred, &ccsclient.Options{TLS: tlsConfig, Streams: f.Streams}, nil
}

// state is what a scrape shows.
func (a *App) state() observe.State {
	var s observe.State
	streams := make(map[string]int)
	if a.ccs != nil {
		s.ForgottenEarly = a.ccs.ForgottenEarly()
		for _, stream := range a.ccs.Streams() {
			if p, ok := a.ring.Sender(stream.Sender); ok {
				streams[p.Name]++
			}
		}
	}
	for name, p := range *a.projects.Load() {
		ps := observe.ProjectState{Name: name, Lane: p.lane.State(), Streams: streams[name]}
		if p.pool != nil {
			ps.FarStreams = len(p.pool.State().Streams)
		}
		if p.sender != nil {
			st := p.sender.State()
			ps.TokenExpiry, ps.Connections = st.TokenExpiry, make(map[string]int)
			for _, c := range st.Connections {
				protocol := "http/1.1"
				if c.Protocol == "h2" {
					protocol = "h2"
				}
				ps.Connections[protocol]++
			}
		}
		s.Projects = append(s.Projects, ps)
	}
	return s
}
