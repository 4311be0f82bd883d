package app_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
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

// A process without descriptors left takes no connection until it has one again: an
// operator is told which listener waits.
func TestAListenerThatTakesNothingIsToldOf(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	full := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	var mu sync.Mutex
	listeners := make(map[string]string) // by setting's address
	opt := app.Options{Listen: func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		listeners[address] = l.Addr().String()
		return &failingListener{Listener: l, err: full}, nil
	}}
	for _, setting := range []string{"ccs.listen", "http.listen", "admin.listen"} {
		t.Run(setting, func(t *testing.T) {
			address := "127.0.0.1:" + map[string]string{"ccs.listen": "1", "http.listen": "2", "admin.listen": "3"}[setting]
			cfg := settings(t, map[string]string{"ccs.listen": "", "http.listen": "", "admin.listen": "", setting: address})
			r := runWith(t, opt, cfg, overFCM(sim))
			mu.Lock()
			want := `level=ERROR msg="connections cannot be taken" listener=` + listeners[address] + " err="
			mu.Unlock()
			until(t, "it is told", func() bool { return strings.Contains(r.log.String(), want) })
			mu.Lock()
			conn, err := net.Dial("tcp", listeners[address])
			mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /healthz HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Errorf("it answers nobody afterwards: %v", err)
			}
			if err := r.end(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if n := strings.Count(r.log.String(), "cannot be taken"); n != 1 {
				t.Errorf("%d lines tell of it, want one, and none of its end", n)
			}
		})
	}
}

// A failingListener fails once.
type failingListener struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *failingListener) Accept() (net.Conn, error) {
	var err error
	l.once.Do(func() { err = l.err })
	if err != nil {
		return nil, err
	}
	return l.Listener.Accept()
}

// Strangers take no descriptors that far ends need: what is connected goes on, by
// new connections too.
func TestR_F39_StrangersLeaveDescriptorsForFarEnds(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	// Of 20 descriptors the fronts have 10: an app server, and strangers.
	r := runWith(t, app.Options{Descriptors: 20}, settings(t, nil), overFCM(sim))
	pool := r.client(sim.SenderID(), serverKey, nil)
	if code := send(t, pool, sim.Tokens()[0]); code != "" {
		t.Fatal(code)
	}
	strangers := make([]net.Conn, 0, 20)
	defer func() {
		for _, conn := range strangers {
			conn.Close()
		}
	}()
	const line = `msg="there are as many connections as may be: new ones wait" reason=descriptors`
	for len(strangers) < 20 {
		conn, err := net.Dial("tcp", []string{r.addr.CCS[0], r.addr.HTTP[0]}[len(strangers)%2])
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, conn)
	}
	until(t, "they wait", func() bool { return strings.Contains(r.log.String(), line) })
	if code := send(t, pool, sim.Tokens()[0]); code != "" {
		t.Errorf("what is connected: %s", code)
	}
	if status, _ := r.get("/healthz"); status != 200 {
		t.Errorf("health: %d", status)
	}
	for _, conn := range strangers {
		conn.Close()
	}
	until(t, "there is room again", func() bool { status, _ := r.post(serverKey, string(sim.Tokens()[0])); return status == 200 })
}
