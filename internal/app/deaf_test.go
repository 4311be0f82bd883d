package app_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"penstock/internal/app"
	"penstock/internal/ccstest"
)

// Over HTTP/2 the write timeout is one of streams, and resets them, which is one
// more frame behind those that a client does not read. It needs no key for that.
func TestR_A34_R_L10_WhoReadsNothingOverHTTP2IsCutOff(t *testing.T) {
	t.Parallel()
	memory := ccstest.Listen()
	gone := make(chan struct{})
	opt := app.Options{Listen: func(network, address string) (net.Listener, error) {
		if address == "memory:1" {
			return &toldListener{memory, gone}, nil
		}
		return net.Listen(network, address)
	}}
	cfg := settings(t, map[string]string{
		"http.listen": "memory:1", "verdict_timeout": "2s", "limits.http_write_timeout": "2100ms",
	})
	runWith(t, opt, cfg, overFCM(simulator(t)))

	conn, err := memory.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Each PING has an answer, and there is room for some 3,800 of them; Go's
	// server gives up by itself at 10,000 that wait.
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, nil)
	err = framer.WriteSettings()
	for i := 0; err == nil && i < 6000; i++ {
		err = framer.WritePing(false, [8]byte{byte(i), byte(i >> 8)})
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the connection stays")
	}
}

// A toldListener closes a channel when one of its connections is closed.
type toldListener struct {
	net.Listener
	closed chan struct{}
}

func (l *toldListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &toldConn{Conn: conn, tell: sync.OnceFunc(func() { close(l.closed) })}, nil
}

type toldConn struct {
	net.Conn
	tell func()
}

func (c *toldConn) Close() error {
	defer c.tell()
	return c.Conn.Close()
}
