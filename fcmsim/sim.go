package fcmsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/localca"
)

// A Sim is a pretend FCM. Its methods may be called by any goroutine.
type Sim struct {
	opt     Options
	state   *state
	account *account
	ca      *localca.CA // nil with clear text and no HTTP
	cert    tls.Certificate
	srv     *ccsserver.Server
	web     web
	delays  delays

	life      sync.Mutex // guards what follows
	listeners []net.Listener
	addrs     []string
	started   bool
	over      bool
	serving   sync.WaitGroup

	// mu guards what follows. It is never held during a call of the server,
	// which calls back.
	mu            sync.Mutex
	devices       map[ccs.RegistrationToken]*device
	fids          map[string]*device
	order         []*device
	streams       map[string]*stream
	conns         map[string]*faultConn // of streams that are being bound
	book          recordBook
	faults        []*faultState
	refusing      bool // a fault wants streams refused
	quota         minuteQuota
	lastID        int64 // of a v1 message
	upstreams     map[upstreamKey]*upstreamState
	latest        map[ccs.MessageID]*upstreamState
	upstreamOrder ring[*upstreamState]
	serveErr      error
	credentials   credentialState
	groups        groupBook
	topicChanges  bucket
	imported      map[string]ccs.RegistrationToken // by the token of Apple's service
	tunnels       int
}

// Start makes a simulator and starts it, as httptest.NewServer does.
func Start(opt *Options) (*Sim, error) {
	s, err := New(opt)
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// New makes a simulator: its CA, its sender and its devices. It starts nothing.
// opt is copied and checked; nil is the zero value.
func New(opt *Options) (*Sim, error) {
	o, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	st, err := loadState(o.Dir, &o)
	if err != nil {
		return nil, fmt.Errorf("fcmsim: %w", err)
	}
	acc, err := openAccount(o.Dir, st.ProjectID)
	if err != nil {
		return nil, fmt.Errorf("fcmsim: %w", err)
	}
	s := &Sim{
		opt: o, state: st, account: acc, listeners: o.Listeners,
		devices:       make(map[ccs.RegistrationToken]*device),
		fids:          make(map[string]*device),
		streams:       make(map[string]*stream),
		conns:         make(map[string]*faultConn),
		upstreams:     make(map[upstreamKey]*upstreamState),
		latest:        make(map[ccs.MessageID]*upstreamState),
		upstreamOrder: ring[*upstreamState]{max: maxUpstreamStates},
		book:          recordBook{entries: ring[*entry]{max: o.RecordMax}},
		credentials: credentialState{
			tokens: make(map[string]*accessToken),
			order:  ring[*accessToken]{max: maxAccessTokens},
		},
		groups:   groupBook{byName: make(map[string]*Group), byKey: make(map[string]*Group)},
		imported: make(map[string]ccs.RegistrationToken),
	}
	s.book.reset()
	for _, group := range []struct {
		tokens []ccs.RegistrationToken
		opt    DeviceOptions
	}{
		{st.Tokens, DeviceOptions{}},
		{st.Dead, DeviceOptions{Dead: true}},
		{st.Foreign, DeviceOptions{SenderID: st.ForeignSender}},
	} {
		for _, token := range group.tokens {
			group.opt.Token = token
			d, err := s.newDevice(&group.opt)
			if err == nil {
				err = s.addDevice(d)
			}
			if err != nil {
				return nil, fmt.Errorf("fcmsim: token %s: %w", token.Redacted(), err)
			}
		}
	}
	if !o.ClearText || o.wantsHTTP() {
		if s.ca, err = localca.Open(o.Dir, nil); err != nil {
			return nil, fmt.Errorf("fcmsim: %w", err)
		}
		if s.cert, err = s.ca.Server(s.certNames()); err != nil {
			return nil, fmt.Errorf("fcmsim: %w", err)
		}
	}
	if s.srv, err = s.newServer(); err != nil {
		return nil, err
	}
	if o.wantsHTTP() {
		s.newWeb()
	}
	return s, nil
}

// newServer makes the CCS end, which tells us what happens and then whoever
// wanted to know.
func (s *Sim) newServer() (*ccsserver.Server, error) {
	var opt ccsserver.Options
	if s.opt.Server != nil {
		opt = *s.opt.Server
	}
	opt.TLS, opt.ClearText = nil, s.opt.ClearText
	if !opt.ClearText {
		opt.TLS = &tls.Config{Certificates: []tls.Certificate{s.cert}}
	}
	if opt.AnswerTimeout == 0 {
		opt.AnswerTimeout = 365 * 24 * time.Hour
	}
	var ev ccsserver.Events
	if opt.Events != nil {
		ev = *opt.Events
	}
	theirs := ev
	ev.Bound = func(v ccsserver.Stream) {
		s.bound(v)
		if theirs.Bound != nil {
			theirs.Bound(v)
		}
	}
	ev.Closed = func(v ccsserver.Stream, err error) {
		s.closed(v)
		if theirs.Closed != nil {
			theirs.Closed(v, err)
		}
	}
	ev.Received = func(stream string, sender ccs.SenderID, m *ccs.Downstream) {
		s.received(stream, m)
		if theirs.Received != nil {
			theirs.Received(stream, sender, m)
		}
	}
	ev.Answered = func(stream string, sender ccs.SenderID, m *ccs.Downstream, answer ccs.FromServer) {
		s.answered(stream, m, answer)
		if theirs.Answered != nil {
			theirs.Answered(stream, sender, m, answer)
		}
	}
	opt.Events = &ev
	wrap := opt.Wrap
	opt.Wrap = func(stream string, conn net.Conn) net.Conn {
		if wrap != nil {
			conn = wrap(stream, conn)
		}
		return s.wrap(stream, conn)
	}
	accounts := ccsserver.NewKeys(map[ccs.SenderID][]string{s.state.SenderID: {s.state.ServerKey}})
	srv, err := ccsserver.New(ccsserver.HandlerFunc(s.downstream), accounts, &opt)
	if err != nil {
		return nil, fmt.Errorf("fcmsim: %w", err)
	}
	return srv, nil
}

// certNames are what clients may call the endpoint.
func (s *Sim) certNames() []string {
	names := append(localca.DefaultNames(),
		"fcm.mtls.googleapis.com",
		"accounts.google.com", "www.googleapis.com") // where older libraries fetch tokens
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range s.opt.Names {
		add(name)
	}
	addrs := slices.Concat(s.opt.HTTPListen, s.opt.PlainHTTPListen)
	if len(s.opt.Listeners) == 0 {
		addrs = append(addrs, s.opt.Listen...)
	}
	for _, l := range slices.Concat(s.opt.Listeners, s.opt.HTTPListeners, s.opt.PlainHTTPListeners) {
		addrs = append(addrs, l.Addr().String())
	}
	for _, addr := range addrs {
		if host, _, err := net.SplitHostPort(Dialable(addr)); err == nil {
			add(host)
		}
	}
	return names
}

// Dialable makes of an address that somebody listens on one that can be dialled
// and that the certificate covers: every address of a machine is localhost.
func Dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// Start listens and serves. It can be called once.
func (s *Sim) Start() error {
	s.life.Lock()
	defer s.life.Unlock()
	switch {
	case s.over:
		return errors.New("fcmsim: start: the simulator is closed")
	case s.started:
		return errors.New("fcmsim: start: the simulator has started already")
	}
	err := s.listen()
	if err == nil {
		err = s.listenHTTP()
	}
	if err == nil {
		err = s.keepServiceAccount()
	}
	if err != nil {
		s.closeListeners()
		return err
	}
	s.started = true
	if s.web.tls != nil {
		s.startHTTP()
	}
	for _, l := range s.listeners {
		s.addrs = append(s.addrs, Dialable(l.Addr().String()))
		s.serving.Go(func() {
			if err := s.srv.Serve(l); !errors.Is(err, ccsserver.ErrClosed) {
				s.mu.Lock()
				s.serveErr = errors.Join(s.serveErr, err)
				s.mu.Unlock()
			}
		})
	}
	return nil
}

// listen opens the CCS listeners that options name. Called with life held.
func (s *Sim) listen() error {
	if len(s.listeners) > 0 {
		return nil
	}
	for _, addr := range s.opt.Listen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("fcmsim: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

// closeListeners closes those that were never served; the others are closed
// already. Called with life held.
func (s *Sim) closeListeners() {
	for _, list := range []*[]net.Listener{&s.listeners, &s.web.tlsListeners, &s.web.plainListeners} {
		for _, l := range *list {
			l.Close()
		}
		*list = nil
	}
}

// Addr is where the first listener can be dialled; empty before Start.
func (s *Sim) Addr() string {
	if addrs := s.Addrs(); len(addrs) > 0 {
		return addrs[0]
	}
	return ""
}

// Addrs is where the listeners can be dialled.
func (s *Sim) Addrs() []string {
	s.life.Lock()
	defer s.life.Unlock()
	return slices.Clone(s.addrs)
}

// CAFile is the path of the certificate that clients have to trust; empty
// without [Options.Dir], and with clear text.
func (s *Sim) CAFile() string {
	if s.ca == nil {
		return ""
	}
	return s.ca.CertFile()
}

// CertPool has the certificate that clients have to trust; nil with clear text.
func (s *Sim) CertPool() *x509.CertPool {
	if s.ca == nil {
		return nil
	}
	return s.ca.Pool()
}

// SenderID is the user name with which the app server logs in.
func (s *Sim) SenderID() ccs.SenderID { return s.state.SenderID }

// ServerKey is the app server's password.
func (s *Sim) ServerKey() string { return s.state.ServerKey }

// ProjectID is the project that HTTP v1's URLs name; its number is the sender
// id.
func (s *Sim) ProjectID() string { return s.state.ProjectID }

// Tokens are those of the live devices that were made with the simulator,
// whatever became of them since. See [Sim.Devices] for added ones.
func (s *Sim) Tokens() []ccs.RegistrationToken { return slices.Clone(s.state.Tokens) }

// DeadTokens were valid once: messages to them are nacked DEVICE_UNREGISTERED.
func (s *Sim) DeadTokens() []ccs.RegistrationToken { return slices.Clone(s.state.Dead) }

// ForeignTokens belong to another sender: messages to them are nacked
// SENDER_ID_MISMATCH.
func (s *Sim) ForeignTokens() []ccs.RegistrationToken { return slices.Clone(s.state.Foreign) }

// Streams lists the app server's streams, oldest first.
func (s *Sim) Streams() []ccsserver.Stream { return s.srv.Streams() }

// Drain announces the end of streams and closes each when nothing on it is
// unanswered. It does not wait. It returns the ids of the streams it found.
func (s *Sim) Drain(opt ccsserver.DrainOptions) []string {
	ids := s.srv.Drain(opt)
	slices.Sort(ids)
	return ids
}

// Cut breaks the connections of streams as a network does; nil: all. What was
// written to them and not yet handled is lost. It returns the ids of the
// streams that it found.
func (s *Sim) Cut(streams []string) []string {
	now := s.opt.Now()
	s.mu.Lock()
	for id, st := range s.streams {
		if streams == nil || slices.Contains(streams, id) {
			st.end(now)
		}
	}
	s.mu.Unlock()
	ids := s.srv.Cut(streams)
	slices.Sort(ids)
	return ids
}

// Shutdown drains every stream and waits until all are closed, or until ctx
// ends; then it cuts the rest and returns ctx's error. Silent faults are what
// makes a drain take its full 30 s. Over HTTP nobody waits for a fault: what a
// delay holds back is answered at once, and what is to have no answer is cut.
func (s *Sim) Shutdown(ctx context.Context) error {
	s.life.Lock()
	s.over = true
	s.life.Unlock()
	web := make(chan error, 1)
	go func() { web <- s.shutdownHTTP(ctx) }()
	err := s.srv.Shutdown(ctx)
	if webErr := <-web; err == nil {
		err = webErr
	}
	return errors.Join(err, s.finish())
}

// Close ends everything at once. It returns why a listener had failed, if one
// had. It may be called again.
func (s *Sim) Close() error {
	s.life.Lock()
	s.over = true
	s.life.Unlock()
	_ = s.srv.Close() // always nil
	return s.finish()
}

func (s *Sim) finish() error {
	s.delays.stop()
	s.closeHTTP()
	s.life.Lock()
	s.closeListeners()
	s.life.Unlock()
	s.serving.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serveErr
}
