package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcmsim"
	"penstock/internal/faultproxy"
)

// Times are short, so that a minute holds many faults: a silent peer is noticed
// within four seconds, a drain takes five at the most.
var (
	serverTimes = ccsserver.Options{
		QuietAfter: 3 * time.Second, PingTimeout: 3 * time.Second, WriteTimeout: 4 * time.Second,
		LoginTimeout: 4 * time.Second, HandshakeTimeout: 4 * time.Second,
		DedupeWindow: time.Minute,
		Drain:        ccsserver.DrainTimes{CloseAfter: 500 * time.Millisecond, LastCall: 2 * time.Second, Limit: 5 * time.Second},
		// A client that keeps to its window is never held up by the server's.
		Window: 2 * window,
	}
	clientTimes = ccsclient.Options{
		Streams: 2, Handlers: 8, MaxWaiting: 2_000,
		QuietAfter: 3 * time.Second, BusyQuietAfter: 2 * time.Second, PingTimeout: 2 * time.Second,
		LoginTimeout: 4 * time.Second, WriteTimeout: 4 * time.Second, DrainLimit: 10 * time.Second,
		BackoffFirst: 100 * time.Millisecond, BackoffMax: time.Second,
	}
)

// A world is one sender id: its server, which may be another one in a while, and
// its pools, each behind a proxy of its own.
type world struct {
	number  int
	seed    uint64
	dir     string
	history *history
	devices devices
	restart sync.Mutex // one at a time

	swap sync.RWMutex // held for reading while a device writes, so that it writes to a server that is known

	mu     sync.Mutex // guards what follows
	sim    *fcmsim.Sim
	server int              // the number of the server, which no other has
	dying  *atomic.Bool     // it is being killed
	links  map[string]*link // by the address that the server sees
	olds   sync.WaitGroup   // servers that are being shut down

	pools   []*ccsclient.Pool
	proxies []*faultproxy.Proxy
	running sync.WaitGroup
	nextUp  atomic.Int64
}

func newWorld(number int, seed uint64, dir string, h *history) (*world, error) {
	w := &world{number: number, seed: seed, dir: filepath.Join(dir, fmt.Sprint(number)), history: h, server: number, links: make(map[string]*link)}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		return nil, err
	}
	if err := w.startServer(); err != nil {
		return nil, err
	}
	sim := w.current()
	w.devices = devices{live: sim.Tokens(), dead: sim.DeadTokens(), foreign: sim.ForeignTokens()}
	for i := range poolsOfSender {
		if err := w.addPool(i); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *world) current() *fcmsim.Sim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sim
}

// startServer starts a server on the sender's state, from now on the one that
// is reached.
func (w *world) startServer() error {
	w.mu.Lock()
	server := w.server + senders
	w.mu.Unlock()
	var sim *fcmsim.Sim
	dying := new(atomic.Bool)
	opt := serverTimes
	opt.Events = &ccsserver.Events{
		Bound: func(s ccsserver.Stream) { w.history.bound(streamID(server, s.ID), w.linkOf(s.Address)) },
		Closed: func(s ccsserver.Stream, err error) {
			w.history.closed(streamID(server, s.ID), err == nil && !dying.Load(), s.InFlight, time.Now())
		},
		Draining: func(s ccsserver.Stream) { w.history.draining(streamID(server, s.ID), time.Now()) },
		Received: func(id string, _ ccs.SenderID, m *ccs.Downstream) {
			w.history.received(streamID(server, id), string(m.MessageID), w.isWhole(m), inFlight(sim, id))
		},
		Answered: func(id string, _ ccs.SenderID, m *ccs.Downstream, a ccs.FromServer) {
			if m == nil {
				return
			}
			v := toldAck
			if nack, ok := a.(*ccs.Nack); ok {
				v = verdict(nack.Code)
			}
			w.history.answered(streamID(server, id), string(m.MessageID), v)
		},
		Offered: func(id string, m ccs.FromServer, _ int) {
			if _, ok := m.(*ccs.Upstream); ok {
				w.history.offered(streamID(server, id), unacked(sim, id))
			}
		},
		Settled: func(_ string, m ccs.FromServer) {
			if m, ok := m.(*ccs.Upstream); ok {
				w.history.settled(string(m.MessageID), time.Now())
			}
		},
	}
	sim, err := fcmsim.New(&fcmsim.Options{
		Dir: w.dir, LiveDevices: 20, DeadDevices: 3, ForeignDevices: 2,
		RecordMax: 1_000, // the history is ours to keep
		Server:    &opt,
		Events: &fcmsim.Events{Delivered: func(_ ccs.RegistrationToken, d fcmsim.Delivery) {
			w.history.delivered(server, string(d.MessageID))
		}},
	})
	if err != nil {
		return err
	}
	if err := sim.Start(); err != nil {
		return err
	}
	w.swap.Lock()
	defer w.swap.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sim, w.server, w.dying = sim, server, dying
	return nil
}

func streamID(server int, id string) string { return fmt.Sprint(server, "-", id) }

// inFlight is how many messages are unanswered on a stream, by the server's own
// count: it shrinks before an answer leaves, so that a client that waits for
// answers is never wronged.
func inFlight(sim *fcmsim.Sim, id string) int {
	for _, s := range sim.Streams() {
		if s.ID == id {
			return s.InFlight
		}
	}
	return 0
}

func unacked(sim *fcmsim.Sim, id string) int {
	for _, s := range sim.Streams() {
		if s.ID == id {
			return s.Unacked
		}
	}
	return 0
}

// isWhole reports whether m is what was made under its id, for this sender.
func (w *world) isWhole(m *ccs.Downstream) bool {
	pool, n, ok := poolOf(m.MessageID)
	if !ok || pool/poolsOfSender != w.number {
		return false
	}
	return makeSpec(w.seed, &w.devices, pool, n).message.ContentHash() == m.ContentHash()
}

// addPool makes the i-th pool with its proxy, and runs both.
func (w *world) addPool(i int) error {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	proxy := faultproxy.New(front, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", w.current().Addr())
	}, &faultproxy.Options{Seed: w.seed, Opened: w.opened})
	sim := w.current()
	number := w.number*poolsOfSender + i
	opt := clientTimes
	opt.TLS = &tls.Config{RootCAs: sim.CertPool(), ServerName: "localhost"}
	opt.Upstream = func(ctx context.Context, _ ccsclient.Sender, m *ccs.Upstream) error { return w.handle(ctx, number, m) }
	opt.Receipts = func(_ context.Context, r *ccs.Receipt) error {
		w.history.receipt(string(r.OriginalMessageID))
		return nil
	}
	opt.Events = &ccsclient.Events{Late: func(a ccsclient.Answer, _ error) { w.history.late(string(a.Message.MessageID)) }}
	pool, err := ccsclient.NewPool(front.Addr().String(),
		ccsclient.Credentials{SenderID: sim.SenderID(), Key: sim.ServerKey()}, &opt)
	if err != nil {
		front.Close()
		return err
	}
	w.pools, w.proxies = append(w.pools, pool), append(w.proxies, proxy)
	w.running.Go(func() { _ = proxy.Serve() })                  // until it is closed
	w.running.Go(func() { _ = pool.Run(context.Background()) }) // until it is shut down
	return nil
}

// opened remembers a link under the address that the server will see.
func (w *world) opened(l *faultproxy.Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	address := l.ServerSide().String()
	mine := new(link)
	w.links[address] = mine
	w.running.Go(func() {
		<-l.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.links[address] == mine {
			delete(w.links, address)
		}
	})
}

// linkOf finds a link. One that is not there any more has ended before its
// stream was known.
func (w *world) linkOf(address string) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.links[address]; l != nil {
		return l
	}
	l := new(link)
	l.struck.Store(true)
	return l
}

// strike marks a link: what was said on its stream may be lost from now on.
func (w *world) strike(l *faultproxy.Link) { w.linkOf(l.ServerSide().String()).struck.Store(true) }

var errForGood = errors.New("this one cannot be handled")

// handle is a program's handler: it notes when it is done for good, and whether
// the message is what the device wrote.
func (w *world) handle(ctx context.Context, pool int, m *ccs.Upstream) error {
	sender, n, ok := senderOf(m.MessageID)
	if !ok || sender != w.number {
		w.history.handled(string(m.MessageID), pool, false)
		return nil
	}
	s := makeUpstream(w.seed, &w.devices, sender, n)
	if s.takes > 0 {
		t := time.NewTimer(s.takes)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.conduct == triesAgain && w.history.firstTry(string(m.MessageID), pool) {
		return ccsclient.ErrTryAgain
	}
	w.history.handled(string(m.MessageID), pool, m.From == s.from && maps.Equal(m.Data, s.data))
	switch s.conduct {
	case fails:
		return errForGood
	case panics:
		panic("a handler that panics")
	}
	return nil
}

// write has a device write the next message to the app server.
func (w *world) write() {
	w.swap.RLock()
	defer w.swap.RUnlock()
	n := int(w.nextUp.Add(1))
	w.mu.Lock()
	sim, server := w.sim, w.server
	w.mu.Unlock()
	id := upstreamID(w.number, n)
	s := makeUpstream(w.seed, &w.devices, w.number, n)
	w.history.written(id, server, s.short)
	if _, err := sim.Upstream(s.from, fcmsim.Upstream{MessageID: ccs.MessageID(id), Data: s.data, TTL: s.ttl}); err != nil {
		w.history.unwritten(id) // the server is on its way out
	}
}

// replace starts the next server and ends the one before: by a drain, or as a
// process that dies. What devices wrote to it and nobody acked they write again.
// The caller holds restart, which is released when the old one is gone.
func (w *world) replace(kill bool) error {
	w.mu.Lock()
	old, number, dying := w.sim, w.server, w.dying
	w.mu.Unlock()
	if err := w.startServer(); err != nil {
		w.restart.Unlock()
		return err
	}
	w.olds.Go(func() {
		defer w.restart.Unlock()
		if kill {
			dying.Store(true)
			_ = old.Close() // what its listener says does not matter any more
		} else {
			_ = old.Shutdown(context.Background()) // it has limits of its own
		}
		w.mu.Lock()
		sim, next := w.sim, w.server
		w.mu.Unlock()
		for _, id := range w.history.unsettled(number, next) {
			_, n, _ := senderOf(ccs.MessageID(id))
			s := makeUpstream(w.seed, &w.devices, w.number, n)
			// It has an id that the new server does not know: only a full or
			// closed server refuses, and then the message ends as stuck.
			_, _ = sim.Upstream(s.from, fcmsim.Upstream{MessageID: ccs.MessageID(id), Data: s.data, TTL: s.ttl})
		}
	})
	return nil
}

// close ends everything at once: pools first, if they are not shut down yet.
func (w *world) close() {
	for _, p := range w.pools {
		p.Close()
	}
	for _, p := range w.proxies {
		p.Close()
	}
	w.olds.Wait()
	_ = w.current().Close()
	w.running.Wait()
}
