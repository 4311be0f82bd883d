package h2wire_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/h2wire"
	"penstock/internal/localca"
)

// Where no HTTP comes about, the client is told once where it can be, and the
// program once from where it came and why.
func TestConnectionsOnWhichNoHTTPComesAbout(t *testing.T) {
	ca, err := localca.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	now := time.Now() // a bubble's clock is far behind the certificate's
	handshake := func(config *tls.Config) func(net.Conn) {
		config.Time = func() time.Time { return now }
		return func(c net.Conn) { _ = tls.Client(c, config).Handshake() }
	}
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, text) }
	}
	for _, tt := range []struct {
		name   string
		config *tls.Config
		client func(net.Conn)
		want   string // the whole answer; empty: it does not matter
		err    string // empty: nothing is told
	}{
		{
			"HTTP on a port with TLS", config, say("POST /fcm/send HTTP/1.1\r\nHost: x\r\n\r\n"),
			"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", "tls: first record does not look like a TLS handshake",
		},
		{"other text on a port with TLS", config, say("<stream:stream>"), "", "tls: first record does not look like a TLS handshake"},
		{"a client that does not trust the CA", config, handshake(&tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}), "", "remote error: tls: bad certificate"},
		{
			"a client that speaks neither protocol", config, handshake(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"spdy/3"}}),
			"", `tls: client requested unsupported application protocols (["spdy/3"])`,
		},
		{
			"HTTP in the middle of a handshake", config, func(c net.Conn) {
				_ = tls.Client(&changed{Conn: c}, &tls.Config{InsecureSkipVerify: true}).Handshake()
			}, "", "tls: received record with version",
		},
		{"a client that says nothing", config, say(""), "", "i/o timeout"},
		{"a client that says nothing behind its handshake", config, handshake(&tls.Config{ServerName: "localhost", RootCAs: ca.Pool()}), "", ""},
		{"TLS on a port without it", nil, handshake(&tls.Config{InsecureSkipVerify: true}), "", "h2wire: TLS on a port without it"},
		{"HTTP on a port without TLS", nil, say("GET / HTTP/1.0\r\n\r\n"), "", ""},
		{"nothing on a port without TLS", nil, say(""), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := make(chan string, 10)
				l := ccstest.Listen()
				srv := &http.Server{
					Handler: http.HandlerFunc(echo), Protocols: h2wire.Protocols(), ReadHeaderTimeout: 5 * time.Second,
				}
				served := make(chan error, 1)
				go func() {
					served <- srv.Serve(h2wire.NewListener(l, tt.config, &h2wire.Options{Failed: func(addr net.Addr, err error) {
						told <- fmt.Sprint(addr, ": ", err)
					}}))
				}()
				conn, err := l.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				tt.client(conn)
				got, _ := io.ReadAll(conn) // a client of TLS may have closed it
				if tt.want != "" && string(got) != tt.want {
					t.Errorf("the client got %q", got)
				}
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
				var all []string
				if tt.err != "" {
					all = append(all, <-told)
				}
				for len(told) > 0 {
					all = append(all, <-told)
				}
				if want := "pipe: "; tt.err != "" && (len(all) != 1 || !strings.HasPrefix(all[0], want) || !strings.Contains(all[0], tt.err)) || tt.err == "" && len(all) > 0 {
					t.Errorf("the program was told %q", all)
				}
			})
		})
	}
}

// changed is a connection of a client that goes on with something else.
type changed struct {
	net.Conn
	begun bool
}

func (c *changed) Write(p []byte) (int, error) {
	if c.begun {
		return c.Conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	c.begun = true
	return c.Conn.Write(p)
}

// A request of HTTP/1 may be shorter than the preface of HTTP/2.
func TestAShortRequestIsAnswered(t *testing.T) {
	bubble(t, "of HTTP/1.0", func(t *testing.T) {
		l := serve(t, echo, &h2wire.Options{MaxStreams: 100})
		conn, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if got, err := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.0 200 ") || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// Servers half close a connection, so that a client gets to read what it is told,
// and reset the one below TLS.
func TestAConnectionIsClosedAsTheOneBelowIs(t *testing.T) {
	near, far := ccstest.Pipe()
	c := h2wire.Wrap(far, nil)
	if c.NetConn() != far || h2wire.Wrap(tls.Server(far, &tls.Config{}), nil).NetConn() != far {
		t.Error("the connection below is another one")
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(near); len(got) > 0 || err != nil {
		t.Errorf("the client reads %q, %v; want the end", got, err)
	}
	go func() {
		_, _ = io.WriteString(near, "late")
		near.Close()
	}()
	if got, err := io.ReadAll(c); string(got) != "late" || err != nil {
		t.Errorf("what comes behind it reads %q, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
