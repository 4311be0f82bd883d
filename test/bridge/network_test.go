package bridge_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"

	"penstock/internal/ccstest"
)

// A network is where listeners and those who dial them meet.
type network interface {
	Listen(network, address string) (net.Listener, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// loopback is the machine's own network.
type loopback struct{ net.Dialer }

func (*loopback) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

func (l *loopback) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.DialContext(ctx, network, address)
}

// memory is a network for one bubble.
type memory struct {
	mu    sync.Mutex // guards what follows
	hosts map[string]*host
}

// A host is one address of a memory.
type host struct {
	*ccstest.Listener
	address *net.TCPAddr
	down    bool // who dials is refused
	dials   int
	open    []net.Conn
}

func (h *host) Addr() net.Addr { return h.address }

func newMemory() *memory { return &memory{hosts: make(map[string]*host)} }

// Listen takes any address, and gives a port of its own.
func (m *memory) Listen(string, string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &host{Listener: ccstest.Listen(), address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1000 + len(m.hosts)}}
	m.hosts[h.address.String()] = h
	return h, nil
}

func (m *memory) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	m.mu.Lock()
	h := m.hosts[address]
	if h == nil {
		m.mu.Unlock()
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	h.dials++
	down := h.down
	m.mu.Unlock()
	if down {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	conn, err := h.Dial(ctx)
	if err == nil {
		m.mu.Lock()
		h.open = append(h.open, conn)
		m.mu.Unlock()
	}
	return conn, err
}

// takeDown breaks all connections to an address and refuses new ones, until
// bringUp.
func (m *memory) takeDown(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.hosts[address]
	h.down = true
	for _, conn := range h.open {
		conn.(*ccstest.Conn).Reset()
	}
	h.open = nil
}

// bringUp undoes takeDown.
func (m *memory) bringUp(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hosts[address].down = false
}

// dialled is how often an address was dialled.
func (m *memory) dialled(address string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[address].dials
}
