package fcmsend_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

func TestThePeersWindowsAreKept(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.stingy = true
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 100}}
		s := w.sender(nil)
		p := send(t, s, toToken()) // so that the SETTINGS are read
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()

		big := toToken("k", strings.Repeat("v", 1000))
		p = send(t, s, big)
		small := send(t, s, toToken()) // is not held up
		r := conn.request()
		r.accept()
		small.wantAccepted()
		p.wantPending()
		conn.noRequest()
		if e := s.State(); e.InFlight != 1 {
			t.Errorf("state %+v", e)
		}
		first := uint32(3)
		if r.id == first {
			first = 5
		}
		conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(first, 500) })
		conn.noRequest()
		for _, missing := range []int{500, 1, 0} { // it may shrink too, and become less than nothing
			conn.noRequest()
			conn.write(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(len(big.Append(nil)) - 500 - missing)})
			})
		}
		r = conn.request()
		if string(r.body) != string(big.Append(nil)) {
			t.Errorf("body of %d bytes is not what was sent", len(r.body))
		}
		r.accept()
		p.wantAccepted()
	})
}

// A stream begins with the window of RFC 9113 6.9.2 where SETTINGS name none.
func TestTheFirstWindowOfAStreamIsKept(t *testing.T) {
	const window = 65535
	for _, length := range []int{window, window + 1, window + 2} {
		play(t, func(t *testing.T, w *far) {
			w.stingy = true
			s := w.sender(nil)
			p := send(t, s, toToken())
			conn := w.conn()
			conn.request().accept()
			p.wantAccepted()
			conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<20) })
			synctest.Wait()
			body := len(toToken("k", "").Append(nil))
			p = send(t, s, toToken("k", strings.Repeat("v", length-body)))
			for range length - window {
				p.wantPending()
				conn.noRequest()
				conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 1) })
			}
			if n := conn.pending(); n != 1 {
				t.Fatalf("%d requests where the window is as long as the body of %d bytes", n, length)
			}
			r := conn.request()
			if len(r.body) != length {
				t.Errorf("a body of %d bytes; want %d", len(r.body), length)
			}
			r.accept()
			p.wantAccepted()
		})
	}
}

func TestTheConnectionsWindowIsKept(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.stingy = true
		w.settings = []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
		s := w.sender(nil)
		p := send(t, s, toToken())
		conn := w.conn()
		r := conn.request()
		used := len(r.body)
		r.accept()
		p.wantAccepted()
		big := toToken("k", strings.Repeat("v", 100_000))
		p = send(t, s, big)
		p.wantPending()
		conn.noRequest()
		conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, uint32(used+len(big.Append(nil))-65535-1)) })
		conn.noRequest()
		conn.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) })
		r = conn.request()
		if string(r.body) != string(big.Append(nil)) {
			t.Errorf("body of %d bytes is not what was sent", len(r.body))
		}
		r.accept()
		p.wantAccepted()
	})
}

// The far end may go on though the sender has nothing to say.
func TestTheSendersWindowGrowsByItself(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		body := success + strings.Repeat(" ", 60_000)
		all := sendMany(t, s, 50)
		conn := w.conn()
		for i := range all {
			r := conn.request()
			conn.mu.Lock()
			conn.window -= int64(len(body))
			left := conn.window
			conn.mu.Unlock()
			if left < 0 {
				t.Fatalf("answer %d does not fit: %d bytes are missing", i+1, -left)
			}
			r.answer(200, body)
			synctest.Wait()
		}
		wantAllAccepted(t, all)
	})
}

func TestTheSendersWindowNeverRunsOut(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.sender(nil)
		body := success + strings.Repeat(" ", 60_000)
		var conn *farConn
		for i := range 100 {
			p := send(t, s, toToken())
			if conn == nil {
				conn = w.conn()
			}
			r := conn.request()
			conn.mu.Lock()
			conn.window -= int64(len(body))
			left := conn.window
			conn.mu.Unlock()
			if left < 0 {
				t.Fatalf("answer %d does not fit: %d bytes are missing", i+1, -left)
			}
			if left > 2<<20 {
				t.Fatalf("%d bytes may be sent; want a bound", left)
			}
			r.answer(200, body)
			p.wantAccepted()
			synctest.Wait()
		}
	})
}
