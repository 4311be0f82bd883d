package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/faultproxy"
)

// A bench is a link with both its peers, in a bubble. When the test is over the
// link must be, with all its goroutines, or the bubble fails.
type bench struct {
	link           *faultproxy.Link
	client, server net.Conn
}

func run(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { runSeeded(t, 1, f) })
}

func runSeeded(t *testing.T, seed uint64, f func(t *testing.T, b *bench)) {
	client, near := ccstest.Pipe()
	far, server := ccstest.Pipe()
	b := &bench{link: faultproxy.NewLink(near, far, seed), client: client, server: server}
	var running sync.WaitGroup
	running.Go(b.link.Run)
	f(t, b)
	client.Close()
	server.Close()
	b.link.Close()
	running.Wait()
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// send writes in the background; the reader finds out what arrives.
func send(c net.Conn, b []byte) {
	go func() { _, _ = c.Write(b) }()
}

func wantEnd(t *testing.T, c net.Conn, want []byte, end error) {
	t.Helper()
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, want) || !errors.Is(err, end) {
		t.Fatalf("read %d bytes and %v, want %d and %v", len(got), err, len(want), end)
	}
}

func TestBytesPassWholeOverABadRoad(t *testing.T) {
	for _, road := range []faultproxy.Road{
		{},
		{Latency: time.Second},
		{Latency: time.Second, Jitter: time.Second},
		{Rate: 10_000},
		{Slice: 7},
		{Latency: 50 * time.Millisecond, Jitter: 20 * time.Millisecond, Rate: 8_000, Slice: 3},
	} {
		t.Run(fmt.Sprintf("%+v", road), func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				want := text(30_000)
				begun := time.Now()
				for i, pair := range [][2]net.Conn{{b.client, b.server}, {b.server, b.client}} {
					b.link.SetRoad(faultproxy.Direction(i), road)
					send(pair[0], want)
				}
				for _, c := range []net.Conn{b.server, b.client} {
					got := make([]byte, len(want))
					if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%v, equal %v", err, bytes.Equal(got, want))
					}
				}
				took := time.Since(begun)
				least := road.Latency
				if road.Rate > 0 {
					least += time.Duration(len(want)) * time.Second / time.Duration(road.Rate) * 99 / 100
				}
				// Chunks are 4 KiB, and each is late by itself at the most.
				if most := least*102/100 + road.Jitter; took < least || took > most {
					t.Errorf("took %v, want %v to %v", took, least, most)
				}
				synctest.Wait() // the last bytes are counted behind their write
				if n := b.link.Passed(faultproxy.ToServer); n != int64(len(want)) {
					t.Errorf("passed %d", n)
				}
			})
		})
	}
}

func TestASliceBoundsEachWrite(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.link.SetRoad(faultproxy.ToServer, faultproxy.Road{Slice: 5, Rate: 1_000_000})
		send(b.client, text(100))
		p := make([]byte, 1000)
		for n := 0; n < 100; {
			k, err := b.server.Read(p)
			if err != nil || k > 5 {
				t.Fatalf("read %d bytes, %v", k, err)
			}
			n += k
		}
	})
}

func TestADeedAtEachByte(t *testing.T) {
	message := text(10)
	for n := range len(message) + 1 {
		t.Run(fmt.Sprintf("cut after %d", n), func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.link.After(faultproxy.ToServer, int64(n), faultproxy.Cut)
				send(b.client, message)
				wantEnd(t, b.server, message[:n], nil)
				wantEnd(t, b.client, nil, nil)
				<-b.link.Done()
			})
		})
		t.Run(fmt.Sprintf("reset after %d", n), func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.link.SetRoad(faultproxy.ToServer, faultproxy.Road{Rate: 1}) // so that each byte is read in time
				b.link.After(faultproxy.ToServer, int64(n), faultproxy.Reset)
				send(b.client, message)
				got, err := io.ReadAll(b.server)
				if !errors.Is(err, syscall.ECONNRESET) || !bytes.HasPrefix(message, got) || len(got) > n || len(got) < n-1 {
					t.Fatalf("read %d bytes, %v", len(got), err)
				}
				wantEnd(t, b.client, nil, syscall.ECONNRESET)
			})
		})
		t.Run(fmt.Sprintf("half-close after %d", n), func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.link.After(faultproxy.ToServer, int64(n), faultproxy.HalfClose)
				send(b.client, message)
				wantEnd(t, b.server, message[:n], nil)
				send(b.server, message)
				got := make([]byte, len(message))
				if _, err := io.ReadFull(b.client, got); err != nil || !bytes.Equal(got, message) {
					t.Fatalf("the other direction: %q, %v", got, err)
				}
			})
		})
		t.Run(fmt.Sprintf("flip of byte %d", n), func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.link.After(faultproxy.ToClient, int64(n), faultproxy.Flip)
				_, _ = b.server.Write(message)
				b.server.Close()
				want := slices.Clone(message)
				if n < len(want) {
					want[n] ^= 1
				}
				wantEnd(t, b.client, want, nil)
			})
		})
	}
}

func TestSilencePassesNothingAndLosesNothing(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.link.After(faultproxy.ToServer, 3, faultproxy.Silence)
		// Two pipes and the link's chunks hold 192 KiB; the rest has to wait.
		message := text(1 << 20)
		var written int
		ended := make(chan struct{})
		go func() { defer close(ended); written, _ = b.client.Write(message) }()
		got := make([]byte, 3)
		if _, err := io.ReadFull(b.server, got); err != nil {
			t.Fatal(err)
		}
		b.server.SetReadDeadline(time.Now().Add(time.Hour))
		if n, err := b.server.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read %d bytes in silence, %v", n, err)
		}
		select {
		case <-ended:
			t.Fatal("a silent link takes a megabyte")
		default:
		}
		send(b.server, []byte("still there"))
		if _, err := io.ReadFull(b.client, make([]byte, 11)); err != nil {
			t.Fatalf("the other direction: %v", err)
		}
		b.server.SetReadDeadline(time.Time{})
		b.link.Silence(faultproxy.ToServer, false)
		rest := make([]byte, len(message)-3)
		if _, err := io.ReadFull(b.server, rest); err != nil || !bytes.Equal(rest, message[3:]) {
			t.Fatalf("after the silence: %v, equal %v", err, bytes.Equal(rest, message[3:]))
		}
		<-ended
		if written != len(message) {
			t.Errorf("wrote %d", written)
		}
	})
}

func TestASilentLinkTellsNobodyOfAnEnd(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.link.Silence(faultproxy.ToServer, true)
		synctest.Wait()
		b.client.Close()
		b.server.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := b.server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the server learned of it: %v", err)
		}
	})
}

func TestOneSideEndsAndTheOtherReadsOn(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		_, _ = io.WriteString(b.client, "last words")
		_ = b.client.(*ccstest.Conn).CloseWrite()
		wantEnd(t, b.server, []byte("last words"), nil)
		_, _ = io.WriteString(b.server, "goodbye")
		b.server.Close()
		wantEnd(t, b.client, []byte("goodbye"), nil)
		<-b.link.Done()
	})
}

func TestAResetPeerResetsTheOther(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.server.(*ccstest.Conn).Reset()
		wantEnd(t, b.client, nil, syscall.ECONNRESET)
	})
}

func TestASeedDecidesAboutJitter(t *testing.T) {
	times := func(seed uint64) (list []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			runSeeded(t, seed, func(t *testing.T, b *bench) {
				b.link.SetRoad(faultproxy.ToServer, faultproxy.Road{Jitter: time.Second})
				for range 10 {
					begun := time.Now()
					send(b.client, []byte("x"))
					if _, err := b.server.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
					list = append(list, time.Since(begun))
				}
			})
		})
		return list
	}
	a, again, other := times(1), times(1), times(3)
	if !slices.Equal(a, again) || slices.Equal(a, other) {
		t.Errorf("seed 1: %v, again: %v; seed 3: %v", a, again, other)
	}
}

func TestAProxyOverTCP(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	back, front := listen(), listen()
	opened := make(chan *faultproxy.Link, 10)
	proxy := faultproxy.New(front, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", back.Addr().String())
	}, &faultproxy.Options{Opened: func(l *faultproxy.Link) { opened <- l }})
	served := make(chan error, 1)
	go func() { served <- proxy.Serve() }()
	connect := func() *bench {
		client, err := net.Dial("tcp", front.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := back.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(); server.Close() })
		return &bench{link: <-opened, client: client, server: server}
	}

	t.Run("a cut", func(t *testing.T) {
		b := connect()
		if got, want := b.link.ServerSide().String(), b.server.RemoteAddr().String(); got != want {
			t.Errorf("the server's peer is %s, and ServerSide says %s", want, got)
		}
		b.link.After(faultproxy.ToServer, 3, faultproxy.Cut)
		_, _ = io.WriteString(b.client, "abc")
		wantEnd(t, b.server, []byte("abc"), nil)
		wantEnd(t, b.client, nil, nil)
	})
	t.Run("a reset", func(t *testing.T) {
		b := connect()
		b.link.After(faultproxy.ToClient, 0, faultproxy.Reset)
		wantEnd(t, b.client, nil, syscall.ECONNRESET)
		wantEnd(t, b.server, nil, syscall.ECONNRESET)
	})
	t.Run("a link that lives when the proxy is closed", func(t *testing.T) {
		b := connect()
		if n := len(proxy.Links()); n == 0 {
			t.Fatal("it is not listed")
		}
		proxy.Close()
		wantEnd(t, b.client, nil, syscall.ECONNRESET)
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve says %v", err)
		}
		if n := len(proxy.Links()); n != 0 {
			t.Errorf("%d links are left", n)
		}
	})
}

func TestAProxyWhoseServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front, back := ccstest.Listen(), ccstest.Listen()
		back.Close()
		proxy := faultproxy.New(front, back.Dial, nil)
		served := make(chan error, 1)
		go func() { served <- proxy.Serve() }()
		client, err := front.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantEnd(t, client, nil, syscall.ECONNRESET)
		client.Close()
		proxy.Close()
		<-served
	})
}

func TestWhoWritesToOneThatIsGoneEndsTheLink(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.server.Close()
		wantEnd(t, b.client, nil, nil)
		send(b.client, []byte("is anybody there"))
		<-b.link.Done()
	})
}
