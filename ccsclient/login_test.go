package ccsclient_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

const (
	nsStream = "http://etherx.jabber.org/streams"
	nsClient = "jabber:client"
)

// A dialling is a call of Dial under way.
type dialling struct {
	t    *testing.T
	done chan struct{}
	s    *ccsclient.Session
	err  error
}

func (srv *server) dialling(ctx context.Context, cred ccsclient.Credentials, change func(*ccsclient.Options)) *dialling {
	d := &dialling{t: srv.t, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.s, d.err = ccsclient.Dial(ctx, endpoint, cred, srv.options(change))
		if d.s != nil {
			d.s.Close()
			d.s.Run(context.Background())
		}
	}()
	return d
}

// wantIn wants a login that has worked.
func (d *dialling) wantIn() *ccsclient.Session {
	d.t.Helper()
	synctest.Wait()
	select {
	case <-d.done:
	default:
		d.t.Fatal("the login is not through")
	}
	if d.err != nil {
		d.t.Fatal(d.err)
	}
	return d.s
}

// wantOut wants a login that has failed.
func (d *dialling) wantOut(words string) *ccsclient.ConnectError {
	d.t.Helper()
	synctest.Wait()
	select {
	case <-d.done:
	default:
		d.t.Fatal("the login is not over")
	}
	e, ok := errors.AsType[*ccsclient.ConnectError](d.err)
	if !ok || !strings.Contains(e.Error(), words) {
		d.t.Fatalf("%v, want a ConnectError that says %q", d.err, words)
	}
	return e
}

func TestC3_TheHeaderNamesToVersionAndNamespacesAndIsNotClosed(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		d := srv.dialling(t.Context(), credentials, nil)
		st := srv.accept()
		for range 2 {
			h := st.header()
			if h.Name != (xml.Name{Space: nsStream, Local: "stream"}) {
				t.Errorf("the header is %v", h.Name)
			}
			e := element{Attrs: h.Attr}
			if e.attr("to") != "gcm.googleapis.com" || e.attr("version") != "1.0" || e.attr("xmlns") != nsClient || e.attr("stream") != nsStream {
				t.Errorf("the header's attributes are %v", h.Attr)
			}
			// An empty element would have brought its end with it.
			if raw := st.bytes(); !strings.HasSuffix(raw, ">") || strings.HasSuffix(raw, "/>") || strings.Contains(raw, "</stream:stream") {
				t.Errorf("the header is not left open: %s", raw)
			}
			if st.in.Buffered() > 0 {
				t.Error("something was written behind the header without waiting for the features")
			}
			if d.s == nil && !strings.Contains(st.bytes(), "<auth") {
				st.write(serverHeader + loginFeatures)
				st.element()
				st.write(success)
			}
		}
		st.write(serverHeader + bindFeatures)
		st.write(fmt.Sprintf(boundResult, st.element().attr("id")))
		d.wantIn()
	})
}

func TestC4_FeaturesMayComeAtOnceLaterOrInPieces(t *testing.T) {
	for name, write := range map[string]func(st *stream, header, features string){
		"in the same write": func(st *stream, header, features string) { st.write(header + features) },
		"100 ms later": func(st *stream, header, features string) {
			st.write(header)
			time.Sleep(100 * time.Millisecond)
			st.write(features)
		},
		"byte by byte": func(st *stream, header, features string) {
			for _, c := range []byte(header + features) {
				st.write(string(c))
				synctest.Wait()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				d := srv.dialling(t.Context(), credentials, nil)
				st := srv.accept()
				st.header()
				write(st, serverHeader, loginFeatures)
				st.element()
				st.write(success)
				st.header()
				write(st, serverHeader, bindFeatures)
				st.write(fmt.Sprintf(boundResult, st.element().attr("id")))
				d.wantIn()
			})
		})
	}
}

func TestC5_FeaturesMayHaveAnotherPrefix(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		other := func(features string) string {
			return strings.NewReplacer("<stream:features>", `<str:features xmlns:str="`+nsStream+`">`, "</stream:", "</str:").Replace(features)
		}
		d := srv.dialling(t.Context(), credentials, nil)
		srv.accept().login(other(loginFeatures), other(bindFeatures), boundResult)
		d.wantIn()
	})
}

func TestC6_PlainIsFoundWhereverItStands(t *testing.T) {
	mechanisms := func(names ...string) string {
		s := `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl">`
		for _, n := range names {
			s += "<mechanism>" + n + "</mechanism>"
		}
		return s + "</mechanisms></stream:features>"
	}
	for name, features := range map[string]string{
		"last":  mechanisms("X-OAUTH2", "X-GOOGLE-TOKEN", "PLAIN"),
		"first": mechanisms("PLAIN", "X-OAUTH2"),
		"alone": mechanisms("PLAIN"),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				d := srv.dialling(t.Context(), credentials, nil)
				srv.accept().login(features, bindFeatures, boundResult) // which wants PLAIN
				d.wantIn()
			})
		})
	}
	for name, features := range map[string]string{
		"absent":         mechanisms("X-OAUTH2", "SCRAM-SHA-1"),
		"only similar":   mechanisms("XPLAIN", "PLAIN-CLIENTTOKEN"),
		"nothing at all": `<stream:features/>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				d := srv.dialling(t.Context(), credentials, nil)
				st := srv.accept()
				st.header()
				st.write(serverHeader + features)
				if e := d.wantOut("does not offer PLAIN"); e.Stage != ccsclient.StageLogin {
					t.Errorf("the stage is %s", e.Stage)
				}
				if strings.Contains(st.bytes(), "<auth") {
					t.Error("the client logged in by something else")
				}
			})
		})
	}
}

func TestC7_TheCredentialsAreSenderAtDomainAndKey(t *testing.T) {
	for domain, want := range map[string]string{
		"":                   "\x001234@gcm.googleapis.com\x00" + serverKey,
		"fcm.googleapis.com": "\x001234@fcm.googleapis.com\x00" + serverKey,
	} {
		t.Run("domain "+domain, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				cred := credentials
				cred.Domain = domain
				d := srv.dialling(t.Context(), cred, nil)
				st := srv.accept()
				if got := st.auth(loginFeatures); got != want {
					t.Errorf("the client logged in with %q, want %q", got, want)
				}
				st.hangUp()
				d.wantOut("login")
			})
		})
	}
}

func TestC8_BehindSuccessASecondStreamBegins(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		d := srv.dialling(t.Context(), credentials, nil)
		st := srv.accept()
		st.auth(loginFeatures)
		before := len(st.bytes())
		// White space and a declaration are legal in front of a document; a parser
		// of the first stream would refuse the declaration, and another prefix.
		st.write(success + "\n<?xml version='1.0'?>" +
			`<s:stream from="gcm.googleapis.com" id="A89EBEF93CBB12CF" version="1.0" xmlns:s="` + nsStream + `" xmlns="jabber:client">` +
			strings.ReplaceAll(bindFeatures, "stream:", "s:"))
		if h := st.header(); h.Name.Local != "stream" {
			t.Errorf("behind success came %v", h.Name)
		}
		if second := st.bytes()[before:]; !strings.HasPrefix(second, "<stream:stream") && !strings.HasPrefix(second, "<?xml") {
			t.Errorf("the second document begins with %s", second)
		}
		st.write(fmt.Sprintf(boundResult, st.element().attr("id")))
		d.wantIn()
	})
}

func TestC9_RefusedCredentialsWaitForHalfAMinute(t *testing.T) {
	for _, condition := range []string{"not-authorized", "account-disabled", "malformed-request"} {
		t.Run(condition, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				var failures []error
				p := srv.pool(func(o *ccsclient.Options) {
					o.Events.ReconnectFailed = func(err error) { failures = append(failures, err) }
				})
				for n := 1; n <= 4; n++ {
					st := srv.accept()
					st.auth(loginFeatures)
					st.write(`<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><` + condition + `/><text>no</text></failure></stream:stream>`)
					synctest.Wait()
					if len(failures) != n {
						t.Fatalf("%d failures were told of %d", len(failures), n)
					}
					refused, ok := errors.AsType[*ccsclient.CredentialsError](failures[n-1])
					if !ok || refused.SenderID != "1234" || refused.Condition != condition {
						t.Fatalf("%v, want a CredentialsError", failures[n-1])
					}
					if strings.Contains(failures[n-1].Error(), serverKey) {
						t.Error("the error tells the key")
					}
					if p.State().LastError == nil {
						t.Error("the pool's state does not tell why there is no stream")
					}
					// The client has hung up and does not come again too soon.
					if _, err := st.in.ReadByte(); err != io.EOF {
						t.Errorf("%v, want the end of the connection", err)
					}
					srv.wantNoDial(30*time.Second - time.Millisecond)
				}
				srv.bind() // the key was mended
				if err := p.State().LastError; err != nil {
					t.Errorf("the pool's state still tells %v", err)
				}
			})
		})
	}
	t.Run("what is not about the credentials is tried again sooner", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			srv.pool(nil)
			st := srv.accept()
			st.auth(loginFeatures)
			st.write(`<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><temporary-auth-failure/></failure>`)
			began := time.Now()
			srv.bind()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the next attempt came after %v", took)
			}
		})
	})
}

func TestC10_C11_TheJIDIsTheServers(t *testing.T) {
	for name, result := range map[string]string{
		"with neither from nor to": `<iq type="result" id="%s"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>9@else.example/R</jid></bind></iq>`,
		"with both":                `<iq from="gcm.googleapis.com" to="9@else.example/R" type="result" id="%s"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>9@else.example/R</jid></bind></iq>`,
		"another prefix":           `<c:iq xmlns:c="jabber:client" type='result' id='%s'><b:bind xmlns:b="urn:ietf:params:xml:ns:xmpp-bind"><b:jid>9@else.example/R</b:jid></b:bind></c:iq>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				d := srv.dialling(t.Context(), credentials, nil)
				srv.accept().login(loginFeatures, bindFeatures, result)
				if got := d.wantIn().State().JID; got != "9@else.example/R" {
					t.Errorf("the JID is %s", got)
				}
			})
		})
	}
	t.Run("a refusal is an error", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			d := srv.dialling(t.Context(), credentials, nil)
			srv.accept().login(loginFeatures, bindFeatures, `<iq type="error" id="%s"><error type="cancel"/></iq>`)
			d.wantOut("refused to bind")
		})
	})
	t.Run("an answer without JID is an error", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			d := srv.dialling(t.Context(), credentials, nil)
			srv.accept().login(loginFeatures, bindFeatures, `<iq type="result" id="%s"/>`)
			d.wantOut("no JID")
		})
	})
}

// everythingAnnounced offers what a client of CCS must not use.
const everythingAnnounced = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>` +
	`<sm xmlns="urn:xmpp:sm:3"/><ver xmlns="urn:xmpp:features:rosterver"/>` +
	`<compression xmlns="http://jabber.org/features/compress"><method>zlib</method></compression></stream:features>`

func TestC12_C13_C14_AfterBindOnlyTheSessionIsAskedFor(t *testing.T) {
	const asked = true
	session := func(inner string) string {
		return strings.Replace(everythingAnnounced, "</stream:features>", inner+"</stream:features>", 1)
	}
	for name, c := range map[string]struct {
		features string
		session  bool
	}{
		"session announced":  {session(`<session xmlns="urn:ietf:params:xml:ns:xmpp-session"/>`), asked},
		"session optional":   {session(`<session xmlns="urn:ietf:params:xml:ns:xmpp-session"><optional/></session>`), !asked},
		"session not there":  {everythingAnnounced, !asked},
		"nothing but a bind": {`<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></stream:features>`, !asked},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				p := srv.pool(nil)
				st := srv.accept()
				st.login(loginFeatures, c.features, boundResult)
				st.ready()
				if c.session {
					el := st.stanza()
					if el.XMLName.Local != "iq" || el.attr("type") != "set" || el.attr("id") == "" || len(el.Children) != 1 || el.Children[0].XMLName.Space != "urn:ietf:params:xml:ns:xmpp-session" {
						t.Errorf("%s, want the request for a session", el)
					}
				}
				// Nobody waits for the session's result, and nothing else is asked for:
				// no stream management, no compression, no presence, no roster.
				time.Sleep(30 * time.Second)
				st.wantQuiet()
				r := p.send("m-1")
				st.want("m-1")
				st.ack("m-1")
				r.wantAcked()
				for _, word := range []string{"enable", "compress", "presence", "roster", "starttls"} {
					if strings.Contains(st.bytes(), word) {
						t.Errorf("the client wrote %s:\n%s", word, st.bytes())
					}
				}
			})
		})
	}
}

func TestC15_ALoginThatTakesTooLongIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		play  func(st *stream)
		limit time.Duration
		stage ccsclient.Stage
	}{
		"silence from the start": {func(*stream) {}, 0, ccsclient.StageLogin},
		"no features":            {func(st *stream) { st.header(); st.write(serverHeader) }, 0, ccsclient.StageLogin},
		"no answer to auth":      {func(st *stream) { st.auth(loginFeatures) }, 0, ccsclient.StageLogin},
		"no answer to bind":      {func(st *stream) { st.secondHeader(loginFeatures); st.write(bindFeatures) }, 0, ccsclient.StageLogin},
		"spaces for ever": {func(st *stream) {
			st.header()
			for range 100 {
				if _, err := st.conn.Write([]byte(" ")); err != nil {
					break
				}
				time.Sleep(time.Second)
			}
		}, 0, ccsclient.StageLogin},
		"a limit of one's own": {func(*stream) {}, 5 * time.Second, ccsclient.StageLogin},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, srv *server) {
				want := c.limit
				if want == 0 {
					want = 30 * time.Second
				}
				began := time.Now()
				d := srv.dialling(t.Context(), credentials, func(o *ccsclient.Options) { o.LoginTimeout = c.limit })
				st := srv.accept()
				var script sync.WaitGroup
				script.Go(func() { c.play(st) })
				<-d.done
				took := time.Since(began)
				script.Wait()
				if took != want {
					t.Errorf("the login was given up after %v, want %v", took, want)
				}
				if e := d.wantOut("nothing there speaks CCS"); e.Stage != c.stage || !errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("%v, want a timeout of the login", e)
				}
				if _, err := st.conn.Write([]byte(" ")); err == nil {
					t.Error("the socket is still open")
				}
			})
		})
	}
	t.Run("the caller's end counts too", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			ctx, cancel := context.WithCancel(t.Context())
			d := srv.dialling(ctx, credentials, nil)
			srv.accept()
			synctest.Wait()
			cancel()
			if e := d.wantOut("no answer in time"); !errors.Is(e, context.Canceled) {
				t.Errorf("%v does not wrap the context's error", e)
			}
		})
	})
	t.Run("the pool goes on after it", func(t *testing.T) {
		play(t, func(t *testing.T, srv *server) {
			p := srv.pool(nil)
			srv.accept()
			srv.bind()
			if n := len(p.State().Streams); n != 1 {
				t.Errorf("%d streams after the second attempt", n)
			}
		})
	})
}

func TestAControlDuringTheLoginCountsAsDraining(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		p := srv.pool(nil)
		first := srv.accept()
		first.login(loginFeatures, bindFeatures,
			`<message><gcm xmlns="google:mobile:data">{"message_type":"control","control_type":"CONNECTION_DRAINING"}</gcm></message>`+boundResult)
		first.element()
		first.ready()
		second := srv.bind()
		p.send("m-1")
		second.want("m-1")
		first.wantQuiet()
	})
}

func TestAStreamErrorDuringTheLoginIsToldAsItIs(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		d := srv.dialling(t.Context(), credentials, nil)
		st := srv.accept()
		st.header()
		st.write(serverHeader + `<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/><text xmlns="urn:ietf:params:xml:ns:xmpp-streams">too many streams</text></stream:error></stream:stream>`)
		e := d.wantOut("policy-violation: too many streams")
		if se, ok := errors.AsType[*ccs.StreamError](e); !ok || se.Condition != ccs.ConditionPolicyViolation {
			t.Errorf("%v does not wrap the stream error", e)
		}
		if strings.Contains(e.Error(), "wrong port") {
			t.Errorf("%v: who says that speaks CCS", e)
		}
	})
}

func TestCredentialsNeverPrintTheKey(t *testing.T) {
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("in", "cred", credentials, "ptr", &credentials)
	type wrapped struct{ Cred ccsclient.Credentials }
	for _, s := range []string{
		fmt.Sprint(credentials), fmt.Sprintf("%v %+v %#v %s %q", credentials, credentials, credentials, credentials, credentials),
		fmt.Sprintf("%v %+v %#v", &credentials, wrapped{credentials}, wrapped{credentials}), log.String(),
	} {
		if strings.Contains(s, serverKey) || strings.Contains(s, "KEY") {
			t.Errorf("the key is printed: %s", s)
		}
		if !strings.Contains(s, "1234@gcm.googleapis.com") {
			t.Errorf("who logs in is not printed: %s", s)
		}
	}
}

func TestOptionsAreCheckedByName(t *testing.T) {
	for want, c := range map[string]struct {
		endpoint string
		cred     ccsclient.Credentials
		opt      ccsclient.Options
	}{
		`"nowhere" is not host:port`: {"nowhere", credentials, ccsclient.Options{}},
		"Credentials.SenderID":       {endpoint, ccsclient.Credentials{Key: "k"}, ccsclient.Options{}},
		"Credentials.Key":            {endpoint, ccsclient.Credentials{SenderID: "1"}, ccsclient.Options{}},
		"Options.Window is 101":      {endpoint, credentials, ccsclient.Options{Window: 101}},
		"Options.Streams":            {endpoint, credentials, ccsclient.Options{Streams: -1}},
		"Options.MaxWaiting":         {endpoint, credentials, ccsclient.Options{MaxWaiting: -1}},
		"Options.LoginTimeout":       {endpoint, credentials, ccsclient.Options{LoginTimeout: -1}},
		"Options.DrainLimit":         {endpoint, credentials, ccsclient.Options{DrainLimit: -1}},
		"Options.BackoffMax":         {endpoint, credentials, ccsclient.Options{BackoffMax: -1}},
	} {
		if _, err := ccsclient.NewPool(c.endpoint, c.cred, &c.opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
		if _, err := ccsclient.Dial(t.Context(), c.endpoint, c.cred, &c.opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Dial: %v, want an error that says %q", err, want)
		}
	}
}
