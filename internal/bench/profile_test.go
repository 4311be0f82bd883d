package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// The benchmarks have one end in this process, and the far end in one of its
// own, so that a profile shows the one end alone (docs/benchmarks.md).

// BenchmarkServer is one message at the server: read, checked, handed over and
// acked.
func BenchmarkServer(b *testing.B) {
	dir := b.TempDir()
	var answered, until atomic.Int64
	done := make(chan struct{}, 1)
	_, addr, err := serve(dir, func() {
		if answered.Add(1) == until.Load() {
			done <- struct{}{}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	clients, err := start(b.Context(), task{Role: roleRaw, Dir: dir, Addr: addr, Conns: serverConnections, Time: time.Hour, WarmUp: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer kill(clients)
	if _, err := clients.read(); err != nil { // they are warm
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	// What comes between the two lines counts for nobody: a handful of messages.
	until.Store(answered.Load() + int64(b.N) + slack)
	<-done
	b.StopTimer()
}

// slack is more than can be answered between looking at a counter and setting
// its goal.
const slack = 1000

// BenchmarkClient is one message at the client: handed over, checked, written,
// its ack read and told.
func BenchmarkClient(b *testing.B) {
	dir := b.TempDir()
	far, err := start(b.Context(), task{Role: roleMinimal, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer kill(far)
	ready, err := far.read()
	if err != nil {
		b.Fatal(err)
	}
	pool, err := newPool(task{Dir: dir, Addr: ready.Addr, Conns: 1})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(context.Background()) }()
	ring := make([]*ccs.Downstream, 20_000) // more than one stream's pool takes at a time
	for i := range ring {
		ring[i] = message(i)
	}
	var all sync.WaitGroup
	told := func(_ ccsclient.Answer, err error) {
		if err != nil {
			b.Error(err)
		}
		all.Done()
	}
	if _, err := pool.Send(b.Context(), message(len(ring))); err != nil { // the stream is up
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	all.Add(b.N)
	for i := range b.N {
		if err := pool.SendFunc(context.Background(), ring[i%len(ring)], told); err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
	b.StopTimer()
	pool.Close()
	<-ended
}

// kill ends a child that is in the middle of something.
func kill(c *child) {
	_ = c.cmd.Process.Kill()
	c.end()
}
