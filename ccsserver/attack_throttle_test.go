package ccsserver_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"penstock/ccsserver"
)

// guess fails to log in from an address, again and again, until the test ends:
// each time it holds its connection until the server closes it.
func (srv *server) guess(t *testing.T, addr string, over <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond):
		}
		p := newPeer(t, srv.dialNet(t, address{addr: addr}))
		p.try(header + auth("", sender, fmt.Sprint("guess", i)))
		p.mu.Lock()
		for p.err == nil {
			p.changed.Wait()
		}
		p.unread, p.all = nil, nil
		p.mu.Unlock()
		p.setDeaf(false)
		time.Sleep(2 * time.Second) // half closed, as long as the server bears it
		p.hangUp()
	}
}

func TestR_A18_TheRightKeyIsTakenWhileTheGuessingGoesOn(t *testing.T) {
	for name, limits := range map[string]ccsserver.ConnectionLimits{
		"with small limits":    {PerAddress: 3},
		"with the default":     {},
		"with room for little": {PerAddress: 3, Unauthenticated: 100},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, &ccsserver.Options{Connections: limits}, func(t *testing.T, srv *server) {
				n := srv.neighbour(t)
				n.beside()
				over := make(chan struct{})
				var guessers sync.WaitGroup
				stop := sync.OnceFunc(func() { close(over); guessers.Wait() })
				t.Cleanup(stop)
				for i := range 20 {
					guessers.Go(func() { srv.guess(t, fmt.Sprintf("192.0.2.66:%d", 1000+i), over) })
				}
				for i := range 30 {
					pass(time.Second + time.Duration(i)*37*time.Millisecond) // at every phase of theirs
					p := srv.dialFrom(t, "192.0.2.66:5000")
					start := time.Now()
					p.login(sender)
					p.bind()
					p.write(downstream(fmt.Sprint("m-", i)))
					p.want(acked(fmt.Sprint("m-", i)))
					if took := time.Since(start); took != 0 {
						t.Errorf("logging in took %v", took)
					}
					p.hangUp()
				}
				stop()
				if len(srv.authFailed) < 100 {
					t.Errorf("only %d guesses were made", len(srv.authFailed))
				}
				n.wantUnharmed()
			})
		})
	}
	t.Run("refused connections that stay are as few as others", func(t *testing.T) {
		play(t, &ccsserver.Options{Connections: ccsserver.ConnectionLimits{PerAddress: 3}}, func(t *testing.T, srv *server) {
			answers := map[string]int{}
			var peers []*peer
			for range 10 {
				p := srv.dialFrom(t, "192.0.2.66:1000")
				p.open(featuresLogin)
				p.write(auth("", sender, "wrong"))
				p.wait()
				peers = append(peers, p)
			}
			pass(900 * time.Millisecond)
			for _, p := range peers {
				answers[p.came()]++
				p.skip()
				p.hangUp()
			}
			if answers[failure("not-authorized")]+answers[failure("not-authorized")+end] != 3 || answers[""] != 7 {
				t.Errorf("answered by %v", answers)
			}
			pass(3 * time.Second)
			p := srv.dialFrom(t, "192.0.2.66:1000")
			p.open(featuresLogin)
			p.write(auth("", sender, "wrong"))
			pass(900 * time.Millisecond)
			p.want(failure("not-authorized")) // there is room again
		})
	})
}
