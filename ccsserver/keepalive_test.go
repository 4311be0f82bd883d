package ccsserver_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func (p *peer) ping() string {
	return `<iq from="gcm.googleapis.com" to="` + p.jid + `" type="get" id="ping"><ping xmlns="urn:xmpp:ping"/></iq>`
}

func TestS22_ASpaceIntoLongSilence(t *testing.T) {
	t.Run("each minute without output, and nothing else to a peer that writes", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			for range 5 {
				for range 2 {
					time.Sleep(20 * time.Second)
					p.write(" ")
					p.wantQuiet()
				}
				time.Sleep(20*time.Second - 1)
				p.wantQuiet()
				pass(1)
				p.want(" ")
			}
		})
	})
	t.Run("output of any kind puts it off", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			for i := range 10 {
				time.Sleep(59 * time.Second)
				id := fmt.Sprint("m-", i)
				p.write(downstream(id))
				p.want(acked(id))
			}
			time.Sleep(60*time.Second - 1)
			p.wantQuiet()
			pass(1)
			if got := p.came(); !strings.HasPrefix(got, " ") {
				t.Errorf("a minute later it wrote %q", got)
			}
		})
	})
	t.Run("never inside a stanza", func(t *testing.T) {
		// Half of a large stanza fits into the connection, so that a space
		// that were written for itself would land in the middle.
		play(t, &ccsserver.Options{WriteTimeout: time.Hour}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.deafen()
			p.write(" ")
			for i := range 3 {
				srv.offer(t, &ccs.Upstream{From: token, MessageID: ccs.MessageID(fmt.Sprint("u-", i)), Data: map[string]string{"k": strings.Repeat("x", 50_000)}})
			}
			for range 4 {
				p.write(" ")
				time.Sleep(50 * time.Second)
			}
			p.listen()
			for i := range 3 {
				p.want(toApp(fmt.Sprintf(`{"data":{"k":"%s"},"from":"%s","message_id":"u-%d"}`, strings.Repeat("x", 50_000), token, i)))
			}
			if rest := p.came(); strings.Trim(rest, " ") != "" || rest == "" {
				t.Errorf("behind them came %q, want spaces", rest)
			}
		})
	})
}

func TestS23_DeadPeersAreClosedAndSilentOnesAreNot(t *testing.T) {
	for name, reply := range map[string]string{
		"a result, as Smack":                       `<iq type="result" id="ping"/>`,
		"an error, as node-xcs and aiofcm":         `<iq type="error" id="ping"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`,
		"a space":                                  " ",
		"half of something else":                   "<mess",
		"a result with another id, as go-xmpp's":   `<iq type="result" id="x"/>`,
		"a message that has nothing to do with it": downstream("m-1"),
	} {
		t.Run("who answers pings with "+name+" lives", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				time.Sleep(60*time.Second - 1)
				p.wantQuiet()
				pass(1)
				p.want(" ", p.ping())
				time.Sleep(30*time.Second - 1)
				p.write(reply)
				time.Sleep(59 * time.Second)
				if len(srv.closed()) != 0 {
					t.Fatal("it was closed")
				}
			})
		})
	}
	t.Run("an idle peer that answers lives for a week", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			pings := 0
			for range 7 * 24 * 60 {
				time.Sleep(time.Minute)
				if strings.Contains(p.came(), "urn:xmpp:ping") {
					pings++
					p.write(`<iq type="error" id="ping"/>`)
				}
				p.skip()
			}
			if len(srv.closed()) != 0 || pings < 7*24*30 {
				t.Errorf("closed: %v, after %d pings", srv.closed(), pings)
			}
		})
	})
	t.Run("no byte within half a minute of a ping is the end", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			time.Sleep(60 * time.Second)
			p.want(" ", p.ping())
			time.Sleep(30*time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.wait()
			p.wantGone()
			if c := srv.closed(); len(c) != 1 || c[0].err == nil {
				t.Errorf("closed: %v", c)
			}
		})
	})
	t.Run("a stream that waits for the handler is not called dead", func(t *testing.T) {
		play(t, &ccsserver.Options{Window: 1, AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"), downstream("m-2"))
			for range 10 {
				time.Sleep(time.Minute)
				p.skip()
			}
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-1"))
		})
	})
	t.Run("writes that are stuck for half a minute are the end", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.deafen()
			p.write(" ")
			p.wait()
			go func() {
				for range 1500 { // more pongs than the connection holds
					p.try(pingIQ)
				}
			}()
			time.Sleep(30*time.Second - 1)
			if len(srv.closed()) != 0 {
				t.Fatal("it was closed too early")
			}
			pass(1)
			if c := srv.closed(); len(c) != 1 || c[0].err == nil {
				t.Fatalf("closed: %v", c)
			}
			p.wantGone()
		})
	})
	// The kernel's word for it that the peer's machine lives.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tcp, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	t.Run("who never answers a ping lives as long as TCP does", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dialOver(t, tcp)
			p.login(sender)
			p.bind()
			p.startSession()
			for range 24 * 60 {
				time.Sleep(time.Minute)
				p.skip()
			}
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
		})
	})
	t.Run("but who once did, and then does not, is dead", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dialOver(t, tcp)
			p.login(sender)
			p.bind()
			p.startSession()
			time.Sleep(time.Minute)
			p.want(" ", p.ping())
			p.write(`<iq type="result" id="ping"/>`)
			time.Sleep(time.Minute)
			p.want(" ", p.ping())
			time.Sleep(30 * time.Second)
			if len(srv.closed()) != 1 {
				t.Error("it lives")
			}
		})
	})
}

func TestS24_TheEndOfAStream(t *testing.T) {
	for name, last := range map[string]string{
		"the closing tag":               end,
		"Smack's farewell":              `<presence id='7' type='unavailable'></presence></stream:stream>`,
		"with white space in it":        "</stream:stream \n>",
		"a stream error of its own":     `<stream:error><undefined-condition xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`,
		"messages, and the closing tag": downstream("m-1") + downstream("m-2") + end,
	} {
		t.Run("answered is "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(last)
				if strings.HasPrefix(last, "<message") {
					p.want(acked("m-1"), acked("m-2"))
				}
				p.wantClosed(end)
				c := srv.closed()
				if theirs := strings.Contains(last, "error"); len(c) != 1 || (c[0].err != nil) != theirs {
					t.Errorf("closed: %v", c)
				}
				p.hangUp() // both sides are closed: nothing waits any longer
			})
		})
	}
	t.Run("what was answered before it still leaves", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"))
			srv.take(t).Answer(nil, nil)
			p.write(end)
			p.wantClosed(acked("m-1"), end)
		})
	})
	for name, do := range map[string]func(p *peer){
		"a close":                     func(p *peer) { p.hangUp() },
		"a close inside a stanza":     func(p *peer) { p.write("<message><gcm"); p.wait(); p.hangUp() },
		"a reset":                     func(p *peer) { p.cut() },
		"a reset with answers to go":  func(p *peer) { p.write(downstream("m-1")); p.cut() },
		"a close with answers to go":  func(p *peer) { p.write(downstream("m-1")); p.hangUp() },
		"the end of its writing side": func(p *peer) { p.conn.(interface{ CloseWrite() error }).CloseWrite() },
	} {
		t.Run("survived is "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p, other := srv.bind(t), srv.bind(t)
				do(p)
				if c := srv.closed(); len(c) != 1 {
					t.Fatalf("closed: %v", c)
				}
				if s := srv.Streams(); len(s) != 1 || s[0].ID != other.id {
					t.Errorf("streams: %+v", s)
				}
				other.write(downstream("m-2"))
				other.want(acked("m-2"))
				again := srv.bind(t)
				again.write(downstream("m-3"))
				again.want(acked("m-3"))
			})
		})
	}
	t.Run("before the login, too", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(end)
			p.wantClosed(end)
			p = srv.dial(t)
			p.login(sender)
			p.write(end)
			p.wantClosed(end)
		})
	})
}

func TestS25_TCPClosesSoonBehindTheClosingTag(t *testing.T) {
	for name, do := range map[string]func(srv *server, p *peer){
		"its own closing tag": func(_ *server, p *peer) { p.write(end) },
		"broken XML":          func(_ *server, p *peer) { p.write("</x>") },
		"a drain":             func(srv *server, _ *peer) { settle(); srv.Drain(ccsserver.DrainOptions{}); time.Sleep(time.Second) },
	} {
		t.Run("to a peer that never closes, behind "+name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				do(srv, p)
				if got := p.came(); !strings.HasSuffix(got, end) {
					t.Fatalf("the server wrote %q", got)
				}
				p.skip()
				p.wantClosed() // its own side at once
				for range 4 {
					time.Sleep(time.Second)
					p.try(downstream("m-1")) // which nobody reads
				}
				time.Sleep(time.Second)
				p.wantGone()
				srv.wantHandedOn(t, 0)
			})
		})
	}
	t.Run("behind a refused login", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth("", sender, "wrong"))
			p.want(failure("not-authorized"))
			time.Sleep(500 * time.Millisecond)
			p.wantClosed(end)
			time.Sleep(5 * time.Second)
			p.wantGone()
		})
	})
	t.Run("to a peer that reads nothing", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.deafen()
			p.write(" ")
			p.wait()
			go func() {
				for range 1500 {
					p.try(pingIQ)
				}
				p.try(end)
			}()
			time.Sleep(5 * time.Second)
			p.wantGone()
		})
	})
}

// A stream whose last call has come waits for no room any more: its peer's
// silence counts again.
func TestS23_AfterTheLastCallSilenceCountsAgain(t *testing.T) {
	play(t, &ccsserver.Options{Window: 1, AnswerTimeout: time.Hour}, func(t *testing.T, srv *server) {
		srv.hold()
		p := srv.bind(t)
		p.write(downstream("m-1"), downstream("m-2")) // the reader waits with m-2
		time.Sleep(2 * time.Second)
		srv.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: time.Second, LastCall: 2 * time.Second, Limit: time.Hour}})
		time.Sleep(3 * time.Second) // the last call
		p.want(control, nacked("m-2", "CONNECTION_DRAINING", textDraining))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if came := p.came(); !strings.Contains(came, "urn:xmpp:ping") {
			t.Errorf("no ping after a minute of silence; the server wrote %q", came)
		}
	})
}
