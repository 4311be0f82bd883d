package ccsserver_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccsserver"
	"penstock/internal/localca"
)

// certified returns both ends' TLS settings.
func certified(t testing.TB) (srv, app *tls.Config) {
	t.Helper()
	ca, err := localca.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
}

func TestS1_TLSFromTheFirstByteOnEveryPort(t *testing.T) {
	forServer, forApp := certified(t)
	hand := &onward{}
	srv, err := ccsserver.New(hand, everybody, &ccsserver.Options{TLS: forServer})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go srv.Serve(l)

		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second)) // a test that hangs must end
		p := newPeer(t, tls.Client(conn, forApp))
		p.real = true
		p.login(sender)
		p.bind()
		p.write(downstream("m-1"))
		p.want(acked("m-1"))
		p.write(end)
		p.wantClosed(end)
	}
}

// headers are what programs open their streams with: one of the server's
// domains or a phrase in "to", and all the ways to write it.
var headers = []struct{ program, header, to string }{
	{"the seed, on Smack 4.3.4", `<stream:stream xmlns='jabber:client' to='fcm xmpp client connection server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>`, "fcm xmpp client connection server"},
	{"the seed, behind success", `<stream:stream xmlns='jabber:client' to='fcm xmpp client connection server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='AF8BB607948BF55F' xml:lang='en'>`, "fcm xmpp client connection server"},
	{"the seed, when it reconnects", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>`, "gcm.googleapis.com"},
	{"Smack 4.4", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en-US'>`, "gcm.googleapis.com"},
	{"Smack with a user name in its configuration", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='1234567890@gcm.googleapis.com' xml:lang='en'>`, "gcm.googleapis.com"},
	{"Smack 3.x and 4.0", `<stream:stream to="gcm.googleapis.com" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" version="1.0">`, "gcm.googleapis.com"},
	{"node-xcs", `<?xml version='1.0'?><stream:stream version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="fcm.googleapis.com">`, "fcm.googleapis.com"},
	{"aiofcm", `<?xml version="1.0"?><stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="gcm.googleapis.com" version="1.0">`, "gcm.googleapis.com"},
	{"slixmpp", `<stream:stream to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' xml:lang='en' version='1.0'>`, "gcm.googleapis.com"},
	{"go-gcm", "<?xml version='1.0'?>\n<stream:stream to='gcm.googleapis.com' xmlns='jabber:client'\n xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n", "gcm.googleapis.com"},
	{"a newer fork of go-xmpp", "<?xml version='1.0'?><stream:stream from='1234567890@gcm.googleapis.com' to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n\n", "gcm.googleapis.com"},
	{"mellium", `<?xml version="1.0" encoding="UTF-8"?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='gcm.googleapis.com' from='1234567890@gcm.googleapis.com'>`, "gcm.googleapis.com"},
}

// wantBothStreams opens the first and the second stream with the same header.
func wantBothStreams(t *testing.T, srv *server, header, from string) {
	t.Helper()
	p := srv.dial(t)
	p.write(header)
	p.wantHeader(from)
	p.want(featuresLogin)
	p.write(auth("", sender, key))
	p.want(success)
	p.write(header)
	p.wantHeader(from)
	p.want(featuresBind)
	p.bind()
	p.write(downstream("m-1"))
	p.want(acked("m-1"))
}

func TestS2_TheHeadersOfAllPrograms(t *testing.T) {
	for _, tt := range headers {
		t.Run(tt.program, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				wantBothStreams(t, srv, tt.header, tt.to)
			})
		})
	}
}

func TestS3_HeadersWithAnOddToOrNone(t *testing.T) {
	for name, tt := range map[string]struct{ to, from string }{
		"no to":                    {``, "gcm.googleapis.com"},
		"an empty to":              {` to=''`, "gcm.googleapis.com"},
		"the seed's phrase":        {` to='fcm xmpp client connection server'`, "fcm xmpp client connection server"},
		"a to that needs escaping": {` to='a &amp; &lt;b> "c" &apos;d&apos;'`, "a &amp; &lt;b&gt; &quot;c&quot; &#39;d&#39;"},
		"a to that is no JID":      {` to='@@/'`, "@@/"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				wantBothStreams(t, srv, `<stream:stream`+tt.to+` xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, tt.from)
			})
		})
	}
}

func TestS4_WhiteSpaceAndDeclarationsBeforeBothHeaders(t *testing.T) {
	for name, before := range map[string]string{
		"white space":                  " \t\r\n\n",
		"a declaration":                `<?xml version='1.0' encoding='utf-8' standalone='yes'?>`,
		"both":                         "\n<?xml version='1.0'?>\n \n",
		"a byte order mark, and those": "\ufeff\n<?xml version=\"1.0\"?>",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				wantBothStreams(t, srv, before+header, "gcm.googleapis.com")
			})
		})
	}
	t.Run("a newline behind auth that comes with it, as go-xmpp writes", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth("", sender, key), "\n", "<?xml version='1.0'?>\n", header, "\n", bindIQ)
			p.want(success)
			p.wantHeader("gcm.googleapis.com")
			p.want(featuresBind)
			p.wantMatch(bound)
		})
	})
}

func TestS5_EachStreamHasAHeaderOfItsOwn(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		seen := map[string]bool{}
		for range 3 {
			p := srv.dial(t)
			for _, features := range []string{featuresLogin, featuresBind} {
				p.open(features) // compares from, version and both namespaces
				if seen[p.id] {
					t.Errorf("the stream id %s came twice", p.id)
				}
				seen[p.id] = true
				if features == featuresLogin {
					p.write(auth("", sender, key))
					p.want(success)
				}
			}
		}
	})
}

func TestS6_FeaturesAreRightBehindTheHeader(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		start := time.Now()
		p := srv.dial(t)
		p.open(featuresLogin)
		p.write(auth("", sender, key))
		p.want(success)
		p.open(featuresBind)
		if d := time.Since(start); d != 0 {
			t.Errorf("the features took %v", d)
		}
	})
}

func TestS7_PLAINIsOfferedAndNothingThatClientsStumbleOver(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.dial(t)
		p.write(header)
		p.wantHeader("gcm.googleapis.com")
		first := p.came()
		p.want(featuresLogin)
		p.write(auth("", sender, key))
		p.want(success)
		p.write(header)
		p.wantHeader("gcm.googleapis.com")
		second := p.came()
		p.want(featuresBind)
		if !strings.Contains(first, "<mechanism>PLAIN</mechanism>") {
			t.Errorf("no PLAIN in %s", first)
		}
		for _, word := range []string{"starttls", "compress", "urn:xmpp:sm", "<ver", "rosterver", "<optional"} {
			if strings.Contains(first+second, word) {
				t.Errorf("%s is announced in\n\t%s\n\t%s", word, first, second)
			}
		}
	})
}

func TestS8_NeitherSideWritesADTD(t *testing.T) {
	const dtd = `<!DOCTYPE x [<!ENTITY a "b">]>`
	refused := `<stream:error><restricted-xml xmlns="urn:ietf:params:xml:ns:xmpp-streams"/>`
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.dial(t)
		p.write(dtd)
		p.wantHeader("gcm.googleapis.com")
		p.wantRefusal(refused)

		p = srv.dial(t)
		p.open(featuresLogin)
		p.write(dtd)
		p.wantRefusal(refused)

		p = srv.bind(t)
		p.write(dtd)
		p.wantRefusal(refused)
	})
	// That the server writes no comment, no instruction and no DTD is looked
	// after by the harness, for every byte of every test: see wantSoundXML.
	t.Run("the harness would notice one of the server's", func(t *testing.T) {
		for _, bad := range []string{"<!-- -->", "<?a?>", "<!DOCTYPE x>", `<a id=""/>`, "<a>&</a>"} {
			if why := unsound(`<stream:stream xmlns:stream="x">` + bad); why == "" {
				t.Errorf("%s passes", bad)
			}
		}
	})
}

// wantRefusal checks that a stream error which begins so, with or without a
// text for people, is the stream's end.
func (p *peer) wantRefusal(begin string) {
	p.t.Helper()
	p.wait()
	all := p.came()
	if !strings.HasPrefix(all, begin) || !strings.HasSuffix(all, `</stream:error>`+end) || strings.Count(all, "<stream:error>") != 1 {
		p.t.Fatalf("the server wrote\n\t%q\nwant a stream error that begins\n\t%q", all, begin)
	}
	p.wantClosed(all)
}

func TestS26_BrokenXMLEndsItsOwnStreamAlone(t *testing.T) {
	for name, broken := range map[string]string{
		"a closing tag that fits nothing": `</a>`,
		"bad nesting":                     `<message><gcm></message></gcm>`,
		"an attribute without quotes":     `<message id=1/>`,
		"an attribute twice":              `<message id='1' id='2'/>`,
		"an undeclared prefix":            `<x:message/>`,
		"a bare ampersand in an iq":       `<iq type='get' id='1'><a>&</a></iq>`,
		"text outside of stanzas":         `hello`,
		"a control character":             "<message>\x01</message>",
		"a reference to nothing":          `<message>&#0;</message>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p, other, stranger := srv.bind(t), srv.bind(t), srv.bindAs(t, rival)
				p.write(downstream("m-1"), broken)
				p.wantClosed(acked("m-1"), `<stream:error><invalid-xml xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`)
				other.write(downstream("m-2"))
				other.want(acked("m-2"))
				stranger.write(downstream("m-3"))
				stranger.want(acked("m-3"))
			})
		})
	}
}

func TestS27_PayloadsInEveryDress(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"raw, as the seed writes it":              {`{"data":{"k":"a & b < c"},"to":"T","message_id":"m"}`, "a & b < c"},
		"raw markup":                              {`{"data":{"k":"hello <b>bold</b> <br/>"},"to":"T","message_id":"m"}`, "hello <b>bold</b> <br/>"},
		"raw tags, then closing ones in a string": {`{"data":{"k":"<b></gcm></message>"},"to":"T","message_id":"m"}`, "<b></gcm></message>"},
		"raw with an escaped quote":               {`{"data":{"k":"\"<\" & \\"},"to":"T","message_id":"m"}`, `"<" & \`},
		"proper entities":                         {`{&quot;data&quot;:{&quot;k&quot;:&quot;a &amp; b &lt; c &gt; &apos;&quot;},&quot;to&quot;:&quot;T&quot;,&quot;message_id&quot;:&quot;m&quot;}`, "a & b < c > '"},
		"a raw sender's proper entities":          {`{"data":{"k":"a &amp; b"},"to":"T","message_id":"m"}`, "a & b"},
		"numeric references":                      {`{&#34;data&#34;:{&#34;k&#34;:&#x22;&#x1F600;&#34;},&#34;to&#34;:&#34;T&#34;,&#34;message_id&#34;:&#34;m&#34;}`, "\U0001F600"},
		"CDATA":                                   {`<![CDATA[{"data":{"k":"a & b < c"},"to":"T","message_id":"m"}]]>`, "a & b < c"},
		"CDATA and text":                          {`{"data":{"k":"<![CDATA[a & ]]>b"},"to":"T","message_id":"m"}`, "a & b"},
		"escapes of JSON":                         {`{"data":{"k":"\u0026\u003c\u003e"},"to":"T","message_id":"m"}`, "&<>"},
		"white space around the object":           {"\n {\"data\":{\"k\":\"<\"},\"to\":\"T\",\"message_id\":\"m\"} \n", "<"},
		"characters of two, three and four bytes": {`{"data":{"k":"é€😀<"},"to":"T","message_id":"m"}`, "é€😀<"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza(tt.text), pingIQ)
				p.want(answer(`{"message_type":"ack","from":"T","message_id":"m"}`), p.pong())
				if got := srv.take(t).Message.Data["k"]; got != tt.want {
					t.Errorf("handed on %q, want %q", got, tt.want)
				}
			})
		})
	}
	t.Run("with StrictPayload raw text is broken XML, and the rest is read", func(t *testing.T) {
		play(t, &ccsserver.Options{StrictPayload: true}, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(stanza(`{"data":{"k":"a &amp; b <![CDATA[<]]> &#99;"},"to":"T","message_id":"m"}`))
			p.want(answer(`{"message_type":"ack","from":"T","message_id":"m"}`))
			if got := srv.take(t).Message.Data["k"]; got != "a & b < c" {
				t.Errorf("handed on %q", got)
			}
			p.write(stanza(`{"data":{"k":"a & b"},"to":"T","message_id":"m-2"}`))
			p.wantClosed(`<stream:error><invalid-xml xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`)
			srv.wantHandedOn(t, 1)
		})
	})
}

func TestS29_UTF8CutAnywhereOverTLSRecords(t *testing.T) {
	dialog := stanza(`{"to":"` + token + `","message_id":"m-é€😀","data":{"k":"é€😀"}}`)
	ack := acked("m-é€😀")
	newTLS := func(t *testing.T) (*server, *peer) {
		forServer, forApp := certified(t)
		srv := newServer(t, &ccsserver.Options{TLS: forServer})
		return srv, srv.dialTLS(t, forApp)
	}
	t.Run("in two records, cut at each byte", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p := newTLS(t)
			p.login(sender)
			p.bind()
			for i := 1; i < len(dialog); i++ {
				p.write(dialog[:i])
				p.wantQuiet()
				p.write(dialog[i:])
				p.want(ack)
			}
		})
	})
	t.Run("everything in records of one byte", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, p := newTLS(t)
			bytewise := func(s string) {
				for i := range len(s) {
					p.write(s[i : i+1])
				}
			}
			bytewise("<?xml version='1.0'?>" + header)
			p.wantHeader("gcm.googleapis.com")
			p.want(featuresLogin)
			bytewise(auth("", sender, key))
			p.want(success)
			bytewise("<?xml version='1.0'?>" + header)
			p.wantHeader("gcm.googleapis.com")
			p.want(featuresBind)
			bytewise(bindIQ)
			p.wantMatch(bound)
			bytewise(dialog)
			p.want(ack)
			if got := srv.take(t).Message.Data["k"]; got != "é€😀" {
				t.Errorf("handed on %q", got)
			}
		})
	})
}
