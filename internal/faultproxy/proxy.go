package faultproxy

import (
	"context"
	"net"
	"slices"
	"sync"
)

// Options are what is optional about a [Proxy].
type Options struct {
	// Seed decides about jitter: that of the n-th link is Seed plus 2n.
	Seed uint64
	// Opened is called with each new link before a byte has passed: the place
	// for what is to befall it. It must be quick.
	Opened func(l *Link)
}

// A Proxy accepts connections and links each with a server. Any goroutine may
// call its methods.
type Proxy struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	opt      Options
	ctx      context.Context
	stop     context.CancelFunc
	all      sync.WaitGroup

	mu    sync.Mutex // guards what follows
	count uint64
	links []*Link
	over  bool
}

// New makes a proxy that accepts from l, which it will close, and reaches the
// server by dial. It starts nothing. opt is copied; nil is the zero value.
func New(l net.Listener, dial func(ctx context.Context) (net.Conn, error), opt *Options) *Proxy {
	p := &Proxy{listener: l, dial: dial}
	if opt != nil {
		p.opt = *opt
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Serve accepts until [Proxy.Close], and then waits for the links. A server
// that cannot be reached resets the client's connection. It returns
// [net.ErrClosed], wrapped, or why accepting failed.
func (p *Proxy) Serve() error {
	defer p.all.Wait()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return err
		}
		p.all.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := p.dial(p.ctx)
	if err != nil {
		reset(client)
		client.Close()
		return
	}
	p.mu.Lock()
	l := NewLink(client, server, p.opt.Seed+2*p.count)
	p.count++
	p.links = append(p.links, l)
	over := p.over
	p.mu.Unlock()
	if p.opt.Opened != nil {
		p.opt.Opened(l)
	}
	if over {
		l.Close()
	}
	l.Run()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(o *Link) bool { return o == l })
}

// Links lists the links that live, oldest first.
func (p *Proxy) Links() []*Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.links)
}

// Close stops accepting and breaks every link. [Proxy.Serve] returns when they
// are gone.
func (p *Proxy) Close() {
	p.stop()
	p.listener.Close()
	p.mu.Lock()
	p.over = true
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		l.Close()
	}
}
