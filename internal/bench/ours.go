package bench

import (
	"context"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
)

// newPool is a pool as a program makes it: nothing is set but what must be.
func newPool(t task) (*ccsclient.Pool, error) {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return nil, err
	}
	return ccsclient.NewPool(t.Addr, ccsclient.Credentials{SenderID: sender, Key: key},
		&ccsclient.Options{TLS: config, Streams: t.Conns})
}

// playClient is ccsclient at work: a goroutine hands messages over, as many as
// the pool takes.
func playClient(t task) error {
	pool, err := newPool(t)
	if err != nil {
		return err
	}
	f := newFlow(1)
	go func() { f.failed(pool.Run(context.Background())) }()
	go func() { f.failed(produce(pool, &f.acked[0])) }()
	return f.measure(t)
}

// produce hands over one message after the other. Those that are answered are
// used again: what a program does to make its messages is not to be measured.
func produce(pool *ccsclient.Pool, acked *counter) error {
	var mu sync.Mutex
	var free, back []*ccs.Downstream // back is guarded by mu
	var failed error                 // likewise
	done := func(a ccsclient.Answer, err error) {
		acked.Add(1)
		mu.Lock()
		back = append(back, a.Message)
		if err != nil {
			failed = err
		}
		mu.Unlock()
	}
	for made := 0; ; {
		if len(free) == 0 {
			mu.Lock()
			free, back = back, free
			err := failed
			mu.Unlock()
			if err != nil {
				return err
			}
		}
		var m *ccs.Downstream
		if n := len(free); n > 0 {
			m, free = free[n-1], free[:n-1]
		} else {
			m = message(made)
			made++
		}
		if err := pool.SendFunc(context.Background(), m, done); err != nil {
			return err
		}
	}
}

// playProbe sends one message after the other and measures how long each
// answer takes.
func playProbe(t task) error {
	pool, err := newPool(t)
	if err != nil {
		return err
	}
	go func() { _ = pool.Run(context.Background()) }() // its failure shows in Send
	ctx, cancel := context.WithTimeout(context.Background(), t.Time+30*time.Second)
	defer cancel()
	if _, err := pool.Send(ctx, message(0)); err != nil {
		return err
	}
	var took []time.Duration
	for began := time.Now(); time.Since(began) < t.Time; {
		a, err := pool.Send(ctx, message(len(took)+1))
		if err != nil {
			return err
		}
		took = append(took, a.Took)
	}
	slices.Sort(took)
	say(result{Messages: len(took), P99: took[len(took)*99/100].Seconds()})
	return nil
}

// serve is ccsserver with a handler that accepts everything at once, and calls
// answered for it. It lasts as long as the process.
func serve(dir string, answered func()) (srv *ccsserver.Server, addr string, err error) {
	config, err := serverConfig(dir)
	if err != nil {
		return nil, "", err
	}
	srv, err = ccsserver.New(
		ccsserver.HandlerFunc(func(r *ccsserver.Request) {
			r.Answer(nil, nil)
			answered()
		}),
		ccsserver.NewKeys(map[ccs.SenderID][]string{sender: {key}}),
		&ccsserver.Options{
			TLS:         config,
			Connections: ccsserver.ConnectionLimits{PerSender: 2 * maxIdle, Unauthenticated: 2 * maxIdle},
		})
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	go func() { _ = srv.Serve(l) }()
	return srv, l.Addr().String(), nil
}

func playServer(t task) error {
	var answered atomic.Int64
	srv, addr, err := serve(t.Dir, func() { answered.Add(1) })
	if err != nil {
		return err
	}
	say(result{Addr: addr})
	var meter meter
	var before int64
	return obey(func(command string) result {
		switch command {
		case commandMark:
			meter, before = startMeter(), answered.Load()
			return result{}
		case commandRest:
			debug.FreeOSMemory()
			return result{RSS: residentBytes(), Streams: len(srv.Streams())}
		}
		return meter.read(int(answered.Load() - before))
	})
}
