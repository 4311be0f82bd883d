package ccsserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/xmpp"
)

func TestS9_EveryFormOfTheUserName(t *testing.T) {
	for user, domain := range map[string]string{
		sender:                                 "gcm.googleapis.com",
		sender + "@gcm.googleapis.com":         "gcm.googleapis.com",
		sender + "@fcm.googleapis.com":         "fcm.googleapis.com",
		sender + "@gcm-preprod.googleapis.com": "gcm-preprod.googleapis.com",
	} {
		t.Run(user, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bindAs(t, user)
				if want := sender + "@" + domain + "/"; !strings.HasPrefix(p.jid, want) {
					t.Errorf("bound to %s, want %s…", p.jid, want)
				}
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
				if r := srv.take(t); r.Sender != sender {
					t.Errorf("the message is from %s", r.Sender)
				}
				if s := srv.Streams(); len(s) != 1 || s[0].Sender != sender || s[0].JID != p.jid || s[0].ID != p.id {
					t.Errorf("the streams are %+v", s)
				}
			})
		})
	}
}

func TestS10_EveryFormOfTheAuthorizationID(t *testing.T) {
	const full = sender + "@gcm.googleapis.com"
	for name, tt := range map[string]struct{ authzid, user string }{
		"empty":                                 {"", sender},
		"equal to the user":                     {sender, sender},
		"equal to the user with a domain":       {full, full},
		"the user with a domain, as xmpppy has": {full, sender},
		"the user without its domain":           {sender, full},
		"the user at another domain":            {sender + "@fcm.googleapis.com", full},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				p.open(featuresLogin)
				p.write(auth(tt.authzid, tt.user, key))
				p.want(success)
				p.open(featuresBind)
				p.bind()
			})
		})
	}
}

func TestS11_ARefusedLoginEndsTheStreamWithoutHaste(t *testing.T) {
	for name, credentials := range map[string]string{
		"a wrong key":               auth("", sender, "wrong"),
		"the key of another sender": auth("", "1111111111", key),
		"an unknown sender":         auth("", "nobody@gcm.googleapis.com", key),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				p.open(featuresLogin)
				p.write(credentials)
				p.want(failure("not-authorized"))

				// The seed writes on, even messages, if the stream stays open.
				p.write(auth("", sender, key), header, bindIQ, downstream("m-1"))
				time.Sleep(200*time.Millisecond - 1)
				p.wantQuiet()
				time.Sleep(300 * time.Millisecond)
				p.wantQuiet()
				pass(1)
				p.wantClosed(end)
				time.Sleep(1500 * time.Millisecond)
				p.try(downstream("m-2"))
				time.Sleep(500 * time.Millisecond)
				p.wantGone()
				srv.wantHandedOn(t, 0)
				if len(srv.Streams()) != 0 {
					t.Errorf("streams: %+v", srv.Streams())
				}
				if why := srv.refused(); len(why) != 1 {
					t.Errorf("refused: %v", why)
				}
			})
		})
	}
	t.Run("a peer that leaves at once is not waited for", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth("", sender, "wrong"))
			p.want(failure("not-authorized"))
			p.hangUp()
			time.Sleep(500 * time.Millisecond)
			if why := srv.refused(); len(why) != 1 {
				t.Errorf("refused: %v", why)
			}
		})
	})
}

func TestKeys(t *testing.T) {
	k := ccsserver.NewKeys(map[ccs.SenderID][]string{"1": {"a", "b"}, "2": {}})
	for _, tt := range []struct {
		what   string
		sender ccs.SenderID
		key    string
		ok     bool
	}{
		{"the first key", "1", "a", true},
		{"the second key", "1", "b", true},
		{"a key that is none", "1", "c", false},
		{"an empty key", "1", "", false},
		{"a sender without keys", "2", "a", false},
		{"an unknown sender", "3", "a", false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			err := k.Authenticate(t.Context(), tt.sender, tt.key)
			if ok := err == nil; ok != tt.ok || !ok && !errors.Is(err, ccsserver.ErrBadCredentials) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := new(ccsserver.Keys).Authenticate(t.Context(), "1", ""); !errors.Is(err, ccsserver.ErrBadCredentials) {
		t.Errorf("the zero value says %v", err)
	}
}

func TestLoginNobodyCouldJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServerWith(t, nil, accounts(func(context.Context) error { return errors.New("the database is away") }))
		p := srv.dial(t)
		p.open(featuresLogin)
		p.write(auth("", sender, key))
		p.want(failure("temporary-auth-failure"))
		time.Sleep(500 * time.Millisecond)
		p.wantClosed(end)
		if srv.authFailed != nil {
			t.Errorf("the credentials of %v are said to be wrong", srv.authFailed)
		}
	})
}

func TestAPanicOfTheAccountsCostsItsLoginAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acc := &counted{Accounts: everybody}
		srv := newServerWith(t, nil, acc)
		n := srv.neighbour(t)
		n.beside()
		acc.Accounts = accounts(func(context.Context) error { panic("a nil map") })
		p := srv.dial(t)
		p.open(featuresLogin)
		p.write(auth("", sender, key))
		p.wantClosed(streamError("internal-server-error", "", ""))
		p.hangUp()
		why := srv.refused()
		if len(why) != 1 {
			t.Fatalf("refused: %v", why)
		}
		if e, ok := errors.AsType[*xmpp.PanicError](why[0]); !ok || e.Value != "a nil map" || len(e.Stack) == 0 {
			t.Errorf("refused for %v", why)
		}
		n.wantUnharmed()
	})
}

// accounts are accounts that say one thing of everybody.
type accounts func(ctx context.Context) error

func (a accounts) Authenticate(ctx context.Context, _ ccs.SenderID, _ string) error { return a(ctx) }

func TestS15_R_L1_AStreamThatIsNotBoundInTimeIsClosed(t *testing.T) {
	for name, do := range map[string]func(p *peer){
		"one that says nothing":     func(*peer) {},
		"one that only opens":       func(p *peer) { p.open(featuresLogin) },
		"half of a header":          func(p *peer) { p.write(header[:30]) },
		"one that only logs in":     func(p *peer) { p.login(sender) },
		"one with half of its bind": func(p *peer) { p.login(sender); p.write(bindIQ[:30]) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				do(p)
				time.Sleep(30*time.Second - 1)
				p.wantQuiet()
				pass(1)
				p.wait()
				p.wantGone()
				if len(srv.refused()) != 1 {
					t.Errorf("refused: %v", srv.refusals)
				}
			})
		})
	}
	t.Run("one that writes a space each second", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.login(sender)
			for range 30 {
				p.try(" ")
				time.Sleep(time.Second)
			}
			p.wantGone()
		})
	})
	t.Run("one whose accounts do not answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := newServerWith(t, nil, accounts(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth("", sender, key))
			time.Sleep(30*time.Second - 1)
			p.wantQuiet()
			time.Sleep(5 * time.Second) // the refusal may still be said
			p.wait()
			p.wantGone()
		})
	})
	t.Run("TLS and the login together have the same limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			forServer, forApp := certified(t)
			srv := newServer(t, &ccsserver.Options{TLS: forServer})
			conn := srv.dialNet(t, nil)
			time.Sleep(9 * time.Second)
			p := newPeer(t, tls.Client(conn, forApp))
			p.open(featuresLogin)
			time.Sleep(21*time.Second - 1)
			p.wantQuiet()
			pass(1)
			p.wait()
			p.wantGone()
		})
	})
	t.Run("one that is bound has no such limit", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bound(t, sender)
			time.Sleep(59 * time.Second)
			p.wantQuiet()
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
		})
	})
}

func TestS16_TheAnswerToABind(t *testing.T) {
	const result = `><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>`
	for name, tt := range map[string]struct{ user, request, begin, resource string }{
		"with an id":                       {sender, `<iq id='x&amp;1' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`, `<iq type="result" id="x&amp;1"`, ""},
		"without an id, as GIMMM":          {sender, `<iq type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind></iq>`, `<iq type="result"`, ""},
		"with an empty id":                 {sender, `<iq id="" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind></iq>`, `<iq type="result"`, ""},
		"at the user's domain":             {sender + "@fcm.googleapis.com", bindIQ, `<iq type="result" id="b1"`, ""},
		"with to and resource":             {sender, `<iq to="fcm-xmpp.googleapis.com" id="1" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>test</resource></bind></iq>`, `<iq type="result" id="1"`, "test"},
		"with its namespace, as mellium":   {sender, `<iq xmlns="jabber:client" type="set" id="e5"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind></iq>`, `<iq type="result" id="e5"`, ""},
		"with a resource of odd letters":   {sender, `<iq id="1" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>a&lt;&amp;é</resource></bind></iq>`, `<iq type="result" id="1"`, "a&lt;&amp;é"},
		"with a resource that is too long": {sender, `<iq id="1" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>` + strings.Repeat("r", 300) + `</resource></bind></iq>`, `<iq type="result" id="1"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.dial(t)
				p.login(tt.user)
				p.write(tt.request)
				user := tt.user
				if user == sender {
					user += "@gcm.googleapis.com"
				}
				p.want(tt.begin, result, user, "/")
				if tt.resource == "" {
					p.wantMatch(regexp.MustCompile(`^[0-9A-F]{16}`))
				} else {
					p.want(tt.resource)
				}
				p.want(`</jid></bind></iq>`)
				p.wantQuiet()
			})
		})
	}
}

func TestS17_NoTwoStreamsHaveTheSameJID(t *testing.T) {
	for name, resource := range map[string]string{
		"with no wish":              "",
		"with the same wish":        "test",
		"with a wish of wide runes": strings.Repeat("é€", 50),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				seen := map[string]bool{}
				for i := range 20 {
					p := srv.dial(t)
					p.login(sender)
					if resource == "" {
						p.bind()
					} else {
						p.write(`<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>` + resource + `</resource></bind></iq>`)
						p.jid = p.wantMatch(bound)[1]
						if i == 0 && p.jid != sender+"@gcm.googleapis.com/"+resource {
							t.Errorf("the first stream is %s, want its wish", p.jid)
						}
					}
					if seen[p.jid] {
						t.Errorf("%s came twice", p.jid)
					}
					if strings.Contains(p.jid, "\ufffd") {
						t.Errorf("%q has half a character", p.jid)
					}
					seen[p.jid] = true
				}
				if n := len(srv.Streams()); n != 20 {
					t.Errorf("%d streams live, want 20: nobody is closed for a resource", n)
				}
			})
		})
	}
	t.Run("a resource is free again when its stream is gone", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			for range 2 {
				p := srv.dial(t)
				p.login(sender)
				p.write(`<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>test</resource></bind></iq>`)
				p.want(`<iq type="result" id="b1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>`, sender, `@gcm.googleapis.com/test</jid></bind></iq>`)
				p.hangUp()
				p.wait()
			}
		})
	})
}

func TestS18_NothingStandsBetweenBindAndItsResult(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		for _, id := range []string{"m-1", "m-2", "m-3"} {
			srv.offer(t, fromDevice(id))
		}
		srv.offer(t, receiptOf("39"))
		p := srv.dial(t)
		p.login(sender)
		srv.Drain(ccsserver.DrainOptions{})
		p.wantQuiet()
		p.bind() // compares from the first byte on
		srv.offer(t, fromDevice("m-4"))
		srv.Drain(ccsserver.DrainOptions{})
		p.wantQuiet()
	})
}

func TestS19_TheSessionIsAnsweredAndNotNeeded(t *testing.T) {
	for name, tt := range map[string]struct{ request, result string }{
		"Smack's":    {`<iq id='N1Dwf-5' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`, `<iq type="result" id="N1Dwf-5"/>`},
		"with a to":  {`<iq to='gcm.googleapis.com' id='2' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`, `<iq type="result" id="2"/>`},
		"without id": {`<iq type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`, `<iq type="result"/>`},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bound(t, sender)
				p.write(tt.request)
				p.want(tt.result) // at once
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
			})
		})
	}
	t.Run("without a session", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bound(t, sender)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			p.write(end)
			p.wantClosed(end)
		})
	})
}

func TestS20_PresenceAndQueries(t *testing.T) {
	t.Run("presence of any form is passed over", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bound(t, sender)
			for _, presence := range []string{
				`<presence xml:lang='en'><show></show><status></status></presence>`,
				`<presence id="8f" xml:lang="en" />`,
				`<presence/>`,
				`<presence id='7' type='unavailable'></presence>`,
				`<presence type="subscribe" to="x@y" from="z"><priority>1</priority></presence>`,
			} {
				p.write(presence)
				p.wantQuiet()
			}
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
		})
	})
	refusal := func(from, to, id string) string {
		return `<iq` + from + ` to="` + to + `" type="error"` + id + `><error code="501" type="cancel"><feature-not-implemented xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`
	}
	for name, tt := range map[string]struct{ query, from, id string }{
		"a roster":        {`<iq type="get" id="r1"><query xmlns="jabber:iq:roster" /></iq>`, ``, ` id="r1"`},
		"disco":           {`<iq to='gcm.googleapis.com' type='get' id='d1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, ` from="gcm.googleapis.com"`, ` id="d1"`},
		"a vCard":         {`<iq type='get' id='v1'><vCard xmlns='vcard-temp'/></iq>`, ``, ` id="v1"`},
		"a set":           {`<iq type='set' id='s1'><query xmlns='jabber:iq:private'/></iq>`, ``, ` id="s1"`},
		"nothing at all":  {`<iq type='get' id='n1'/>`, ``, ` id="n1"`},
		"one without id":  {`<iq type='get'><query xmlns='jabber:iq:last'/></iq>`, ``, ``},
		"one to a person": {`<iq to='&quot;x&apos;@y' type='get' id='a&lt;b'><query xmlns='jabber:iq:version'/></iq>`, ` from="&quot;x&#39;@y"`, ` id="a&lt;b"`},
	} {
		t.Run(name+" is refused by its id", func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(tt.query)
				p.want(refusal(tt.from, p.jid, tt.id))
				p.write(pingIQ)
				p.want(p.pong())
			})
		})
	}
	t.Run("slixmpp's presence and roster query in one write", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bound(t, sender)
			p.write(`<presence id="8f" xml:lang="en" /><iq type="get" id="r1"><query xmlns="jabber:iq:roster" /></iq>`)
			p.want(refusal("", p.jid, ` id="r1"`))
		})
	})
	t.Run("results and errors are passed over", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(`<iq type='result' id='x'/>`, `<iq type="error" id="ping"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`,
				`<iq type='result' id='y'><ping xmlns='urn:xmpp:ping'/></iq>`, `<iq/>`)
			p.wantQuiet()
		})
	})
}

func TestS21_PongsMirrorTheirPings(t *testing.T) {
	for name, tt := range map[string]struct{ ping, from, id string }{
		"the seed's":  {`<iq to='gcm.googleapis.com' id='N1-9' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, ` from="gcm.googleapis.com"`, "N1-9"},
		"go-gcm's":    {"<iq from='1234567890@gcm.googleapis.com/R' to='fcm-xmpp.googleapis.com' id='c2s1' type='get'>\n<ping xmlns='urn:xmpp:ping'/>\n</iq>", ` from="fcm-xmpp.googleapis.com"`, "c2s1"},
		"aiofcm's":    {`<iq id=":x" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`, ``, ":x"},
		"an empty to": {`<iq id="1" to="" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`, ``, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(tt.ping)
				p.want(`<iq`, tt.from, ` to="`, p.jid, `" type="result" id="`, tt.id, `"/>`)
			})
		})
	}
}
