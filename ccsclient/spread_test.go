package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

func TestC47_WhenABrokenStreamIsDialledAgain(t *testing.T) {
	const spread = 5 * time.Second
	// ages are a spread of which a test does not see the end: the moment is
	// drawn from all of it, and one of the first minutes is as likely as any.
	const ages = 100 * 365 * 24 * time.Hour
	asDefault := func(o *ccsclient.Options) { o.ReconnectSpread = 0 }
	// lastDial is how long after now the newest dial was.
	lastDial := func(srv *server, now time.Time) time.Duration {
		d := srv.dialled()
		return d[len(d)-1].Sub(now)
	}
	worked := func(p *client, st *stream) {
		r := p.send("m-0")
		st.want("m-0")
		st.ack("m-0")
		r.wantAcked()
	}
	t.Run("at once if a message was unanswered on it", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(asDefault)
			worked(p, st)
			r := p.send("m-1")
			st.want("m-1")
			now := time.Now()
			st.cut()
			st = srv.bind()
			if d := lastDial(srv, now); d != 0 {
				t.Errorf("dialled after %v", d)
			}
			st.want("m-1")
			st.ack("m-1")
			r.wantAcked()
		})
	})
	t.Run("at some time within the spread if nothing waits", func(t *testing.T) {
		var all []time.Duration
		for range 20 {
			play(t, func(t *testing.T, srv *server) {
				p, st := srv.bound(asDefault)
				worked(p, st)
				now := time.Now()
				st.cut()
				time.Sleep(spread)
				all = append(all, lastDial(srv, now))
				srv.bind()
			})
		}
		slices.Sort(all)
		if all[0] < 0 || all[len(all)-1] > spread || all[len(all)-1]-all[0] < spread/4 {
			t.Errorf("dialled after %v, want what is spread over %v", all, spread)
		}
	})
	t.Run("as soon as a message waits", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.ReconnectSpread = ages })
			worked(p, st)
			for i := range 3 { // each time anew
				time.Sleep(time.Second)
				now := time.Now()
				st.cut()
				time.Sleep(time.Second)
				if d := lastDial(srv, now); d >= 0 {
					t.Fatalf("dialled after %v although nothing waits", d)
				}
				r := p.send(nth(i))
				st = srv.bind()
				if d := lastDial(srv, now); d != time.Second {
					t.Errorf("dialled after %v, want when the message was handed over", d)
				}
				st.want(string(nth(i)))
				st.ack(string(nth(i)))
				r.wantAcked()
			}
		})
	})
	t.Run("another stream that has room is as good", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, one := srv.bound(func(o *ccsclient.Options) { o.ReconnectSpread, o.Streams = ages, 2 })
			two := srv.bind()
			a, b := p.send("m-1"), p.send("m-2")
			one.want("m-1")
			two.want("m-2")
			two.ack("m-2")
			b.wantAcked()
			time.Sleep(time.Second)
			now := time.Now()
			one.cut()
			two.want("m-1")
			two.ack("m-1")
			a.wantAcked()
			time.Sleep(time.Minute)
			if d := lastDial(srv, now); d >= 0 {
				t.Errorf("dialled after %v", d)
			}
		})
	})
	t.Run("the pool's end does not wait for it", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p, st := srv.bound(func(o *ccsclient.Options) { o.ReconnectSpread = ages })
			worked(p, st)
			st.cut()
			time.Sleep(time.Minute)
			now := time.Now()
			if err := p.Shutdown(t.Context()); err != nil || !time.Now().Equal(now) {
				t.Errorf("Shutdown took %v and returned %v", time.Since(now), err)
			}
		})
	})
}

// A crowd is a thousand app servers, each with a pool of its own, and the
// server that they share.
type crowd struct {
	t        *testing.T
	srv      *ccsserver.Server
	listener *ccstest.Listener
	pools    []*ccsclient.Pool
	away     atomic.Bool // nobody can connect
	wg       sync.WaitGroup

	mu     sync.Mutex
	dials  []time.Time
	handed map[ccs.MessageID]int
	failed []error
}

func newCrowd(t *testing.T, delay time.Duration) *crowd {
	c := &crowd{t: t, listener: ccstest.Listen(), handed: make(map[ccs.MessageID]int)}
	var err error
	c.srv, err = ccsserver.New(ccsserver.Blocking(t.Context(), func(_ context.Context, _ ccs.SenderID, m *ccs.Downstream) error {
		c.mu.Lock()
		c.handed[m.MessageID]++
		c.mu.Unlock()
		time.Sleep(delay)
		return nil
	}), ccsserver.NewKeys(map[ccs.SenderID][]string{credentials.SenderID: {credentials.Key}}), &ccsserver.Options{
		ClearText: true, Connections: ccsserver.ConnectionLimits{PerSender: 2000, PerAddress: 2000, Burst: 10_000, Rate: 10_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.wg.Go(func() { _ = c.srv.Serve(c.listener) })
	for range 1000 {
		p, err := ccsclient.NewPool(endpoint, credentials, &ccsclient.Options{ClearText: true, Dial: c.dial})
		if err != nil {
			t.Fatal(err)
		}
		c.pools = append(c.pools, p)
		c.wg.Go(func() { _ = p.Run(context.Background()) })
	}
	time.Sleep(10 * time.Second)
	return c
}

func (c *crowd) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c.mu.Lock()
	c.dials = append(c.dials, time.Now())
	c.mu.Unlock()
	if c.away.Load() {
		return nil, errors.New("nobody is there")
	}
	return c.listener.Dial(ctx)
}

// flow sends n messages, one every gap, each by the next pool.
func (c *crowd) flow(n int, gap time.Duration) {
	for i := range n {
		m := &ccs.Downstream{To: "t", MessageID: ccs.MessageID(fmt.Sprint("m-", i))}
		err := c.pools[i*7%len(c.pools)].SendFunc(context.Background(), m, func(_ ccsclient.Answer, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil {
				c.failed = append(c.failed, err)
			}
		})
		if err != nil {
			c.t.Error(err)
		}
		time.Sleep(gap)
	}
}

// cut breaks every stream; for a while nobody gets through.
func (c *crowd) cut(away time.Duration) {
	c.mu.Lock()
	c.dials = nil
	c.mu.Unlock()
	c.away.Store(away > 0)
	c.srv.Cut(nil)
	time.Sleep(away)
	c.away.Store(false)
}

// wantSpread wants few dials in any tenth of a second, all back, and every
// message acked.
func (c *crowd) wantSpread(n int, began time.Time) {
	t := c.t
	for _, p := range c.pools {
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var windows []int
	for _, d := range c.dials {
		w := int(d.Sub(began) / (100 * time.Millisecond))
		for len(windows) <= w {
			windows = append(windows, 0)
		}
		windows[w]++
	}
	slices.Sort(windows)
	p95, most := windows[len(windows)*95/100], windows[len(windows)-1]
	t.Logf("%d dials in %d tenths of a second: %d in 95 of 100, %d at most", len(c.dials), len(windows), p95, most)
	if p95 >= len(c.pools)*5/100 {
		t.Errorf("95 of 100 tenths of a second have up to %d dials, want less than 5 in 100 clients", p95)
	}
	// Five in a hundred tenths of a second are many when the server is away for
	// long: no storm hides in them.
	if most > len(c.pools)/10 {
		t.Errorf("one tenth of a second has %d dials, want no more than 10 in 100 clients", most)
	}
	if len(c.dials) < len(c.pools) || len(c.failed) > 0 || len(c.handed) != n {
		t.Errorf("%d dials, %d of %d messages came, %d were not acked", len(c.dials), len(c.handed), n, len(c.failed))
	}
}

// A thousand clients whose streams all break at once do not all come back at
// once, and lose nothing.
func TestC47_AThousandClientsComeBackSpread(t *testing.T) {
	for name, away := range map[string]time.Duration{
		"to a server that is there":      0,
		"to a server that is away 3 s":   3 * time.Second,
		"to a server that is away 30 s":  30 * time.Second,
		"to a server that is away 5 min": 5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, 50*time.Millisecond)
				const n = 1000
				var flow sync.WaitGroup
				flow.Go(func() { c.flow(n, 20*time.Millisecond) })
				time.Sleep(5 * time.Second)
				began := time.Now()
				c.cut(away)
				flow.Wait()
				time.Sleep(2 * time.Minute)
				c.wantSpread(n, began)
				_ = c.srv.Close()
				c.wg.Wait()
			})
		})
	}
}
