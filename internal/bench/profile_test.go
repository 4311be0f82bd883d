package bench

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsend"
	"penstock/internal/app"
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

// BenchmarkSender is one message at the sender of HTTP v1: checked, encoded,
// written, its answer read and told.
func BenchmarkSender(b *testing.B) {
	dir := b.TempDir()
	far, err := start(b.Context(), task{Role: roleV1Far, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer kill(far)
	ready, err := far.read()
	if err != nil {
		b.Fatal(err)
	}
	config, err := clientConfig(dir)
	if err != nil {
		b.Fatal(err)
	}
	sender, err := fcmsend.New(project, fcmsend.Static(accessToken), &fcmsend.Options{Endpoint: "https://" + ready.Addr, TLS: config})
	if err != nil {
		b.Fatal(err)
	}
	defer sender.Close()
	if _, err := sender.Send(b.Context(), request()); err != nil { // a connection is up
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range peerConnections * maxStreams {
		all.Go(func() {
			for r := request(); left.Add(-1) >= 0; {
				if _, err := sender.Send(context.Background(), r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
}

// BenchmarkGateway is one message on its way through all of Penstock, from CCS to
// HTTP v1 and back.
func BenchmarkGateway(b *testing.B) {
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // or it is no data directory
		b.Fatal(err)
	}
	far, err := start(b.Context(), task{Role: roleV1Far, Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer kill(far)
	ready, err := far.read()
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := gatewayConfig(task{Dir: dir, Far: ready.Addr, TokenAddr: ready.TokenAddr})
	if err != nil {
		b.Fatal(err)
	}
	listening := make(chan app.Addresses, 1)
	a, err := app.New(cfg, app.Options{Ready: func(at app.Addresses) { listening <- at }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	at := <-listening
	clients, err := start(b.Context(), task{Role: roleRaw, Dir: dir, Addr: at.CCS[0], Conns: bridgeStreams, Time: time.Hour, WarmUp: 200 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := clients.read(); err != nil { // they are warm
		b.Fatal(err)
	}
	if _, err := far.ask(commandMark); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for {
		r, err := far.ask(commandRead)
		if err != nil {
			b.Fatal(err)
		}
		if r.Messages >= b.N {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	kill(clients)
	cancel()
	<-ended
}
