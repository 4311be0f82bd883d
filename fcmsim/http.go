package fcmsim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"penstock/internal/h2wire"
	"penstock/internal/linger"
)

// maxConcurrentStreams is how many streams FCM allows on one HTTP/2 connection
// (docs/fcm-http.md, HTTP/2).
const maxConcurrentStreams = 100

// A client that sends more than maxEarlyPings PINGs in a row with less than
// pingEvery between them, and nothing else, is told to calm down. Google's own
// numbers are not known; these are ours.
const (
	pingEvery     = 10 * time.Second
	maxEarlyPings = 2
)

// Timeouts of the HTTP faces. Google publishes none; idle connections are said
// to be closed after minutes.
const (
	httpHeaderTimeout = 30 * time.Second
	httpIdleTimeout   = 4 * time.Minute
	maxHTTPHeader     = 64 << 10
)

// web is the HTTP half of a simulator.
type web struct {
	tls, plain *http.Server
	handed     *handoff // connections that come to the TLS server by other ways

	closing   chan struct{} // closed when requests that a fault holds back have to go
	closeOnce sync.Once

	// Guarded by Sim.life.
	tlsListeners, plainListeners []net.Listener
	tlsURL, plainURL             string
}

// wantsHTTP reports whether the simulator has an HTTP face at all.
func (o *Options) wantsHTTP() bool {
	return len(o.HTTPListen)+len(o.HTTPListeners)+len(o.PlainHTTPListen)+len(o.PlainHTTPListeners) > 0
}

// routes is what the HTTP faces answer, whatever the host is called: programs
// reach them by Google's names too.
func (s *Sim) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/projects/{project}/messages:send", s.serveSend)
	s.routesSubscriptions(mux)
	s.routesIID(mux)
	mux.HandleFunc("/fcm/notification", s.serveGroups)
	mux.HandleFunc("/fcm/send", s.serveLegacy)
	mux.HandleFunc("/gcm/send", s.serveGCM)
	for _, path := range []string{tokenPath, "/o/oauth2/token", "/oauth2/v4/token"} {
		mux.HandleFunc(path, s.serveToken)
	}
	mux.HandleFunc(metadataPath, s.serveMetadata)
	mux.HandleFunc("/{$}", s.servePing)
	mux.HandleFunc("/", servePathless)
	return mux
}

// servePathless answers as Google does where no API is.
func servePathless(w http.ResponseWriter, r *http.Request) { errNoPath(r.URL.Path).write(w, false) }

// front is the handler of both servers. Google knows no redirects to cleaner
// paths, which http.ServeMux would answer with.
func (s *Sim) front() http.Handler {
	mux := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean(r.URL.Path)
		switch {
		case r.Method == http.MethodConnect:
			s.serveConnect(w, r)
		case clean != r.URL.Path && clean+"/" != r.URL.Path:
			servePathless(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// newWeb makes the HTTP servers; it starts nothing.
func (s *Sim) newWeb() {
	s.web.tlsListeners, s.web.plainListeners = s.opt.HTTPListeners, s.opt.PlainHTTPListeners
	s.web.handed, s.web.closing = newHandoff(), make(chan struct{})
	server := func() *http.Server {
		return &http.Server{
			Handler:           linger.Handler(s.front()),
			ReadHeaderTimeout: httpHeaderTimeout,
			IdleTimeout:       httpIdleTimeout,
			MaxHeaderBytes:    maxHTTPHeader,
			ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
			ErrorLog:          log.New(io.Discard, "", 0), // what peers do wrong is their affair
		}
	}
	s.web.plain, s.web.tls = server(), server()
	s.web.tls.Protocols = h2wire.Protocols()
	// The layer counts to the number that it announces. The server's own count
	// is a moment behind, and would refuse streams that are allowed.
	s.web.tls.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2 * maxConcurrentStreams}
}

// wire puts the layer that knows HTTP/2's frames on the connections of l.
func (s *Sim) wire(l net.Listener) net.Listener {
	return h2wire.NewListener(l, &tls.Config{Certificates: []tls.Certificate{s.cert}}, &h2wire.Options{
		MaxStreams: maxConcurrentStreams,
		NewStream:  s.newStream,
		PingEvery:  pingEvery,
		MaxPings:   maxEarlyPings,
		Now:        s.opt.Now,
	})
}

// newStream is where faults refuse streams before they are read.
func (s *Sim) newStream() h2wire.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refusing {
		return h2wire.Pass
	}
	switch do := s.applyFault(FaceHTTP, "", "", true); {
	case !do.Refuse:
		return h2wire.Pass
	case do.GoAway:
		return h2wire.GoAway
	}
	return h2wire.Refuse
}

// listenHTTP opens the listeners that options name. Called with life held.
func (s *Sim) listenHTTP() error {
	for _, group := range []struct {
		addrs []string
		into  *[]net.Listener
	}{
		{s.opt.HTTPListen, &s.web.tlsListeners},
		{s.opt.PlainHTTPListen, &s.web.plainListeners},
	} {
		if len(*group.into) > 0 {
			continue
		}
		for _, addr := range group.addrs {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("fcmsim: %w", err)
			}
			*group.into = append(*group.into, l)
		}
	}
	return nil
}

// startHTTP serves the listeners. Called with life held.
func (s *Sim) startHTTP() {
	serve := func(f func() error) {
		s.serving.Go(func() {
			if err := f(); !errors.Is(err, http.ErrServerClosed) {
				s.mu.Lock()
				s.serveErr = errors.Join(s.serveErr, err)
				s.mu.Unlock()
			}
		})
	}
	for _, l := range s.web.tlsListeners {
		if s.web.tlsURL == "" {
			s.web.tlsURL = "https://" + Dialable(l.Addr().String())
		}
		serve(func() error { return s.web.tls.Serve(s.wire(l)) })
	}
	for _, l := range s.web.plainListeners {
		if s.web.plainURL == "" {
			s.web.plainURL = "http://" + Dialable(l.Addr().String())
		}
		serve(func() error { return s.web.plain.Serve(l) })
	}
	serve(func() error { return s.web.tls.Serve(s.wire(s.web.handed)) })
}

// FCMURL is where HTTP v1 is, over TLS: a scheme, a host, and a port. It is
// empty before Start, and without [Options.HTTPListen].
func (s *Sim) FCMURL() string {
	s.life.Lock()
	defer s.life.Unlock()
	return s.web.tlsURL
}

// PlainURL is where the same is without TLS. It is empty before Start, and
// without [Options.PlainHTTPListen].
func (s *Sim) PlainURL() string {
	s.life.Lock()
	defer s.life.Unlock()
	return s.web.plainURL
}

// HTTPHandler is what both HTTP faces serve, for tests that want it behind a
// server of their own.
func (s *Sim) HTTPHandler() http.Handler { return s.front() }

// serveTLSConn hands a connection on which TLS is still to begin to the server
// behind [Sim.FCMURL], which closes it.
func (s *Sim) serveTLSConn(c net.Conn) { s.web.handed.give(c) }

type connKey struct{}

// resetConn breaks the connection of a request as a network does.
func resetConn(ctx context.Context) {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return // a server of somebody else's serves the handler
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	switch c := conn.(type) {
	case interface{ SetLinger(int) error }:
		_ = c.SetLinger(0)
	case interface{ Reset() }:
		c.Reset()
	}
	conn.Close()
}

// goAway says on a request's connection that it takes no more of them.
func goAway(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*h2wire.Conn); ok && r.ProtoMajor == 2 {
		c.GoAway()
		return
	}
	w.Header().Set("Connection", "close")
}

// pause holds an answer back, until a shutdown at most. Where whoever asked has
// left it ends the request without one: a handler that returns has answered 200,
// to which somebody may listen who closed one half of the connection.
func (s *Sim) pause(r *http.Request, wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.web.closing:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// shutdownHTTP lets requests end, until ctx does. What a delay holds back is
// answered at once; silence is broken off.
func (s *Sim) shutdownHTTP(ctx context.Context) error {
	if s.web.tls == nil {
		return nil
	}
	s.web.closeOnce.Do(func() { close(s.web.closing) })
	return errors.Join(s.web.tls.Shutdown(ctx), s.web.plain.Shutdown(ctx))
}

// closeHTTP ends everything at once.
func (s *Sim) closeHTTP() {
	if s.web.tls == nil {
		return
	}
	s.web.closeOnce.Do(func() { close(s.web.closing) })
	_ = s.web.tls.Close() // what fails to close is gone
	_ = s.web.plain.Close()
	_ = s.web.handed.Close() // always nil
}

// A handoff is a listener whose connections were accepted elsewhere.
type handoff struct {
	conns chan net.Conn // not buffered: what is given is accepted
	once  sync.Once
	done  chan struct{} // closed by Close
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give waits until c is accepted; it closes c if that never happens.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close()
	}
}

// Accept waits for a connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and give.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr is of no network.
func (h *handoff) Addr() net.Addr { return handoffAddr{} }

type handoffAddr struct{}

func (handoffAddr) Network() string { return "handoff" }
func (handoffAddr) String() string  { return "handoff" }
