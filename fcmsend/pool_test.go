package fcmsend_test

import (
	"context"
	"errors"
	"fmt"
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

func TestS_43_AsManyConnectionsAsAreNeeded(t *testing.T) {
	for _, c := range []struct{ calls, want int }{{1, 1}, {100, 1}, {101, 2}, {250, 3}, {450, 4}} {
		t.Run(fmt.Sprintf("S-43 %d calls", c.calls), func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(&fcmsend.Options{MaxConnections: 4})
				all := sendMany(t, s, c.calls)
				synctest.Wait()
				var conns []*farConn
				for len(w.conns) > 0 {
					conns = append(conns, <-w.conns)
				}
				if len(conns) != c.want || len(w.dialled()) != c.want {
					t.Fatalf("%d connections, %d dials; want %d", len(conns), len(w.dialled()), c.want)
				}
				for answered := 0; answered < c.calls; {
					for _, conn := range conns {
						for conn.pending() > 0 {
							conn.request().accept()
							answered++
						}
					}
				}
				wantAllAccepted(t, all)
				w.noConn()
				for _, conn := range conns {
					if conn.most > 100 {
						t.Errorf("%d streams on a connection", conn.most)
					}
				}
			})
		})
	}
}

func TestS_43_CallsGoWhereThereIsRoomSoThatOthersFallIdle(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		all := sendMany(t, s, 150)
		first, second := w.conn(), w.conn()
		if first.pending() < second.pending() {
			first, second = second, first
		}
		for range 100 {
			first.request().accept()
		}
		for range 50 {
			second.request().accept()
		}
		wantAllAccepted(t, all)
		for range 400 { // seconds: longer than a connection may be idle
			p := send(t, s, toToken())
			first.request().accept()
			p.wantAccepted()
			time.Sleep(time.Second)
		}
		if !second.isOver() || first.isOver() {
			t.Errorf("second over %v, first over %v; want true and false", second.isOver(), first.isOver())
		}
	})
}

func TestS_48_AConnectionIsNotIdleWhileARequestIsUnderWay(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{IdleTimeout: time.Second, RequestTimeout: time.Hour})
		p := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		time.Sleep(time.Minute)
		p.wantPending()
		conn.goAway(r.id, http2.ErrCodeNo, "")
		time.Sleep(time.Minute)
		p.wantPending()
		r.accept()
		p.wantAccepted()
	})
}

func TestS_48_IdleConnectionsEndWithoutAnError(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var closed []error
		s := w.sender(&fcmsend.Options{Events: &fcmsend.Events{ConnectionClosed: func(_ fcmsend.ConnectionInfo, err error) {
			closed = append(closed, err)
		}}})
		for range 3 { // the far end closes
			p := send(t, s, toToken())
			conn := w.conn()
			conn.request().accept()
			p.wantAccepted()
			conn.nc.Close()
			synctest.Wait()
		}
		if len(closed) != 3 || closed[0] == nil {
			t.Errorf("closed: %v; want three causes", closed)
		}
		p := send(t, s, toToken()) // we close
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		time.Sleep(180 * time.Second)
		if !conn.isOver() || len(closed) != 4 || closed[3] != nil {
			t.Errorf("over %v, closed: %v; want no cause for the last", conn.isOver(), closed)
		}
		p = send(t, s, toToken()) // we close all
		w.conn().request().accept()
		p.wantAccepted()
		s.Close()
		if len(closed) != 5 || closed[4] != nil {
			t.Errorf("closed: %v; want no cause for the last", closed)
		}
		if n := len(s.State().Connections); n != 0 {
			t.Errorf("%d connections in the state", n)
		}
	})
}

func TestAConnectionThatNobodyUsesIsClosedAtGoAway(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		conn.goAway(1, http2.ErrCodeNo, "")
		if !conn.isOver() {
			t.Error("it is still there")
		}
	})
}

// Nobody waits for a connection that takes nothing new.
func TestWhoFindsNoConnectionThatTakesMoreIsToldSo(t *testing.T) {
	for name, spoil := range map[string]func(conn *farConn){
		"one that is leaving": func(conn *farConn) { conn.goAway(1, http2.ErrCodeNo, "") },
		"one that is silent": func(conn *farConn) { // longer than a request is given
			conn.setMute(true)
			time.Sleep(12 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.sender(&fcmsend.Options{MaxConnections: 1, QuietAfter: time.Hour, IdleTimeout: time.Hour})
				busy := send(t, s, toToken())
				conn := w.conn()
				r := conn.request()
				spoil(conn)
				synctest.Wait()
				w.setFail(errors.New("nobody answers"))
				for range 3 {
					p := send(t, s, toToken())
					if err := p.wantError(fcm.Unavailable, false); p.took != 0 || !strings.Contains(err.Error(), "nobody answers") {
						t.Errorf("told after %v: %v", p.took, err)
					}
				}
				if n := len(w.dialled()); n != 2 {
					t.Errorf("%d dials, want one for the connection and one that failed", n)
				}
				r.accept()
				busy.wait()
			})
		})
	}
}

func TestWhoWaitsForAPlaceNeedNotWaitForWhatIsLeaving(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1})
		busy := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		waits := send(t, s, toToken())
		waits.wantPending()
		conn.goAway(1, http2.ErrCodeNo, "")
		w.conn().request().accept()
		if waits.wantAccepted(); waits.took != 0 {
			t.Errorf("took %v", waits.took)
		}
		r.accept()
		busy.wantAccepted()
	})
}

func TestWhoWaitsForADialTakesTheConnectionThatSpeaksAgain(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(&fcmsend.Options{MaxConnections: 1, QuietAfter: time.Hour, DialTimeout: time.Hour})
		first := true
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if first {
				first = false
				return w.dial(ctx, network, address)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		p.wantError(fcm.Unavailable, true)
		p = send(t, s, toToken())
		p.wantPending()
		conn.noRequest()
		conn.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
		conn.request().accept()
		if p.wantAccepted(); p.took != 0 {
			t.Errorf("took %v", p.took)
		}
	})
}

func TestWhoWaitsForThePlaceOfAConnectionThatEndsIsToldSo(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{StreamsPerConnection: 1})
		busy := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		w.setFail(errors.New("nobody answers"))
		waits := send(t, s, toToken())
		waits.wantPending()
		conn.nc.Close()
		busy.wantError(fcm.Unavailable, true)
		if err := waits.wantError(fcm.Unavailable, false); waits.took != 0 || !strings.Contains(err.Error(), "nobody answers") {
			t.Errorf("told after %v: %v", waits.took, err)
		}
	})
}

func TestAConnectionThatTakesNoMoreIsLeftAtOnce(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
		s := w.sender(nil)
		p := send(t, s, toToken())
		first := w.conn()
		first.request().accept()
		p.wantAccepted()
		first.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<30) })
		first.halt()
		for range 10 {
			send(t, s, toToken("k", strings.Repeat("v", 16_000)))
			synctest.Wait()
		}
		// It speaks and does not listen. After 15 s the writer gives up.
		for range 31 {
			time.Sleep(500 * time.Millisecond)
			first.write(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) })
		}
		p = send(t, s, toToken())
		w.conn().request().accept()
		p.wantAccepted()
		if p.took != 0 {
			t.Errorf("took %v", p.took)
		}
	})
}

func TestWhoWaitsForAPlaceIsServedInOrderAndMayLeave(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1})
		first := send(t, s, toToken("i", "first"))
		conn := w.conn()
		r := conn.request()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		leaves := sendWith(ctx, t, s, toToken("i", "leaves"))
		synctest.Wait()
		second := send(t, s, toToken("i", "second"))
		synctest.Wait()
		third := send(t, s, toToken("i", "third"))
		leaves.wantError(fcm.Unavailable, false)
		if leaves.took != 2*time.Second {
			t.Errorf("left after %v", leaves.took)
		}
		r.accept()
		first.wantAccepted()
		for _, want := range []string{"second", "third"} {
			r := conn.request()
			if !strings.Contains(string(r.body), want) {
				t.Errorf("%s; want %s", r.body, want)
			}
			r.accept()
		}
		second.wantAccepted()
		third.wantAccepted()
		conn.noRequest()
	})
}

// A lastMoment is a context that ends when it is first waited for, and makes
// something happen just before.
type lastMoment struct {
	context.Context
	before func()
	once   sync.Once
	done   chan struct{}
}

func (c *lastMoment) Done() <-chan struct{} {
	c.once.Do(func() {
		c.before()
		time.Sleep(time.Millisecond) // until all of it has happened
		close(c.done)
	})
	return c.done
}

func (c *lastMoment) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

func TestAPlaceThatComesInTheMomentOfLeavingIsNotLost(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(&fcmsend.Options{MaxConnections: 1, StreamsPerConnection: 1})
		var conn *farConn
		for range 20 { // which of two things that have happened counts is chance
			first := send(t, s, toToken())
			if conn == nil {
				conn = w.conn()
			}
			r := conn.request()
			ctx := &lastMoment{Context: t.Context(), before: r.accept, done: make(chan struct{})}
			leaves := sendWith(ctx, t, s, toToken())
			first.wantAccepted()
			leaves.wait()
			synctest.Wait()
			for len(conn.arrived) > 0 { // it was written before it left
				<-conn.arrived
			}
			if n := s.State().InFlight; n != 0 {
				t.Fatalf("%d places are taken, and nobody is there", n)
			}
		}
	})
}

// A watchedConn tells how long the last write was before it was closed.
type watchedConn struct {
	net.Conn
	last   atomic.Int64
	closed chan int
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.last.Store(int64(len(p)))
	return c.Conn.Write(p)
}

func (c *watchedConn) Close() error {
	select {
	case c.closed <- int(c.last.Load()):
	default:
	}
	return c.Conn.Close()
}

func TestAConnectionThatIsNotNeededIsLeftWithAFarewell(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.handle = (*request).accept
		closed := make(chan int, 1)
		opt := w.options(nil)
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.dial(ctx, network, address)
			return &watchedConn{Conn: nc, closed: closed}, err
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		send(t, s, toToken()).wantAccepted()
		const alert = 5 + 2 + 1 + 16 // of TLS 1.3: head, close_notify, its kind, seal
		if n := <-closed; n != alert {
			t.Errorf("the last write had %d bytes; want close_notify, which has %d", n, alert)
		}
	})
}

func TestAConnectionWithoutStreamIdsIsReplaced(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		p := send(t, s, toToken())
		first := w.conn()
		first.request().accept()
		p.wantAccepted()
		s.LastStream()
		last := send(t, s, toToken())
		r := first.request()
		if r.id != 1<<31-1<<16-1 {
			t.Errorf("stream %d", r.id)
		}
		p = send(t, s, toToken())
		w.conn().request().accept()
		p.wantAccepted()
		r.accept()
		last.wantAccepted()
		if !first.isOver() {
			t.Error("the connection was not closed when it was done")
		}
	})
}
