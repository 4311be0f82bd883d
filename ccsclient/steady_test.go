package ccsclient_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

// A traffic is a client that sends steadily to a real server, and a count of
// what became of each message.
type traffic struct {
	t    *testing.T
	srv  *ccsserver.Server
	pool *ccsclient.Pool

	mu       sync.Mutex // guards what follows
	received map[ccs.MessageID]int
	answered map[ccs.MessageID]int
	bad      []error
	upstream map[ccs.MessageID]int
	settled  int
	bound    int
}

// steady sends 200 messages a second for half a minute, each answered after 50
// ms, and ten upstream messages a second come the other way, while trouble
// happens to the server's streams. Nothing may be lost, unanswered, told to
// the caller, or delivered twice.
func steady(t *testing.T, streams int, trouble func(srv *ccsserver.Server)) *traffic {
	t.Helper()
	tr := &traffic{t: t, received: map[ccs.MessageID]int{}, answered: map[ccs.MessageID]int{}, upstream: map[ccs.MessageID]int{}}
	verdict := ccsserver.HandlerFunc(func(r *ccsserver.Request) {
		tr.mu.Lock()
		tr.received[r.Message.MessageID]++
		tr.mu.Unlock()
		time.AfterFunc(50*time.Millisecond, func() { r.Answer(nil, nil) })
	})
	var err error
	tr.srv, err = ccsserver.New(verdict, ccsserver.NewKeys(map[ccs.SenderID][]string{"1234": {serverKey}}), &ccsserver.Options{
		ClearText: true,
		Events: &ccsserver.Events{Bound: func(ccsserver.Stream) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.bound++
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := ccstest.Listen()
	served := make(chan error, 1)
	go func() { served <- tr.srv.Serve(l) }()
	tr.pool, err = ccsclient.NewPool(endpoint, credentials, &ccsclient.Options{
		ClearText: true, Streams: streams,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
		Upstream: func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.upstream[m.MessageID]++
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tr.pool.Run(t.Context()) }()

	const n = 6_000
	var others sync.WaitGroup
	others.Go(func() { trouble(tr.srv) })
	others.Go(func() {
		for i := range n / 20 {
			err := tr.srv.Offer("1234", &ccs.Upstream{From: "device", MessageID: nth(i), Data: map[string]string{"k": "v"}},
				ccsserver.OfferOptions{Done: func(o ccsserver.Outcome) {
					tr.mu.Lock()
					defer tr.mu.Unlock()
					if o == ccsserver.Acked {
						tr.settled++
					}
				}})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	for i := range n {
		err := tr.pool.SendFunc(t.Context(), msg(nth(i)), func(a ccsclient.Answer, err error) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.answered[a.Message.MessageID]++
			if err != nil {
				tr.bad = append(tr.bad, err)
			}
		})
		if err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	others.Wait()
	time.Sleep(40 * time.Second) // every drain is over
	if s := tr.pool.State(); len(s.Streams) != streams || s.Waiting+s.InFlight+s.Resting > 0 {
		t.Errorf("at the end the pool is\n%v", s)
	}
	if err := tr.pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	tr.srv.Close()
	<-served

	for i := range n {
		id := nth(i)
		if got, told := tr.received[id], tr.answered[id]; got != 1 || told != 1 {
			t.Errorf("%s was received %d times and answered %d times", id, got, told)
		}
	}
	for _, err := range tr.bad {
		t.Errorf("the caller was told %v", err)
	}
	for i := range n / 20 {
		if got := tr.upstream[nth(i)]; got != 1 {
			t.Errorf("upstream %s was handled %d times", nth(i), got)
		}
	}
	if tr.settled != n/20 {
		t.Errorf("%d upstream messages were settled, want %d", tr.settled, n/20)
	}
	return tr
}

func TestSteadyTrafficGoesThroughDrainsUnharmed(t *testing.T) {
	for name, c := range map[string]struct {
		streams int
		trouble func(srv *ccsserver.Server)
		bound   int
	}{
		"announced by control": {1, func(srv *ccsserver.Server) {
			time.Sleep(5 * time.Second)
			srv.Drain(ccsserver.DrainOptions{})
		}, 2},
		"announced by nacks only": {1, func(srv *ccsserver.Server) {
			time.Sleep(5 * time.Second)
			srv.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})
		}, 2},
		"overlapping": {1, func(srv *ccsserver.Server) {
			time.Sleep(5 * time.Second)
			for range 3 {
				srv.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: 10 * time.Second}})
				time.Sleep(2 * time.Second)
			}
		}, 4},
		"overlapping, by nacks": {1, func(srv *ccsserver.Server) {
			time.Sleep(5 * time.Second)
			for range 3 {
				srv.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack, Times: ccsserver.DrainTimes{CloseAfter: 10 * time.Second}})
				time.Sleep(2 * time.Second)
			}
		}, 4},
		"of three streams, all at once": {3, func(srv *ccsserver.Server) {
			time.Sleep(5 * time.Second)
			srv.Drain(ccsserver.DrainOptions{})
		}, 6},
		"of three streams, one after the other": {3, func(srv *ccsserver.Server) {
			for range 3 {
				time.Sleep(5 * time.Second)
				srv.Drain(ccsserver.DrainOptions{Streams: []string{srv.Streams()[0].ID}})
			}
		}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, _ *server) {
				if tr := steady(t, c.streams, c.trouble); tr.bound != c.bound {
					t.Errorf("%d streams were bound, want %d", tr.bound, c.bound)
				}
			})
		})
	}
}

// A cut loses answers, so messages leave twice; the server knows their ids.
func TestSteadyTrafficGoesThroughCuts(t *testing.T) {
	for _, streams := range []int{1, 3} {
		t.Run(fmt.Sprint(streams, " streams"), func(t *testing.T) {
			play(t, func(t *testing.T, _ *server) {
				steady(t, streams, func(srv *ccsserver.Server) {
					for range 5 {
						time.Sleep(3 * time.Second)
						srv.Cut([]string{srv.Streams()[0].ID})
					}
				})
			})
		})
	}
}
