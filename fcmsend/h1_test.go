package fcmsend_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/ccstest"
)

const plainEndpoint = "http://fcm.example:8080"

// An h1far is a far end that speaks HTTP/1.1 without TLS, connection by
// connection.
type h1far struct {
	*far
	l *ccstest.Listener
}

func playH1(t *testing.T, opt *fcmsend.Options, f func(t *testing.T, w *h1far, s *fcmsend.Sender)) {
	t.Helper()
	play(t, func(t *testing.T, w *far) {
		h := &h1far{w, w.host("fcm.example:8080")}
		if opt == nil {
			opt = &fcmsend.Options{}
		}
		o := *opt
		o.Endpoint = plainEndpoint
		f(t, h, w.sender(&o))
	})
}

// An h1conn is the far end of one connection.
type h1conn struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (w *h1far) conn() *h1conn {
	w.t.Helper()
	nc, err := w.l.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	return &h1conn{w.t, nc, bufio.NewReader(nc)}
}

// request reads a request and its body.
func (c *h1conn) request() (*http.Request, string) {
	c.t.Helper()
	r, err := http.ReadRequest(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, string(body)
}

func (c *h1conn) write(text string) { io.WriteString(c.nc, text) }

func (c *h1conn) accept() {
	c.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(success)) + "\r\n\r\n" + success)
}

func (c *h1conn) wantClosed() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.in.ReadByte(); err != io.EOF {
		c.t.Errorf("read %v; want the connection closed", err)
	}
}

func TestS_01_S_02_OverHTTP1(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		var c *h1conn
		for range 3 {
			p := send(t, s, toToken("k", "v"))
			if c == nil {
				c = w.conn()
			}
			r, body := c.request()
			if r.Method != "POST" || r.RequestURI != sendPath || r.Host != "fcm.example:8080" || r.Header.Get("Authorization") != "Bearer "+accessToken ||
				r.Header.Get("Content-Type") != "application/json" || r.UserAgent() != "penstock" || body != string(toToken("k", "v").Append(nil)) {
				t.Errorf("%s %s of %s, header %v, body %s", r.Method, r.RequestURI, r.Host, r.Header, body)
			}
			c.accept()
			p.wantAccepted()
		}
		if n := len(w.dialled()); n != 1 {
			t.Errorf("%d connections; want 1", n)
		}
		if st := s.State(); st.Connections[0].Protocol != "http/1.1" || st.Connections[0].Limit != 1 {
			t.Errorf("state %+v", st)
		}
	})
}

func TestS_43_HTTP1HasAConnectionForEachCallUpToTheBound(t *testing.T) {
	playH1(t, &fcmsend.Options{MaxConnections: 3}, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		all := sendMany(t, s, 10)
		if n := len(w.dialled()); n != 3 {
			t.Fatalf("%d connections; want 3", n)
		}
		for range 3 {
			go func() {
				c := w.conn()
				for {
					r, err := http.ReadRequest(c.in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					time.Sleep(time.Second)
					c.accept()
				}
			}()
		}
		wantAllAccepted(t, all)
		if n := len(w.dialled()); n != 3 {
			t.Errorf("%d connections; want 3", n)
		}
	})
}

func TestS_43_HTTP1DialsForEachCallWithoutWaitingForTheFirst(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		opt := w.options(&fcmsend.Options{Endpoint: plainEndpoint, MaxConnections: 7})
		dials := dialNowhere(opt)
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		for _, n := range []int32{5, 7} {
			sendMany(t, s, 5)
			if got := dials.Load(); got != n {
				t.Errorf("%d dials, want %d", got, n)
			}
		}
	})
}

func TestHTTP1WhereTLSOffersNothingElse(t *testing.T) {
	for name, alpn := range map[string][]string{"http/1.1": {"http/1.1"}, "no ALPN at all": {}} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				w.alpn = alpn
				s := w.sender(&fcmsend.Options{MaxConnections: 2})
				all := sendMany(t, s, 3)
				first, second := w.conn(), w.conn()
				for _, c := range []*farConn{first, second} {
					(&h1conn{t, c.nc, bufio.NewReader(c.nc)}).accept()
				}
				// Each has one call; the third gets the place of the first.
				for range 2 {
					synctest.Wait()
				}
				for _, c := range []*farConn{first, second} {
					(&h1conn{t, c.nc, nil}).accept()
				}
				wantAllAccepted(t, all)
			})
		})
	}
}

func TestHTTP1BehindTLSIsDialledForAllThatWait(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.alpn = []string{"http/1.1"}
		opt := w.options(&fcmsend.Options{MaxConnections: 10})
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			time.Sleep(time.Second)
			return w.dial(ctx, network, address)
		}
		s, err := fcmsend.New(project, fcmsend.Static(accessToken), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		all := sendMany(t, s, 10)
		for range 10 {
			c := w.conn()
			h := &h1conn{t, c.nc, bufio.NewReader(c.nc)}
			go func() {
				h.request()
				time.Sleep(time.Minute / 10)
				h.accept()
			}()
		}
		wantAllAccepted(t, all)
		for _, p := range all {
			if p.took > 8*time.Second {
				t.Errorf("took %v; want a second to learn the protocol, one to dial, six for the answer", p.took)
			}
		}
	})
}

func TestHTTP1Answers(t *testing.T) {
	cases := []struct {
		name    string
		answer  string
		closes  bool // the far end closes after it
		class   fcm.Class
		unknown bool
		last    bool // the connection is not used again
	}{
		{"S-09 R-F19 a page", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", false, fcm.Unavailable, true, false},
		{"S-09 cut short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", true, fcm.Unavailable, true, true},
		{"S-09 without a body", "HTTP/1.1 204 No Content\r\n\r\n", false, fcm.Unavailable, true, false},
		{"R-F11 cut in front", "", true, fcm.Unavailable, true, true},
		{"R-F11 cut in the header", "HTTP/1.1 200 OK\r\nContent-", true, fcm.Unavailable, true, true},
		{"R-A65 no HTTP", "SSH-2.0-canary\r\n\r\n", false, fcm.Unavailable, true, true},
		{"R-A65 a body without end", "HTTP/1.1 200 OK\r\n\r\n{" + strings.Repeat(" ", 70<<10), false, fcm.Unavailable, true, true},
		{"R-A65 a body of known length that is too long", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 64<<10+1), false, fcm.Unavailable, true, true},
		{"R-A65 a header without end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("canary", 30<<10), false, fcm.Unavailable, true, true},
		{"R-A65 a redirect", "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n", false, fcm.Configuration, false, false},
		{"R-A65 another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", false, fcm.Unavailable, false, true},
		{"S-19 a dead token", "HTTP/1.1 404 Not Found\r\nContent-Length: 168\r\n\r\n" + fmt.Sprintf("%-168s", errorBody(404, "NOT_FOUND", "x", fcmError("UNREGISTERED"))), false, fcm.Unregistered, false, false},
		{"S-19 S-20 404 cut short", "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{\"error\":", true, fcm.Unavailable, false, true},
		{"S-33 503, and the end", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nConnection: close\r\n\r\n", true, fcm.Unavailable, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request()
				go func() {
					conn.write(c.answer)
					if c.closes {
						conn.nc.Close()
					}
				}()
				e := p.wantError(c.class, c.unknown)
				if strings.Contains(e.Error(), "canary") || p.took != 0 {
					t.Errorf("after %v: %.300v", p.took, e)
				}
				if strings.HasSuffix(c.name, "header without end") && !strings.Contains(e.Error(), "longer than") {
					t.Errorf("error %v; want it to name the bound", e)
				}
				if strings.Contains(c.answer, "Retry-After") && e.RetryAfter != 7*time.Second {
					t.Errorf("RetryAfter %v", e.RetryAfter)
				}
				if c.last && !c.closes {
					conn.wantClosed()
				}
				synctest.Wait()
				p = send(t, s, toToken())
				if c.last {
					conn = w.conn()
				}
				conn.request()
				conn.accept()
				p.wantAccepted()
			})
		})
	}
}

func TestHTTP1GoodAnswersInOtherForms(t *testing.T) {
	for name, answer := range map[string]string{
		"in chunks":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(success)-2, success[2:]),
		"after an interim":       "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: " + itoa(len(success)) + "\r\n\r\n" + success,
		"of the older kind":      "HTTP/1.0 200 OK\r\nContent-Length: " + itoa(len(success)) + "\r\n\r\n" + success,
		"with Connection: close": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + itoa(len(success)) + "\r\n\r\n" + success,
	} {
		t.Run(name, func(t *testing.T) {
			playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request()
				conn.write(answer)
				p.wantAccepted()
				synctest.Wait()
				p = send(t, s, toToken())
				if strings.Contains(answer, "HTTP/1.0") || strings.Contains(answer, "close") {
					conn.wantClosed()
					conn = w.conn()
				}
				conn.request()
				conn.accept()
				p.wantAccepted()
			})
		})
	}
}

func TestS_48_HTTP1IdleConnectionsEndWithoutAnError(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		for range 3 {
			p := send(t, s, toToken())
			conn := w.conn()
			conn.request()
			conn.accept()
			p.wantAccepted()
			conn.nc.Close()
			synctest.Wait()
		}
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		conn.accept()
		p.wantAccepted()
		synctest.Wait()
		conn.write("HTTP/1.1 408 Request Timeout\r\n\r\n") // unasked
		conn.wantClosed()
		p = send(t, s, toToken())
		conn = w.conn()
		conn.request()
		conn.accept()
		p.wantAccepted()
		time.Sleep(180 * time.Second)
		conn.wantClosed() // by us
	})
}

func TestS_51_HTTP1IsGivenTenSeconds(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request()
		p.wantError(fcm.Unavailable, true)
		if p.took != 10*time.Second {
			t.Errorf("given up after %v", p.took)
		}
		conn.wantClosed() // a late answer would be taken for the next one's
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p = sendWith(ctx, t, s, toToken())
		conn = w.conn()
		conn.request()
		p.wantError(fcm.Unavailable, true)
		if p.took != time.Second {
			t.Errorf("left after %v", p.took)
		}
	})
}

func TestHTTP1WhatTheSocketHasNotTakenIsSentElsewhere(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		big := toToken("k", strings.Repeat("v", 100_000)) // more than a pipe holds
		p := send(t, s, big)
		conn := w.conn()
		synctest.Wait()
		conn.nc.(*ccstest.Conn).Reset()
		conn = w.conn()
		if _, body := conn.request(); body != string(big.Append(nil)) {
			t.Errorf("body of %d bytes", len(body))
		}
		conn.accept()
		p.wantAccepted()
		// Whoever leaves meanwhile does not wait for the socket.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p = sendWith(ctx, t, s, big)
		p.wait()
		if p.took != time.Second || p.err == nil {
			t.Errorf("%v after %v", p.err, p.took)
		}
	})
}

// What the far end has said goodbye on takes nothing new, however fast that is
// there.
func TestHTTP1AConnectionOfTheLastAnswerIsNotWrittenTo(t *testing.T) {
	playH1(t, &fcmsend.Options{MaxConnections: 1}, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		go func() {
			for {
				nc, err := w.l.Accept()
				if err != nil {
					return
				}
				conn := &h1conn{t, nc, bufio.NewReader(nc)}
				if _, err := http.ReadRequest(conn.in); err == nil {
					conn.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + itoa(len(success)) + "\r\n\r\n" + success)
				}
			}
		}()
		wantAllAccepted(t, sendMany(t, s, 200))
	})
}

func TestHTTP1ConnectionsOnWhichNothingIsAnsweredAreRare(t *testing.T) {
	playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
		for range 4 {
			p := send(t, s, toToken())
			w.conn().request()
			p.wantError(fcm.Unavailable, true)
		}
		p := send(t, s, toToken())
		if err := p.wantError(fcm.Unavailable, false); p.took != 0 || !strings.Contains(err.Error(), "before anything is answered") {
			t.Errorf("told after %v: %v", p.took, err)
		}
	})
}

// Nobody is to blame for callers who leave.
func TestHTTP1CallersWhoLeaveHoldNobody(t *testing.T) {
	for name, leave := range map[string]error{"they are told to": nil, "for a cause of their own": errors.New("enough")} {
		t.Run(name, func(t *testing.T) {
			playH1(t, nil, func(t *testing.T, w *h1far, s *fcmsend.Sender) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var all []*sending
				for range 20 {
					all = append(all, sendWith(ctx, t, s, toToken()))
					w.conn().request()
				}
				cancel(leave)
				for _, p := range all {
					if err := p.wantError(fcm.Unavailable, true); !errors.Is(err, context.Cause(ctx)) {
						t.Errorf("error %v", err)
					}
				}
				p := send(t, s, toToken())
				p.wantPending()
				conn := w.conn()
				conn.request()
				conn.accept()
				p.wantAccepted()
				if st := s.State(); p.took != 0 || st.DialErr != nil {
					t.Errorf("took %v, %v", p.took, st.DialErr)
				}
			})
		})
	}
}

func TestProxies(t *testing.T) {
	const secret = "canary-proxy-password"
	user := url.UserPassword("u", secret)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+secret))
	connect := func(t *testing.T, nc net.Conn, answer string) {
		t.Helper()
		in := bufio.NewReader(nc)
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Error(err)
			return
		}
		if r.Method != "CONNECT" || r.RequestURI != "fcm.googleapis.com:443" || r.Host != "fcm.googleapis.com:443" || r.Header.Get("Proxy-Authorization") != want {
			t.Errorf("%s %s, header %v", r.Method, r.RequestURI, r.Header)
		}
		io.WriteString(nc, answer)
	}
	t.Run("a way through", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			proxy := w.host("proxy.example:3128")
			s := w.sender(&fcmsend.Options{Proxy: &url.URL{Scheme: "http", Host: "proxy.example:3128", User: user}})
			p := send(t, s, toToken())
			nc, err := proxy.Accept()
			if err != nil {
				t.Fatal(err)
			}
			connect(t, nc, "HTTP/1.1 200 Connection established\r\n\r\n")
			go w.serve(nc)
			w.conn().request().accept()
			p.wantAccepted()
		})
	})
	for name, answer := range map[string]string{
		"refused": "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "no HTTP": "canary\r\n\r\n", "without end": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("canary", 40_000),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				proxy := w.host("proxy.example:80")
				s := w.sender(&fcmsend.Options{Proxy: &url.URL{Scheme: "http", Host: "proxy.example", User: user}})
				p := send(t, s, toToken())
				nc, err := proxy.Accept()
				if err != nil {
					t.Fatal(err)
				}
				go connect(t, nc, answer)
				e := p.wantError(fcm.Unavailable, false)
				nc.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := nc.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection to the proxy is left open")
				}
				if !strings.Contains(e.Error(), "proxy") || strings.Contains(e.Error(), "canary") || name == "refused" && !strings.Contains(e.Error(), "407") {
					t.Errorf("error %v", e)
				}
			})
		})
	}
	t.Run("silent", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			w.host("proxy.example:80")
			s := w.sender(&fcmsend.Options{Proxy: &url.URL{Scheme: "http", Host: "proxy.example"}})
			p := send(t, s, toToken())
			p.wantError(fcm.Unavailable, false)
			if p.took != 10*time.Second {
				t.Errorf("took %v", p.took)
			}
		})
	})
	t.Run("behind TLS, for tokens too", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			// The proxy has the far end's certificate; the token endpoint is asked
			// through it in its own manner.
			w.alpn = []string{"http/1.1"}
			w.hosts["fcm.googleapis.com:8443"] = w.hosts["fcm.googleapis.com:443"]
			s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{Proxy: &url.URL{Scheme: "https", Host: "fcm.googleapis.com:8443", User: user}})
			p := send(t, s, toToken())
			c := w.conn()
			in := bufio.NewReader(c.nc)
			r, err := http.ReadRequest(in)
			if err != nil || r.RequestURI != tokenURI || r.Header.Get("Proxy-Authorization") != want {
				t.Fatalf("%+v, %v; want the token asked for through the proxy", r, err)
			}
			token := `{"access_token":"t","expires_in":3599}`
			fmt.Fprintf(c.nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(token), token)
			c = w.conn()
			connect(t, c.nc, "HTTP/1.1 403 Forbidden\r\n\r\n")
			if e := p.wantError(fcm.Unavailable, false); !strings.Contains(e.Error(), "403") {
				t.Errorf("error %v", e)
			}
		})
	})
	t.Run("that is not there", func(t *testing.T) {
		play(t, func(t *testing.T, w *far) {
			s := w.sender(&fcmsend.Options{Proxy: &url.URL{Scheme: "https", Host: "proxy.example", User: user}})
			e := send(t, s, toToken()).wantError(fcm.Unavailable, false)
			if _, ok := errors.AsType[*net.DNSError](e); !ok || strings.Contains(e.Error(), secret) {
				t.Errorf("error %v; want the network's", e)
			}
		})
	})
}
