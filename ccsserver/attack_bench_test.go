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

// BenchmarkGoodStreamBeside measures how long a stream over TLS waits for its
// acks, one message each two milliseconds: alone, then beside each kind of
// attack, five hundred connections a second that come from addresses of which
// limits hold (docs/benchmarks.md). Each pair is measured in one run, since
// machines differ from minute to minute.
//
// The attackers are in the same process, and do their half of each handshake:
// what they take of the processor counts against us.
func BenchmarkGoodStreamBeside(b *testing.B) {
	for _, attack := range []struct {
		name   string
		before int // connections that come at once
		do     func(f *flood, conn net.Conn)
	}{
		{"guesses", 0, func(f *flood, conn net.Conn) {
			f.say(conn, header+auth("", sender, "wrong"))
		}},
		{"garbage", 0, func(f *flood, conn net.Conn) {
			f.say(conn, header+"<message>\xff&lol;</message><!DOCTYPE x>")
		}},
		{"oversized stanzas", 0, func(f *flood, conn net.Conn) {
			f.say(conn, header+"<auth a='"+strings.Repeat("x", 16<<10))
		}},
		{"churn", 0, func(f *flood, conn net.Conn) {
			conn.Close()
		}},
		{"clear text", 0, func(f *flood, conn net.Conn) {
			io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}},
		{"silent connections", 10_000, func(f *flood, conn net.Conn) {
			<-f.over
			conn.Close()
		}},
	} {
		b.Run(attack.name, func(b *testing.B) {
			f := newFlood(b, attack.do)
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
	config *tls.Config
	attack func(f *flood, conn net.Conn)

	over chan struct{}
	all  sync.WaitGroup
	made atomic.Int64
	sent int
}

func newFlood(b *testing.B, attack func(f *flood, conn net.Conn)) *flood {
	b.Helper()
	forServer, forApp := certified(b)
	srv, err := ccsserver.New(ccsserver.HandlerFunc(func(r *ccsserver.Request) { r.Answer(nil, nil) }), everybody, &ccsserver.Options{TLS: forServer})
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
	conn, err := tls.Dial("tcp", tcp.Addr().String(), forApp)
	if err != nil {
		b.Fatal(err)
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

// say does TLS, says its piece, and stays until the server has gone.
func (f *flood) say(conn net.Conn, what string) {
	defer conn.Close()
	secured := tls.Client(conn, f.config)
	if _, err := io.WriteString(secured, what); err != nil {
		return // a limit of the address
	}
	_, _ = io.Copy(io.Discard, secured)
}
