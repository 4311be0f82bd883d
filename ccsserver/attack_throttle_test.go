package ccsserver_test

import (
	"crypto/tls"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccsserver"
)

// pester opens connections from an address until it is over. On each it says
// what it has to say, and then stays until the server has given it up.
func (srv *server) pester(t *testing.T, addr string, what func(i int) string, over <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond):
		}
		p := newPeer(t, srv.dialNet(t, address{addr: addr}))
		p.try(what(i))
		p.mu.Lock()
		for p.err == nil {
			p.changed.Wait()
		}
		p.unread, p.all = nil, nil
		p.mu.Unlock()
		time.Sleep(2 * time.Second) // half closed, as long as the server bears it
		p.hangUp()
	}
}

func TestR_A18_TheRightKeyIsTakenWhileTheGuessingGoesOn(t *testing.T) {
	guesses := func(i int) string { return header + auth("", sender, fmt.Sprint("guess", i)) }
	for name, tt := range map[string]struct {
		limits ccsserver.ConnectionLimits
		what   func(i int) string
	}{
		"with small limits":       {ccsserver.ConnectionLimits{PerAddress: 3}, guesses},
		"with the default":        {ccsserver.ConnectionLimits{}, guesses},
		"with room for little":    {ccsserver.ConnectionLimits{PerAddress: 3, Unauthenticated: 100}, guesses},
		"and others talk rubbish": {ccsserver.ConnectionLimits{PerAddress: 3}, func(int) string { return header + "<!DOCTYPE x>" }},
		"and others say goodbye":  {ccsserver.ConnectionLimits{PerAddress: 3}, func(int) string { return header + end }},
		"and others say nonsense": {ccsserver.ConnectionLimits{PerAddress: 3}, func(int) string { return header + sasl("X-OAUTH2", "") }},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, &ccsserver.Options{Connections: tt.limits}, func(t *testing.T, srv *server) {
				n := srv.neighbour(t)
				n.beside()
				over := make(chan struct{})
				var attackers sync.WaitGroup
				stop := sync.OnceFunc(func() { close(over); attackers.Wait() })
				t.Cleanup(stop)
				for i := range 20 {
					attackers.Go(func() { srv.pester(t, fmt.Sprintf("192.0.2.66:%d", 1000+i), tt.what, over) })
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
				if len(srv.refused()) < 100 {
					t.Errorf("only %d attempts were refused", len(srv.refused()))
				}
				n.wantUnharmed()
			})
		})
	}
	t.Run("clear text takes no places of TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			forServer, forApp := certified(t)
			srv := newServer(t, &ccsserver.Options{TLS: forServer, Connections: ccsserver.ConnectionLimits{PerAddress: 3}})
			for range 10 {
				p := srv.dialFrom(t, "192.0.2.66:1000")
				p.write(header)
				p.wantClosed(unexpectedMessage)
			}
			p := newPeer(t, tls.Client(srv.dialNet(t, address{addr: "192.0.2.66:2000"}), forApp))
			p.login(sender)
			p.bind()
		})
	})
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
