package ccsserver_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ccsserver"
)

// BenchmarkGoodStreamBeside measures how long a stream waits for its acks, one
// message each two milliseconds: alone, then beside each kind of attack, five
// hundred connections a second that come from addresses of which limits hold
// (docs/benchmarks.md). Each pair is measured in one run, since machines differ
// from minute to minute.
//
// The attackers are in the same process, and do their half of each handshake:
// what they take of the processor counts against us. Without TLS, what is left
// is what the server does.
func BenchmarkGoodStreamBeside(b *testing.B) {
	// Made once: the attackers' garbage is not the server's to collect.
	wrong := []byte(header + auth("", sender, "wrong"))
	rubbish := []byte(header + "<message>\xff&lol;</message><!DOCTYPE x>")
	oversized := []byte(header + "<auth a='" + strings.Repeat("x", 16<<10))
	request := []byte("GET / HTTP/1.1\r\n\r\n")
	say := func(what []byte) func(*flood, net.Conn) {
		return func(f *flood, conn net.Conn) { f.say(conn, what) }
	}
	for _, attack := range []struct {
		name   string
		bare   bool // without TLS
		before int  // connections that come at once
		do     func(f *flood, conn net.Conn)
	}{
		{"guesses", false, 0, say(wrong)},
		{"guesses, no TLS", true, 0, say(wrong)},
		{"garbage", false, 0, say(rubbish)},
		{"garbage, no TLS", true, 0, say(rubbish)},
		{"oversized stanzas", false, 0, say(oversized)},
		{"oversized stanzas, no TLS", true, 0, say(oversized)},
		{"churn", false, 0, func(_ *flood, conn net.Conn) { conn.Close() }},
		{"HTTP on the TLS port", false, 0, func(_ *flood, conn net.Conn) {
			defer conn.Close()
			if _, err := conn.Write(request); err == nil {
				_, _ = io.Copy(io.Discard, conn)
			}
		}},
		{"silent connections", false, 10_000, func(f *flood, conn net.Conn) {
			<-f.over
			conn.Close()
		}},
	} {
		b.Run(attack.name, func(b *testing.B) {
			f := newFlood(b, attack.bare, attack.do)
			for b.Loop() {
				alone := f.good(b)
				f.start(attack.before)
				beside := f.good(b)
				f.stop()
				b.ReportMetric(float64(alone.Microseconds()), "µs-p99-alone")
				b.ReportMetric(float64(beside.Microseconds()), "µs-p99-beside")
				b.ReportMetric(float64(beside)/float64(alone), "times")
				b.ReportMetric(float64(f.made.Load()), "attacks")
			}
		})
	}
}

// goodMessages is how many acks make a p99.
const goodMessages = 2000

// A flood is a server over TLS, a good stream over TCP, and attackers whose
// connections are in memory, so that they may have any address.
type flood struct {
	peer   *peer
	ln     *listener
	config *tls.Config // of attackers; nil: no TLS
	attack func(f *flood, conn net.Conn)

	over chan struct{}
	all  sync.WaitGroup
	made atomic.Int64
	sent int
}

func newFlood(b *testing.B, bare bool, attack func(f *flood, conn net.Conn)) *flood {
	b.Helper()
	forServer, forApp := certified(b)
	opt := &ccsserver.Options{TLS: forServer}
	if bare {
		opt = &ccsserver.Options{ClearText: true}
	}
	srv, err := ccsserver.New(ccsserver.HandlerFunc(func(r *ccsserver.Request) { r.Answer(nil, nil) }), everybody, opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Close() })
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	// Attackers do no more than they must.
	cheap := &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
	f := &flood{ln: newListener(), config: cheap, attack: attack}
	go srv.Serve(tcp)
	go srv.Serve(f.ln)
	conn, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	if bare {
		f.config = nil
	} else {
		conn = tls.Client(conn, forApp)
	}
	f.peer = newPeer(b, conn)
	f.peer.real = true
	f.peer.login(rival)
	f.peer.bind()
	return f
}

// good sends messages, each when the one before is acked and a moment is over,
// and returns how long the slowest hundredth waited for their acks.
func (f *flood) good(b *testing.B) time.Duration {
	b.Helper()
	waits := make([]time.Duration, 0, goodMessages)
	for range goodMessages {
		f.sent++
		id := fmt.Sprint("m-", f.sent)
		start := time.Now()
		f.peer.write(downstream(id))
		f.peer.want(acked(id))
		waits = append(waits, time.Since(start))
		f.peer.mu.Lock()
		f.peer.all = nil
		f.peer.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(waits)
	return waits[len(waits)*99/100]
}

// start lets attackers come: so many at once, then one each two milliseconds.
func (f *flood) start(before int) {
	f.over = make(chan struct{})
	f.made.Store(0)
	f.all.Go(func() {
		ticks := time.NewTicker(2 * time.Millisecond)
		defer ticks.Stop()
		for i := 0; ; i++ {
			if i >= before {
				select {
				case <-f.over:
					return
				case <-ticks.C:
				}
			}
			conn, err := f.dial(fmt.Sprintf("192.0.2.%d:%d", i%8, 1000+i%60_000))
			if err != nil {
				f.peer.t.Error(err)
				return
			}
			f.made.Add(1)
			f.all.Go(func() { f.attack(f, conn) })
		}
	})
}

func (f *flood) stop() {
	close(f.over)
	f.all.Wait()
}

// dial is for the one goroutine that does so: addresses are given in order.
func (f *flood) dial(addr string) (net.Conn, error) {
	f.ln.mu.Lock()
	f.ln.from = append(f.ln.from, address{addr: addr})
	f.ln.mu.Unlock()
	return f.ln.Dial(context.Background())
}

// say says its piece, and stays until the server has gone.
func (f *flood) say(conn net.Conn, what []byte) {
	defer conn.Close()
	if f.config != nil {
		conn = tls.Client(conn, f.config)
	}
	if _, err := conn.Write(what); err != nil {
		return // a limit of the address
	}
	_, _ = io.Copy(io.Discard, conn)
}
