package ccsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/ccs"
)

// A Server accepts CCS streams. Its methods may be called by any goroutine.
type Server struct {
	opt      Options
	handler  Handler
	accounts Accounts
	ids      *dedupe
	gate     *gate

	ctx  context.Context // ends with Close: the streams' parent
	stop context.CancelCauseFunc
	wg   sync.WaitGroup // connections

	logins     context.Context // ends with Shutdown: nobody new is let in
	stopLogins context.CancelFunc

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	boxes     map[ccs.SenderID]*mailbox
	shut      bool
}

// New makes a server that asks h for verdicts and acc who may log in. It starts
// nothing. opt is copied and checked.
func New(h Handler, acc Accounts, opt *Options) (*Server, error) {
	o, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	srv := &Server{
		opt: o, handler: h, accounts: acc,
		ids:       newDedupe(o.DedupeWindow, o.DedupeMax),
		gate:      &gate{limits: o.Connections, byAddr: make(map[netip.Addr]*address)},
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
		boxes:     make(map[ccs.SenderID]*mailbox),
	}
	srv.ctx, srv.stop = context.WithCancelCause(context.Background())
	srv.logins, srv.stopLogins = context.WithCancel(srv.ctx)
	return srv, nil
}

// Serve accepts connections from l until the server is shut down or closed,
// and then returns [ErrClosed]. It closes l. Several listeners may be served
// at the same time.
func (srv *Server) Serve(l net.Listener) error {
	defer l.Close()
	srv.mu.Lock()
	if srv.shut {
		srv.mu.Unlock()
		return ErrClosed
	}
	srv.listeners[l] = struct{}{}
	srv.mu.Unlock()
	defer func() {
		srv.mu.Lock()
		delete(srv.listeners, l)
		srv.mu.Unlock()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			if srv.isShut() {
				return ErrClosed
			}
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || isTemporary(err) {
				srv.opt.Events.refused(l.Addr(), fmt.Errorf("accept: %w", err))
				pause(srv.ctx, 50*time.Millisecond) // out of descriptors: give streams time to end
				continue
			}
			return fmt.Errorf("ccsserver: accept on %s: %w", l.Addr(), err)
		}
		// Registering asks under the same lock whether the server is shut, so
		// that no connection slips past a shutdown.
		srv.mu.Lock()
		if srv.shut {
			srv.mu.Unlock()
			conn.Close()
			return ErrClosed
		}
		srv.wg.Add(1)
		srv.mu.Unlock()
		go func() {
			defer srv.wg.Done()
			srv.serveConn(conn)
		}()
	}
}

// isTemporary reports whether accepting may work again by itself.
func isTemporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

func (srv *Server) isShut() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.shut
}

// serveConn leads one connection through its life.
func (srv *Server) serveConn(conn net.Conn) {
	addr := conn.RemoteAddr()
	place, err := srv.gate.enter(addr)
	if err != nil {
		conn.Close()
		srv.opt.Events.refused(addr, err)
		return
	}
	s, err := srv.admit(conn, place)
	place.leave()
	if err != nil {
		srv.opt.Events.refused(addr, err)
		return
	}

	unlink := context.AfterFunc(srv.ctx, func() { s.End(ErrClosed) })
	defer unlink()
	if f := srv.opt.Events.Bound; f != nil {
		f(s.info())
	}
	s.serve()
}

// admit does TLS and login. It ends early when the server closes.
func (srv *Server) admit(conn net.Conn, place *place) (*session, error) {
	ctx, cancel := context.WithTimeout(srv.logins, srv.opt.LoginTimeout)
	defer cancel()
	stop := context.AfterFunc(srv.logins, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	watchByKernel(conn, srv.opt.WriteTimeout)
	secured, err := srv.handshake(ctx, conn, place)
	if err != nil {
		return nil, err
	}
	return srv.login(ctx, secured, place)
}

// register makes s known, unless the server is shut. It comes before the peer
// learns that it is bound: whoever has logged in is there to be drained.
func (srv *Server) register(s *session) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.shut {
		return false
	}
	srv.sessions[s] = struct{}{}
	return true
}

func (srv *Server) forget(s *session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.sessions, s)
}

// mailbox returns what is kept for a sender id.
func (srv *Server) mailbox(sender ccs.SenderID) *mailbox {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	b := srv.boxes[sender]
	if b == nil {
		b = &mailbox{srv: srv, inWork: make(map[upKey]*item), closed: srv.ctx.Err() != nil}
		srv.boxes[sender] = b
	}
	return b
}

// ForgottenEarly is how many acked message ids had to give way to newer ones
// before [Options.DedupeWindow] was over: each could be handed on twice. If it
// grows, [Options.DedupeMax] is too small for the flow.
func (srv *Server) ForgottenEarly() int { return srv.ids.forgottenEarly() }

// Streams lists the bound streams, oldest first.
func (srv *Server) Streams() []Stream {
	var list []Stream
	for _, s := range srv.choose(nil) {
		list = append(list, s.info())
	}
	slices.SortFunc(list, func(a, b Stream) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Shutdown stops accepting, drains every stream and waits until all are
// closed; logins under way are broken off. When ctx ends first it closes the rest as [Server.Close] does, and returns ctx's
// error. Upstream messages that are unacked then were never settled: whoever
// offered them learns [Dropped].
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.stopAccepting()
	srv.Drain(DrainOptions{Spread: min(2*time.Second, time.Duration(len(srv.choose(nil)))*10*time.Millisecond)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.wg.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = srv.Close()
	<-done
	return err
}

// Close ends every stream at once and waits until they are gone.
func (srv *Server) Close() error {
	srv.stopAccepting()
	srv.stop(ErrClosed)
	srv.mu.Lock()
	boxes := make([]*mailbox, 0, len(srv.boxes))
	for _, b := range srv.boxes {
		boxes = append(boxes, b)
	}
	srv.mu.Unlock()
	for _, b := range boxes {
		b.close()
	}
	srv.wg.Wait()
	return nil
}

func (srv *Server) stopAccepting() {
	srv.mu.Lock()
	srv.shut = true
	listeners := make([]net.Listener, 0, len(srv.listeners))
	for l := range srv.listeners {
		listeners = append(listeners, l)
	}
	srv.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	srv.stopLogins()
}
