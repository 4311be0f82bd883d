package ccstest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/localca"
)

const buffer = 64 << 10

func pipe(t *testing.T) (near, far *ccstest.Conn) {
	t.Helper()
	a, b := ccstest.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*ccstest.Conn), b.(*ccstest.Conn)
}

func mustWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(c, text); n != len(text) || err != nil {
		t.Fatalf("write of %d bytes = %d, %v", len(text), n, err)
	}
}

func wantRead(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got, err, text)
	}
}

func wantReadError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read = %d, %v; want %v", n, err, want)
	}
}

func wantWriteError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, want) {
		t.Fatalf("write = %d, %v; want %v", n, err, want)
	}
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	netErr, ok := errors.AsType[net.Error](err)
	if !ok || !netErr.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v; want a net.Error that is a timeout and os.ErrDeadlineExceeded", err)
	}
}

func TestBytesArriveInOrderBothWaysAtOnce(t *testing.T) {
	near, far := pipe(t)
	sent := make([]byte, 5*buffer+17)
	rand.Read(sent)
	var all sync.WaitGroup
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		all.Go(func() {
			for rest := sent; len(rest) > 0; {
				n, err := ends[0].Write(rest[:min(len(rest), 7001)])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			ends[0].(*ccstest.Conn).CloseWrite()
		})
		all.Go(func() {
			got, err := io.ReadAll(ends[1])
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("got %d bytes, %v; want the %d that were sent", len(got), err, len(sent))
			}
		})
	}
	all.Wait()
}

func TestAWriterBlocksAtTheBoundUntilTheReaderReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe(t)
		mustWrite(t, near, string(make([]byte, buffer)))
		done := make(chan struct{})
		go func() {
			defer close(done)
			near.Write([]byte("xy"))
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the write past the bound did not block")
		default:
		}
		io.ReadFull(far, make([]byte, 1))
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("room for one byte let two in")
		default:
		}
		io.ReadFull(far, make([]byte, buffer-1))
		<-done
		wantRead(t, far, "xy")
	})
}

func TestWhoeverWritesTwoBatchesFirstDoesNotDeadlock(t *testing.T) {
	near, far := pipe(t)
	batch := string(make([]byte, buffer))
	mustWrite(t, near, batch)
	mustWrite(t, far, batch)
	wantRead(t, far, batch)
	wantRead(t, near, batch)
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe(t)
		const writers, size = 8, 3 * buffer / 2
		for i := range writers {
			go near.Write(bytes.Repeat([]byte{byte('a' + i)}, size))
		}
		seen := map[byte]bool{}
		for range writers {
			block := make([]byte, size)
			for rest := block; len(rest) > 0; rest = rest[256:] {
				// Whoever has something to write waits for the room that this
				// read makes, so each read gives the wrong one a chance.
				synctest.Wait()
				if _, err := io.ReadFull(far, rest[:256]); err != nil {
					t.Fatal(err)
				}
			}
			if n := bytes.Count(block, block[:1]); n != size {
				t.Fatalf("a write of %d × %q was cut after %d bytes of it", size, block[0], n)
			}
			seen[block[0]] = true
		}
		if len(seen) != writers {
			t.Errorf("%d writers were heard; want %d", len(seen), writers)
		}
	})
}

func TestDeadlines(t *testing.T) {
	full := func(t *testing.T, c net.Conn) { mustWrite(t, c, string(make([]byte, buffer))) }
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c net.Conn) error { _, err := c.Write([]byte("x")); return err }
	cases := map[string]struct {
		prepare func(*testing.T, net.Conn)
		set     func(net.Conn, time.Time) error
		do      func(net.Conn) error
	}{
		"a blocked read":                      {nil, net.Conn.SetReadDeadline, read},
		"a blocked read, both deadlines set":  {nil, net.Conn.SetDeadline, read},
		"a blocked write":                     {full, net.Conn.SetWriteDeadline, write},
		"a blocked write, both deadlines set": {full, net.Conn.SetDeadline, write},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, _ := pipe(t)
				if c.prepare != nil {
					c.prepare(t, near)
				}
				start := time.Now()
				c.set(near, start.Add(time.Hour))
				wantTimeout(t, c.do(near))
				if took := time.Since(start); took != time.Hour {
					t.Errorf("woke after %v; want an hour", took)
				}
				wantTimeout(t, c.do(near)) // and stays expired

				// Set while blocked, to a time in the past.
				c.set(near, time.Time{})
				go func() {
					time.Sleep(time.Minute)
					c.set(near, time.Unix(1, 0))
				}()
				start = time.Now()
				wantTimeout(t, c.do(near))
				if took := time.Since(start); took != time.Minute {
					t.Errorf("woke after %v; want a minute", took)
				}

				// Moved while blocked: the first date no longer counts.
				start = time.Now()
				c.set(near, start.Add(time.Minute))
				go func() {
					time.Sleep(30 * time.Second)
					c.set(near, start.Add(time.Hour))
				}()
				wantTimeout(t, c.do(near))
				if took := time.Since(start); took != time.Hour {
					t.Errorf("woke after %v; want an hour", took)
				}
			})
		})
	}
}

func TestAnExpiredReadDeadlineHidesDataUntilItIsLifted(t *testing.T) {
	near, far := pipe(t)
	mustWrite(t, far, "hello")
	near.SetReadDeadline(time.Unix(1, 0))
	_, err := near.Read(make([]byte, 1))
	wantTimeout(t, err)
	near.SetReadDeadline(time.Time{})
	wantRead(t, near, "hello")
}

func TestAReadDeadlineLeavesWritesAlone(t *testing.T) {
	near, far := pipe(t)
	near.SetReadDeadline(time.Unix(1, 0))
	mustWrite(t, near, "hello")
	wantRead(t, far, "hello")
}

func TestAWriteThatTimesOutSaysHowMuchWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe(t)
		near.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := near.Write(make([]byte, buffer+1))
		if n != buffer {
			t.Errorf("taken: %d; want %d", n, buffer)
		}
		wantTimeout(t, err)
		near.SetWriteDeadline(time.Time{})
		io.ReadFull(far, make([]byte, buffer))
		mustWrite(t, near, "on")
		wantRead(t, far, "on")
	})
}

func TestAfterCloseThePeerReadsTheRestThenEOF(t *testing.T) {
	near, far := pipe(t)
	mustWrite(t, near, "last words")
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, far, "last words")
	if _, err := far.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // readers compare with EOF itself
		t.Errorf("read = %v; want io.EOF itself", err)
	}
	wantWriteError(t, far, io.ErrClosedPipe)
	wantWriteError(t, far, syscall.EPIPE)
}

func TestAfterCloseOurOwnCallsFailAsClosed(t *testing.T) {
	near, _ := pipe(t)
	near.Close()
	wantReadError(t, near, net.ErrClosed)
	wantWriteError(t, near, net.ErrClosed)
	for name, err := range map[string]error{
		"Close":            near.Close(),
		"CloseWrite":       near.CloseWrite(),
		"SetDeadline":      near.SetDeadline(time.Now()),
		"SetReadDeadline":  near.SetReadDeadline(time.Now()),
		"SetWriteDeadline": near.SetWriteDeadline(time.Now()),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s = %v; want net.ErrClosed", name, err)
		}
	}
}

func TestBlockedCallsAreWokenBy(t *testing.T) {
	cases := map[string]struct {
		deed        func(near, far *ccstest.Conn)
		read, write error
	}{
		"our own close":    {func(near, _ *ccstest.Conn) { near.Close() }, net.ErrClosed, net.ErrClosed},
		"the peer's close": {func(_, far *ccstest.Conn) { far.Close() }, io.EOF, io.ErrClosedPipe},
		"our own reset":    {func(near, _ *ccstest.Conn) { near.Reset() }, syscall.ECONNRESET, syscall.ECONNRESET},
		"the peer's reset": {func(_, far *ccstest.Conn) { far.Reset() }, syscall.ECONNRESET, syscall.ECONNRESET},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe(t)
				mustWrite(t, near, string(make([]byte, buffer)))
				var all sync.WaitGroup
				all.Go(func() {
					if _, err := near.Read(make([]byte, 1)); !errors.Is(err, c.read) {
						t.Errorf("read = %v; want %v", err, c.read)
					}
				})
				for range 2 { // the second waits for the first one's turn
					all.Go(func() {
						if _, err := near.Write([]byte("x")); !errors.Is(err, c.write) {
							t.Errorf("write = %v; want %v", err, c.write)
						}
					})
				}
				synctest.Wait()
				c.deed(near, far)
				all.Wait()
			})
		})
	}
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	near, far := pipe(t)
	mustWrite(t, near, "question")
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, far, "question")
	wantReadError(t, far, io.EOF)
	mustWrite(t, far, "answer")
	wantRead(t, near, "answer")
	wantWriteError(t, near, syscall.EPIPE)
}

func TestResetLosesWhatWasNotRead(t *testing.T) {
	near, far := pipe(t)
	mustWrite(t, near, "lost")
	mustWrite(t, far, "lost too")
	near.Reset()
	for _, c := range []*ccstest.Conn{near, far} {
		wantReadError(t, c, syscall.ECONNRESET)
		wantWriteError(t, c, syscall.ECONNRESET)
	}
	near.Close()
	wantReadError(t, near, net.ErrClosed)
	wantReadError(t, far, syscall.ECONNRESET)
}

func TestNothingIsReadIntoNothing(t *testing.T) {
	near, far := pipe(t)
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Errorf("read = %d, %v", n, err)
	}
	if n, err := near.Write(nil); n != 0 || err != nil {
		t.Errorf("write = %d, %v", n, err)
	}
	mustWrite(t, near, "x")
	wantRead(t, far, "x")
}

func TestAddressesCanBeCompared(t *testing.T) {
	near, far := pipe(t)
	if near.LocalAddr() != far.RemoteAddr() || near.LocalAddr().Network() != "pipe" || near.RemoteAddr().String() != "pipe" {
		t.Errorf("addresses %v and %v; want pipe", near.LocalAddr(), far.RemoteAddr())
	}
}

// TestEverythingAtOnce has no expectation but that the race detector is silent
// and that all calls return.
func TestEverythingAtOnce(t *testing.T) {
	near, far := pipe(t)
	var all sync.WaitGroup
	for _, c := range []*ccstest.Conn{near, far} {
		for range 4 {
			all.Go(func() {
				for range 200 {
					c.SetDeadline(time.Now().Add(time.Millisecond))
					c.Write(make([]byte, 1000))
					c.Read(make([]byte, 700))
					c.SetReadDeadline(time.Time{})
					c.SetReadDeadline(time.Unix(1, 0))
				}
			})
		}
	}
	all.Wait()
	all.Go(func() { near.Read(make([]byte, 1<<20)) })
	all.Go(func() { far.CloseWrite() })
	all.Go(func() { far.Reset() })
	all.Go(func() { far.Close() })
	all.Go(func() { near.Close() })
	all.Wait()
}

func TestTLSInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := localca.Open("", nil)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.Server(nil)
		if err != nil {
			t.Fatal(err)
		}
		near, far := pipe(t)
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}})
		go func() {
			io.Copy(server, server)
			server.Close()
		}()
		client := tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: "gcm.googleapis.com"})
		text := string(make([]byte, 3*buffer))
		go io.WriteString(client, text)
		wantRead(t, client, text)

		client.SetReadDeadline(time.Now().Add(time.Hour))
		_, err = client.Read(make([]byte, 1))
		wantTimeout(t, err)
		client.SetReadDeadline(time.Time{})
		mustWrite(t, client, "once more")
		wantRead(t, client, "once more")
		client.CloseWrite()
		wantReadError(t, client, io.EOF)
	})
}

func TestListenerHandsOverWhatWasDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ccstest.Listen()
		near, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, near, "hello")
		wantRead(t, far, "hello")

		go func() {
			time.Sleep(time.Second)
			l.Close()
		}()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v; want net.ErrClosed", err)
		}
		if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial = %v; want ECONNREFUSED", err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close = %v; want net.ErrClosed", err)
		}
		mustWrite(t, far, "lives on")
		wantRead(t, near, "lives on")
	})
}

func TestListenerBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ccstest.Listen()
		var queued []net.Conn
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			c, err := l.Dial(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Dial = %v; want the context's end", err)
				}
				break
			}
			if queued = append(queued, c); len(queued) > 10_000 {
				t.Fatal("the backlog has no bound")
			}
		}
		refused := make(chan error)
		go func() {
			_, err := l.Dial(context.Background())
			refused <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-refused; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("blocked Dial = %v; want ECONNREFUSED", err)
		}
		for _, c := range queued {
			wantReadError(t, c, syscall.ECONNRESET)
		}
	})
}

func TestDialWithADeadContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ccstest.Listen().Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial = %v; want context.Canceled", err)
	}
}
