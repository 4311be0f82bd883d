package xmpp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/xmpp"
)

// slow is a connection whose writes wait for a permit each, or for their
// deadline.
type slow struct {
	permits chan error // one for each write; closed: all may go

	mu       sync.Mutex
	writes   [][]byte
	deadline time.Time
}

func newSlow() *slow { return &slow{permits: make(chan error)} }

func (s *slow) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *slow) Write(p []byte) (int, error) {
	s.mu.Lock()
	late := time.After(time.Until(s.deadline))
	s.mu.Unlock()
	select {
	case err := <-s.permits:
		if err != nil {
			return 0, err
		}
	case <-late:
		return 0, os.ErrDeadlineExceeded
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func (s *slow) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, w := range s.writes {
		out = append(out, string(w))
	}
	return out
}

// started runs a writer in the bubble of a test.
func started(dst xmpp.Deadliner, opt xmpp.WriterOptions) (*xmpp.Writer, <-chan error) {
	w := xmpp.NewWriter(dst, opt)
	done := make(chan error, 1)
	go func() { done <- w.Run() }()
	return w, done
}

func add(w *xmpp.Writer, s string) error {
	return w.Append(func(dst []byte) []byte { return append(dst, s...) })
}

func wantWrites(t *testing.T, s *slow, want ...string) {
	t.Helper()
	if got := s.got(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("written: %q, want %q", got, want)
	}
}

func TestAWriterCollectsWhileItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		w, done := started(s, xmpp.WriterOptions{})
		add(w, "a")
		synctest.Wait()
		select {
		case s.permits <- nil:
			t.Fatal("something is written without Flush")
		default:
		}
		w.Flush()
		synctest.Wait()
		for _, c := range []string{"b", "c", "d"} {
			add(w, c)
			w.Flush()
		}
		if n := w.Pending(); n != 4 {
			t.Errorf("%d bytes are pending, want 4", n)
		}
		s.permits <- nil
		s.permits <- nil
		synctest.Wait()
		wantWrites(t, s, "a", "bcd")
		if n := w.Pending(); n != 0 {
			t.Errorf("%d bytes are pending, want none", n)
		}
		w.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestMuchPendingLeavesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		close(s.permits)
		w, done := started(s, xmpp.WriterOptions{})
		add(w, string(make([]byte, 32<<10-1)))
		synctest.Wait()
		wantWrites(t, s)
		add(w, "x")
		synctest.Wait()
		if got := s.got(); len(got) != 1 || len(got[0]) != 32<<10 {
			t.Errorf("%d writes", len(got))
		}
		w.Close()
		<-done
	})
}

func TestCloseWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		w, done := started(s, xmpp.WriterOptions{})
		add(w, "a")
		w.Flush()
		synctest.Wait()
		add(w, "b") // without Flush
		w.Close()
		w.Close()
		if err := add(w, "c"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Append behind Close: %v", err)
		}
		s.permits <- nil
		s.permits <- nil
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		wantWrites(t, s, "a", "b")
	})
}

func TestCloseBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		close(s.permits)
		w := xmpp.NewWriter(s, xmpp.WriterOptions{})
		add(w, "a")
		w.Close()
		if err := w.Run(); err != nil {
			t.Error(err)
		}
		wantWrites(t, s, "a")
	})
}

func TestAFullWriterTellsWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		w, done := started(s, xmpp.WriterOptions{MaxPending: 10})
		add(w, "1234567890")
		if w.Full() {
			t.Error("full at MaxPending")
		}
		add(w, "1") // Append does not wait
		if !w.Full() {
			t.Error("not full over MaxPending")
		}
		w.Flush()
		synctest.Wait()
		select {
		case <-w.Room():
			t.Error("room while the write is under way")
		default:
		}
		s.permits <- nil
		<-w.Room()
		if w.Full() {
			t.Error("full although all is written")
		}
		w.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingForRoomEndsWithTheWriter(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		name string
		end  func(w *xmpp.Writer, s *slow)
		then func(s *slow) // what becomes of the write under way
		want error         // of Append
		run  error
	}{
		{"by Close", func(w *xmpp.Writer, s *slow) { w.Close() }, func(s *slow) { s.permits <- nil }, net.ErrClosed, nil},
		{"by Abort", func(w *xmpp.Writer, s *slow) { w.Abort(lost) }, func(s *slow) { s.permits <- nil }, lost, lost},
		{"by Abort without an error", func(w *xmpp.Writer, s *slow) { w.Abort(nil) }, func(s *slow) { s.permits <- nil }, net.ErrClosed, net.ErrClosed},
		{"by Abort, in front of a failing write", func(w *xmpp.Writer, s *slow) { w.Abort(lost) }, func(s *slow) { s.permits <- io.ErrClosedPipe }, lost, lost},
		{"by a failing write", func(w *xmpp.Writer, s *slow) { s.permits <- io.ErrClosedPipe }, func(s *slow) {}, io.ErrClosedPipe, io.ErrClosedPipe},
		{"by a write that is stuck for 30 s", func(w *xmpp.Writer, s *slow) {}, func(s *slow) {}, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlow()
				w, done := started(s, xmpp.WriterOptions{MaxPending: 10})
				begun := time.Now()
				add(w, "12345678901")
				w.Flush()
				synctest.Wait()
				c.end(w, s)
				<-w.Room()
				took := time.Since(begun)
				if stuck := errors.Is(c.want, os.ErrDeadlineExceeded); stuck && took != 30*time.Second || !stuck && took != 0 {
					t.Errorf("there was no room for %v", took)
				}
				c.then(s)
				if err := <-done; !errors.Is(err, c.run) {
					t.Errorf("Run: %v, want %v", err, c.run)
				}
				if err := add(w, "y"); !errors.Is(err, c.want) {
					t.Errorf("Append behind the end: %v, want %v", err, c.want)
				}
				w.Flush()
				w.Close()
				w.Abort(errors.New("later"))
			})
		})
	}
}

func TestAConnectionThatTakesTooLittleEndsTheWriter(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		name string
		dst  xmpp.Deadliner
		want error
	}{
		{"a short write", odd{short: true}, io.ErrShortWrite},
		{"a deadline that cannot be set", odd{err: lost}, lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := xmpp.NewWriter(c.dst, xmpp.WriterOptions{})
			add(w, "a stanza")
			w.Flush()
			if err := w.Run(); !errors.Is(err, c.want) {
				t.Errorf("Run: %v, want %v", err, c.want)
			}
			if err := add(w, "another"); !errors.Is(err, c.want) {
				t.Errorf("Append: %v, want %v", err, c.want)
			}
		})
	}
}

// odd is a connection that breaks the rules.
type odd struct {
	short bool
	err   error
}

func (o odd) SetWriteDeadline(time.Time) error { return o.err }

func (o odd) Write(p []byte) (int, error) {
	if o.short {
		return len(p) - 1, nil
	}
	return len(p), nil
}

func TestAnIdleWriterReleasesItsBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlow()
		close(s.permits)
		w, done := started(s, xmpp.WriterOptions{})
		for range 2 {
			add(w, string(make([]byte, 20<<10)))
			w.Flush()
			synctest.Wait()
		}
		if n := w.Held(); n < 20<<10 {
			t.Errorf("a busy writer gave up its buffers: it holds %d bytes", n)
		}
		time.Sleep(2 * time.Second)
		if n := w.Held(); n > 4<<10 {
			t.Errorf("an idle writer holds %d bytes", n)
		}
		w.Close()
		<-done
	})
}

func TestSeveralMayAppend(t *testing.T) {
	var out bytes.Buffer
	w, done := started(conn{&out}, xmpp.WriterOptions{MaxPending: 100})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				if err := w.Append(func(dst []byte) []byte { return fmt.Appendf(dst, "%d %d\n", i, j) }); err != nil {
					t.Error(err)
				}
				w.Flush()
			}
		})
	}
	wg.Wait()
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var next [8]int
	lines := 0
	for line := range bytes.Lines(out.Bytes()) {
		var i, j int
		if _, err := fmt.Sscanf(string(line), "%d %d\n", &i, &j); err != nil || j != next[i] {
			t.Fatalf("line %q: %v, want number %d", line, err, next[i])
		}
		next[i]++
		lines++
	}
	if lines != 8000 {
		t.Errorf("%d lines", lines)
	}
}

func TestAppendingAllocatesNothing(t *testing.T) {
	w, done := started(discard{}, xmpp.WriterOptions{})
	id := "m-1"
	n := testing.AllocsPerRun(10_000, func() {
		err := w.Append(func(dst []byte) []byte {
			dst = xmpp.AppendUpstreamOpen(dst, id)
			dst = append(dst, `{"a":"b"}`...)
			return append(dst, xmpp.UpstreamClose...)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Flush()
	})
	if n != 0 {
		t.Errorf("%v allocations for each Append", n)
	}
	w.Close()
	<-done
}

// conn is a connection to a buffer.
type conn struct{ io.Writer }

func (conn) SetWriteDeadline(time.Time) error { return nil }
