package fcmsend_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcm"
	"penstock/fcmsend"
)

const applicationData = 23 // the kind of a record of TLS that holds what we write

// A gatedConn holds each write at its gate while that is closed, and breaks after
// as many records of TLS as are left.
type gatedConn struct {
	net.Conn
	behind bool // the gate is behind what is written, not in front
	left   atomic.Int32
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	gate chan struct{} // nil: it is open
}

func (c *gatedConn) shutGate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = make(chan struct{})
}

func (c *gatedConn) openGate() { close(c.gate) }

func (c *gatedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate != nil && c.behind {
		n, err := c.Conn.Write(p)
		<-gate
		return n, err
	}
	if gate != nil {
		select {
		case <-gate:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	if p[0] == applicationData && c.left.Add(-1) < 0 {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// gatedSender makes a sender whose first connection is gated. It speaks TLS 1.2,
// where records show what they hold.
func (w *far) gatedSender(records int32) (*fcmsend.Sender, *gatedConn) {
	w.t.Helper()
	opt := w.options(nil)
	opt.TLS.MaxVersion = tls.VersionTLS12
	gated := &gatedConn{closed: make(chan struct{})}
	gated.left.Store(records)
	return w.behind(gated, opt), gated
}

// shutAfterOne makes a sender whose connection has carried one message, and whose
// gate is shut now.
func (w *far) shutAfterOne() (*fcmsend.Sender, *gatedConn, *farConn) {
	w.t.Helper()
	s, gated := w.gatedSender(1000)
	p := send(w.t, s, toToken())
	c := w.conn()
	c.request().accept()
	p.wantAccepted()
	synctest.Wait()
	gated.shutGate()
	return s, gated, c
}

// behind makes a sender whose first connection is behind that gate. opt is
// complete.
func (w *far) behind(gated *gatedConn, opt *fcmsend.Options) *fcmsend.Sender {
	w.t.Helper()
	opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := w.dial(ctx, network, address)
		if err != nil || gated.Conn != nil {
			return nc, err
		}
		gated.Conn = nc
		return gated, nil
	}
	s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

// Of many requests in one write the socket takes a part, and the far end says
// which ones it has got.
func TestOnlyWhatTheSocketHasTakenHasAnUnknownOutcome(t *testing.T) {
	for records := range int32(5) {
		t.Run(fmt.Sprint(records, " records"), func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s, gated, first := w.shutAfterOne()
				all := map[string]*sending{}
				for i := range 90 {
					r := toToken("i", itoa(i), "k", strings.Repeat("v", 10*i))
					all[string(r.Append(nil))] = send(t, s, r)
					synctest.Wait()
					// Frames that are no request's are in between.
					first.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
				}
				synctest.Wait()
				gated.left.Store(1 + records) // the first is the one at the gate
				gated.openGate()
				time.Sleep(2 * time.Second)
				arrived := first.pending()
				if arrived == 0 || arrived == len(all) {
					t.Errorf("%d requests of %d have arrived; want a part", arrived, len(all))
				}
				for range arrived {
					body := string(first.request().body)
					all[body].wantError(fcm.Unavailable, true)
					delete(all, body)
				}
				second := w.conn()
				for range all {
					second.request().accept()
				}
				for _, p := range all {
					p.wantAccepted()
				}
			})
		})
	}
}

func TestTheFirstWriteMayFailInItsMiddle(t *testing.T) {
	resent := 0
	for length := 700; length < 1300; length += 20 {
		play(t, func(t *testing.T, w *far) {
			s, _ := w.gatedSender(1)
			p := send(t, s, toToken("k", strings.Repeat("v", length)))
			first := w.conn()
			time.Sleep(2 * time.Second)
			if first.pending() > 0 {
				p.wantError(fcm.Unavailable, true)
				return
			}
			w.conn().request().accept()
			p.wantAccepted()
			resent++
		})
	}
	if resent == 0 {
		t.Error("each of them was written whole; want some that were not")
	}
}

// A farewell would wait for a far end that takes nothing.
func TestCloseDoesNotWaitForASocketThatTakesNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		writing bool
	}{{"nothing to write", false}, {"something to write", true}} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s, _, conn := w.shutAfterOne()
				var p *sending
				if c.writing {
					p = send(t, s, toToken())
					p.wantPending()
				}
				began := time.Now()
				s.Close()
				if took := time.Since(began); took != 0 || !conn.isOver() {
					t.Errorf("Close took %v, the connection is closed: %v", took, conn.isOver())
				}
				if c.writing {
					p.wait()
				}
			})
		})
	}
}

func TestAConnectionThatIsLeftWhileItsSocketTakesNothingIsClosed(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s, _, conn := w.shutAfterOne()
		ctx, cancel := context.WithCancel(t.Context())
		p := sendWith(ctx, t, s, toToken())
		p.wantPending()
		cancel()
		p.wantError(fcm.Unavailable, true)
		conn.goAway(1<<31-1, http2.ErrCodeNo, "")
		if !conn.isOver() {
			t.Error("it is still there")
		}
	})
}

// A connection that ends while the sender is at the socket: what that has taken
// decides.
func TestHTTP1OnlyWhatTheSocketHasTakenHasAnUnknownOutcome(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				h := &h1far{w, w.host("fcm.example:8080")}
				gated := &gatedConn{behind: taken, closed: make(chan struct{})}
				gated.shutGate()
				s := w.behind(gated, w.options(&fcmsend.Options{Endpoint: plainEndpoint}))
				p := send(t, s, toToken())
				conn := h.conn()
				if taken {
					conn.request()
				}
				conn.nc.Close()
				if taken {
					p.wantPending() // nobody knows yet
					gated.openGate()
					p.wantError(fcm.Unavailable, true)
					if n := len(w.dialled()); n != 1 || p.took != 0 {
						t.Errorf("%d dials, took %v; want it at once, and nothing sent again", n, p.took)
					}
					return
				}
				conn = h.conn()
				conn.request()
				conn.accept()
				p.wantAccepted()
			})
		})
	}
}

func TestHTTP1ASocketThatTakesNothingIsGivenUpAndClosed(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		p := send(t, s, toToken("k", strings.Repeat("v", 100_000))) // more than a pipe holds
		first := w.conn()
		second := w.conn()
		second.request()
		second.accept()
		if p.wantAccepted(); p.took != fcmsend.MinRequestTimeout {
			t.Errorf("took %v; want the time of a request", p.took)
		}
		if n, err := io.Copy(io.Discard, first.nc); n < 64<<10 || err != nil {
			t.Errorf("%d bytes, %v; want what the pipe holds and its end", n, err)
		}
		if n := len(s.State().Connections); n != 1 {
			t.Errorf("%d connections in the state; want the second", n)
		}
	})
}
