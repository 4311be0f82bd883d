package ccsclient_test

import (
	"encoding/xml"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// muted plays with a server that leaves pings to the test.
func muted(t *testing.T, change func(*ccsclient.Options), f func(t *testing.T, srv *server, p *client, st *stream)) {
	t.Helper()
	play(t, func(t *testing.T, srv *server) {
		srv.mute.Store(true)
		p, st := srv.bound(change)
		f(t, srv, p, st)
	})
}

// wantPing wants a ping, after that long, and returns its id.
func (st *stream) wantPing(after time.Duration) string {
	st.t.Helper()
	began := time.Now()
	el := st.stanza()
	if el.XMLName.Local != "iq" || el.attr("type") != "get" || el.attr("id") == "" || len(el.Children) != 1 || el.Children[0].XMLName != (xml.Name{Space: "urn:xmpp:ping", Local: "ping"}) {
		st.t.Fatalf("%s, want a ping", el)
	}
	if took := time.Since(began); took != after {
		st.t.Fatalf("the ping came after %v, want %v", took, after)
	}
	return el.attr("id")
}

func TestC42_WhiteSpaceIsASignOfLife(t *testing.T) {
	muted(t, nil, func(t *testing.T, _ *server, p *client, st *stream) {
		for range 20 {
			time.Sleep(59 * time.Second)
			st.write(" ")
			st.wantQuiet()
		}
		st.write("\n\t \r\n")
		st.wantPing(time.Minute)
		st.write(" ") // an answer to the ping as good as any
		time.Sleep(59 * time.Second)
		st.wantQuiet()
		// Between stanzas, and in front of one, at any time.
		all := p.sendMany(1, 2)
		st.want(ids(1, 2)...)
		st.write("  \n")
		st.ack("m-1")
		st.write(" ")
		st.ack("m-2")
		st.write(" ")
		all[0].wantAcked()
		all[1].wantAcked()
	})
}

func TestC43_AServersPingIsAnsweredAndOtherQueriesAreRefused(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		_, st := srv.bound(nil)
		for name, c := range map[string]struct{ query, kind, id, to string }{
			"a ping":              {`<iq from="gcm.googleapis.com" to="` + jid + `" id="x&amp;1" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`, "result", "x&1", "gcm.googleapis.com"},
			"a ping from nobody":  {`<iq id="7" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`, "result", "7", ""},
			"with another prefix": {`<iq id="8" type="get"><p:ping xmlns:p="urn:xmpp:ping"></p:ping></iq>`, "result", "8", ""},
			"a version query":     {`<iq from="a" id="9" type="get"><query xmlns="jabber:iq:version"/></iq>`, "error", "9", "a"},
			"a roster push":       {`<iq id="10" type="set"><query xmlns="jabber:iq:roster"/></iq>`, "error", "10", ""},
			"an empty one":        {`<iq id="11" type="get"/>`, "error", "11", ""},
		} {
			st.write(c.query)
			el := st.stanza()
			if el.XMLName != (xml.Name{Space: "jabber:client", Local: "iq"}) || el.attr("type") != c.kind || el.attr("id") != c.id || el.attr("to") != c.to {
				t.Errorf("%s: %s", name, el)
			}
			if c.kind == "error" && (len(el.Children) != 1 || el.Children[0].XMLName.Local != "error" || len(el.Children[0].Children) != 1) {
				t.Errorf("%s: %s has no condition", name, el)
			}
		}
		for _, answer := range []string{`<iq id="12" type="result"/>`, `<iq id="13" type="error"><error/></iq>`, `<iq id="14"/>`} {
			st.write(answer)
			st.wantQuiet()
		}
	})
}

func TestC44_ASilentServerIsPingedThenLeft(t *testing.T) {
	t.Run("when idle after 60 and 15 s", func(t *testing.T) {
		var failed int
		muted(t, func(o *ccsclient.Options) {
			o.Events.PingFailed = func(ccsclient.Stream) { failed++ }
		}, func(t *testing.T, srv *server, _ *client, st *stream) {
			st.wantPing(time.Minute)
			began := time.Now()
			st.wantEnd()
			if took := time.Since(began); took != 15*time.Second {
				t.Errorf("the stream was closed %v behind the ping", took)
			}
			synctest.Wait()
			if failed != 1 {
				t.Errorf("told %d times", failed)
			}
			srv.bind()
		})
	})
	t.Run("with something unanswered after 15 and 15 s", func(t *testing.T) {
		muted(t, nil, func(t *testing.T, srv *server, p *client, st *stream) {
			time.Sleep(40 * time.Second)
			r := p.send("m-1")
			st.want("m-1")
			st.wantPing(15 * time.Second)
			// New messages do not put it off: they are no sign of the server's life.
			time.Sleep(10 * time.Second)
			p.send("m-2")
			st.want("m-2")
			began := time.Now()
			st.wantEnd()
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("the stream was closed after another %v", took)
			}
			second := srv.bind()
			second.want("m-1", "m-2")
			second.ack("m-1")
			r.wantAcked()
		})
	})
	t.Run("also when messages leave all the time", func(t *testing.T) {
		muted(t, nil, func(t *testing.T, srv *server, p *client, st *stream) {
			for i := range 15 {
				p.send(nth(i))
				st.want(string(nth(i)))
				time.Sleep(time.Second)
			}
			st.wantPing(0)
			for i := 15; i < 29; i++ {
				p.send(nth(i))
				st.want(string(nth(i)))
				time.Sleep(time.Second)
			}
			began := time.Now()
			st.wantEnd()
			if took := time.Since(began); took != time.Second {
				t.Errorf("the stream was closed after another %v", took)
			}
			srv.bind().want(ids(0, 28)...)
		})
	})
	t.Run("not because of a message that is long unanswered", func(t *testing.T) {
		muted(t, nil, func(t *testing.T, srv *server, p *client, st *stream) {
			p.send("m-1")
			st.want("m-1")
			for range 100 {
				time.Sleep(14 * time.Second)
				st.write(" ")
			}
			st.wantQuiet()
			srv.wantNoDial(0)
		})
	})
	t.Run("idle again once all is answered", func(t *testing.T) {
		muted(t, nil, func(t *testing.T, _ *server, p *client, st *stream) {
			r := p.send("m-1")
			st.want("m-1")
			time.Sleep(10 * time.Second)
			st.ack("m-1")
			r.wantAcked()
			st.wantPing(time.Minute)
		})
	})
	t.Run("as the options say", func(t *testing.T) {
		muted(t, func(o *ccsclient.Options) {
			o.QuietAfter, o.BusyQuietAfter, o.PingTimeout = 20*time.Second, 5*time.Second, 3*time.Second
		}, func(t *testing.T, _ *server, p *client, st *stream) {
			st.wantPing(20 * time.Second)
			st.write(" ")
			p.send("m-1")
			st.want("m-1")
			st.wantPing(5 * time.Second)
			began := time.Now()
			st.wantEnd()
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("the stream was closed %v behind the ping", took)
			}
		})
	})
	t.Run("and a server that does not read", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			// Nothing reads here: the writer gets stuck, and messages are kept.
			p := srv.pool(nil)
			st := srv.accept()
			st.login(loginFeatures, bindFeatures, boundResult)
			st.element()
			for i := range 60 {
				m := msg(nth(i))
				m.Data = map[string]string{"k": fmt.Sprintf("%04000d", i)}
				if err := p.SendFunc(t.Context(), m, func(ccsclient.Answer, error) {}); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			second := srv.bind()
			if took := time.Since(began); took > 35*time.Second {
				t.Errorf("the next stream came after %v", took)
			}
			second.want(ids(0, 59)...)
		})
	})
}

func TestC45_AnyReplyToThePingIsLife(t *testing.T) {
	for name, reply := range map[string]string{
		"a result":                `<iq type="result" id="%s"/>`,
		"a result with from":      `<iq from="gcm.googleapis.com" to="` + jid + `" type="result" id="%s"/>`,
		"a result with odd from":  `<iq from="somebody.else" type="result" id="%s"/>`,
		"an error":                `<iq type="error" id="%s"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`,
		"an error with from":      `<iq from="gcm.googleapis.com" type="error" id="%s"><error type="cancel"/></iq>`,
		"with another id":         `<iq type="result" id="not-%s"/>`,
		"without id":              `<iq type="result"/>`,
		"any other stanza at all": `<message><gcm xmlns="google:mobile:data">{"message_type":"ack","from":"t","message_id":"x"}</gcm></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			muted(t, nil, func(t *testing.T, srv *server, p *client, st *stream) {
				for range 5 {
					id := st.wantPing(time.Minute)
					time.Sleep(14 * time.Second)
					if name == "without id" || name == "any other stanza at all" {
						st.write(reply)
					} else {
						st.write(fmt.Sprintf(reply, id))
					}
				}
				srv.wantNoDial(0)
				r := p.send("m-1")
				st.want("m-1")
				st.ack("m-1")
				r.wantAcked()
				st.nack("m-1", ccs.CodeBadAck, "x")
			})
		})
	}
}
