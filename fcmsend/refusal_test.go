package fcmsend_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestS_15_AnExpiredTokenIsReplacedAndTheMessageRepeatedOnce(t *testing.T) {
	expired := errorBody(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", errorInfo("ACCESS_TOKEN_EXPIRED"))
	bare := errorBody(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
	for name, body := range map[string]string{"with its reason": expired, "without details": bare, "with a page": "<html>", "R-F21 with nothing": ""} {
		t.Run("S-15 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				h := w.tokenHost()
				s := w.senderWith(inline(t, serviceAccount(nil)), nil)
				all := sendMany(t, s, 20)
				conn := w.conn()
				for range 20 {
					r := conn.request()
					if r.header["authorization"] != "Bearer token-1" {
						t.Errorf("authorization %q", r.header["authorization"])
					}
					r.answer(401, body)
				}
				for range 20 {
					r := conn.request()
					if r.header["authorization"] != "Bearer token-2" {
						t.Errorf("authorization %q", r.header["authorization"])
					}
					r.accept()
				}
				wantAllAccepted(t, all)
				conn.noRequest()
				if n := h.count(); n != 2 {
					t.Errorf("%d tokens were asked for; want 2", n)
				}
				if st := s.State(); st.TokenErr != nil {
					t.Errorf("state %+v", st)
				}
			})
		})
	}
}

func TestS_15_AYoungTokenIsReplacedToo(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().accept()
		p.wantAccepted()
		for i := range 3 { // each but the first replaces one that was refused long ago
			p = send(t, s, toToken())
			conn.request().answer(401, errorBody(401, "UNAUTHENTICATED", "no", errorInfo("ACCESS_TOKEN_EXPIRED")))
			again := conn.request()
			if want := fmt.Sprintf("Bearer token-%d", i+2); again.header["authorization"] != want {
				t.Errorf("authorization %q; want %s", again.header["authorization"], want)
			}
			again.accept()
			p.wantAccepted()
			time.Sleep(11 * time.Second)
		}
		if n := h.count(); n != 4 {
			t.Errorf("%d tokens were asked for; want 4", n)
		}
	})
}

func TestS_17_R_F21_TwoRefusalsHoldAndResumeByThemselves(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var told []error
		refuse := true
		requests := 0
		var mu sync.Mutex
		w.handle = func(r *request) {
			mu.Lock()
			defer mu.Unlock()
			requests++
			if refuse {
				r.answer(401, errorBody(401, "UNAUTHENTICATED", "no", errorInfo("ACCESS_TOKEN_EXPIRED")))
				return
			}
			r.accept()
		}
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{
			Events: &fcmsend.Events{TokenFailed: func(err error, next time.Time) { told = append(told, err) }},
		})
		began := time.Now()
		e := send(t, s, toToken()).wantError(fcm.Credential, false)
		if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || !cause.Refused || cause.Temporary() {
			t.Errorf("error %v; want a *TokenError that says so", e)
		}
		if requests != 2 || h.count() != 2 || len(told) != 1 {
			t.Errorf("%d requests, %d tokens, %d events; want 2, 2, 1", requests, h.count(), len(told))
		}
		for range 600 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		// After 10, 30, 70, 150, 310 s, or some earlier, there is one probe each.
		if n := h.count(); n < 6 || n > 9 {
			t.Errorf("%d tokens in ten minutes; want 6 to 9", n)
		}
		if requests > 9 || len(told) > 8 {
			t.Errorf("%d requests, %d events in ten minutes; want a probe each time", requests, len(told))
		}
		mu.Lock()
		refuse = false
		mu.Unlock()
		resumed := false
		for range 400 {
			if _, err := s.Send(t.Context(), toToken()); err == nil {
				resumed = true
				break
			}
			time.Sleep(time.Second)
		}
		if !resumed {
			t.Errorf("still held after %v", time.Since(began))
		}
		send(t, s, toToken()).wantAccepted()
		if st := s.State(); st.TokenErr != nil {
			t.Errorf("state %+v", st)
		}
	})
}

func TestS_17_ManyRefusalsAtOnceAreOne(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.handle = func(r *request) { r.answer(401, errorBody(401, "UNAUTHENTICATED", "no")) }
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		for _, p := range sendMany(t, s, 100) {
			p.wantError(fcm.Credential, false)
		}
		if n := h.count(); n != 2 {
			t.Errorf("%d tokens were asked for; want 2", n)
		}
	})
}

func TestS_17_ATokenThatIsAcceptedAndRefusedInTurnIsNoLoop(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		n := 0
		w.handle = func(r *request) {
			if n++; n%2 == 0 {
				r.answer(401, errorBody(401, "UNAUTHENTICATED", "no"))
				return
			}
			r.accept()
		}
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		for range 1000 {
			s.Send(t.Context(), toToken())
			time.Sleep(100 * time.Millisecond)
		}
		if most := 1000 + h.count(); n > most {
			t.Errorf("%d requests; want one for each message and each token, %d", n, most)
		}
		if n := h.count(); n > 12 {
			t.Errorf("%d tokens in 100 s; want one each 10 s at most", n)
		}
	})
}

// refuse is FCM's answer to a token that it does not take.
func refuse(r *request) { r.answer(401, errorBody(401, "UNAUTHENTICATED", "no")) }

func TestS_17_AMessageWithoutAnAnswerProvesNoToken(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		p := send(t, s, toToken())
		conn := w.conn()
		refuse(conn.request())
		conn.request() // with the second token, and without an answer
		time.Sleep(5 * time.Second)
		conn.write(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) }) // it lives
		p.wantError(fcm.Unavailable, true)
		p = send(t, s, toToken())
		refuse(conn.request())
		p.wantError(fcm.Credential, false)
		conn.noRequest()
		if n := h.count(); n != 2 {
			t.Errorf("%d tokens were asked for; want 2", n)
		}
	})
}

func TestS_17_ALateAnswerToAnOldTokenEndsNoHold(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		late := send(t, s, toToken("i", "late"))
		conn := w.conn()
		first := conn.request()
		p := send(t, s, toToken())
		refuse(conn.request())
		refuse(conn.request())
		p.wantError(fcm.Credential, false)
		first.accept() // with the first token
		late.wantAccepted()
		send(t, s, toToken()).wantError(fcm.Credential, false)
		conn.noRequest()
		if n := h.count(); n != 2 {
			t.Errorf("%d tokens were asked for; want 2", n)
		}
	})
}

// A token that FCM refuses is replaced at once, though the endpoint was in
// trouble when the next one was wanted before; and the same one again is none.
func TestS_15_ARefusalEndsTheHoldOfTheTokenEndpoint(t *testing.T) {
	for name, again := range map[string]bool{"S-15 another token": false, "S-17 the same token": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				h := w.tokenHost()
				h.set(func(n int, rw http.ResponseWriter) {
					switch {
					case n == 2:
						rw.WriteHeader(503)
					case again:
						giveToken(rw, "token-1", 100)
					default:
						giveToken(rw, fmt.Sprintf("token-%d", n), 100)
					}
				})
				s := w.senderWith(inline(t, serviceAccount(nil)), nil)
				p := send(t, s, toToken())
				conn := w.conn()
				conn.request().accept()
				p.wantAccepted()
				time.Sleep(51 * time.Second)
				p = send(t, s, toToken()) // has the next one fetched
				synctest.Wait()
				refuse(conn.request())
				if again {
					e := p.wantError(fcm.Credential, false)
					if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || !cause.Refused {
						t.Errorf("error %v; want a refusal", e)
					}
					conn.noRequest()
				} else {
					conn.request().accept()
					p.wantAccepted()
				}
				if n := h.count(); n != 3 {
					t.Errorf("%d tokens were asked for; want 3", n)
				}
			})
		})
	}
}

// A refusal of the token before says nothing of the one in use, though the one
// after it is not to be had.
func TestS_15_ALateRefusalOfAnOldTokenIsAnsweredWithTheNewOne(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			switch n {
			case 1:
				giveToken(rw, "token-1", 3600)
			case 2:
				giveToken(rw, "token-2", 10)
			default:
				rw.WriteHeader(503)
			}
		})
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		late := send(t, s, toToken("i", "late"))
		conn := w.conn()
		old := conn.request()
		p := send(t, s, toToken())
		refuse(conn.request())
		conn.request().accept()
		p.wantAccepted()
		time.Sleep(6 * time.Second)
		p = send(t, s, toToken()) // has the third one fetched
		conn.request().accept()
		p.wantAccepted()
		synctest.Wait()
		refuse(old)
		r := conn.request()
		if got := r.header["authorization"]; got != "Bearer token-2" || h.count() != 3 {
			t.Errorf("authorization %q after %d tokens; want the second of 3", got, h.count())
		}
		r.accept()
		late.wantAccepted()
	})
}

func TestS_17_ATokenThatNobodyCanReplaceIsNotRepeated(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		requests := 0
		accept := false
		w.handle = func(r *request) {
			requests++
			if accept {
				r.accept()
				return
			}
			r.answer(401, errorBody(401, "UNAUTHENTICATED", "no"))
		}
		s := w.sender(nil)
		for range 5 {
			e := send(t, s, toToken()).wantError(fcm.Credential, false)
			if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || !cause.Refused {
				t.Errorf("error %v; want a refusal", e)
			}
		}
		if requests != 1 {
			t.Errorf("%d requests; want 1", requests)
		}
		// Later it is tried again, for the far end may have changed its mind.
		accept = true
		time.Sleep(13 * time.Second)
		send(t, s, toToken()).wantAccepted()
	})
}

func TestTokenEndpointsThatMisbehave(t *testing.T) {
	big := strings.Repeat("canary", 20_000)
	cases := []struct {
		name      string
		handle    func(w http.ResponseWriter)
		status    int
		code      string
		cause     error
		temporary bool
	}{
		{"a revoked key", func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
		}, 400, "invalid_grant", fcmsend.ErrKeyRevoked, false},
		{"a deleted account", func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`)
		}, 400, "invalid_grant", fcmsend.ErrKeyRevoked, false},
		{"a clock that is off", func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}`)
		}, 400, "invalid_grant", fcmsend.ErrClockSkew, false},
		{"words of its own", func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"canary"}`)
		}, 400, "", nil, false},
		{"busy", func(w http.ResponseWriter) { w.WriteHeader(429) }, 429, "", nil, true},
		{"in trouble", func(w http.ResponseWriter) { w.WriteHeader(500); fmt.Fprint(w, "canary") }, 500, "", nil, true},
		{"R-A65 a redirect", func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://elsewhere.example/canary")
			w.WriteHeader(307)
		}, 307, "", nil, false},
		{"R-A65 a page", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>canary") }, 200, "", nil, true},
		{"R-A65 without end", func(w http.ResponseWriter) {
			for range 1000 {
				fmt.Fprint(w, big)
			}
		}, 0, "", nil, true},
		{"no token in it", func(w http.ResponseWriter) { fmt.Fprint(w, `{"expires_in":3599}`) }, 0, "", nil, false},
		{"a token with a line break", func(w http.ResponseWriter) { giveToken(w, "canary\r\nx: y", 3599) }, 0, "", nil, false},
		{"silent", func(w http.ResponseWriter) { time.Sleep(time.Minute) }, 0, "", context.DeadlineExceeded, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				h := w.tokenHost()
				h.set(func(_ int, rw http.ResponseWriter) { c.handle(rw) })
				s := w.senderWith(inline(t, serviceAccount(nil)), nil)
				p := send(t, s, toToken())
				e := p.wantError(fcm.Credential, false)
				cause, ok := errors.AsType[*fcmsend.TokenError](e)
				if !ok || cause.Status != c.status || cause.Code != c.code || cause.Temporary() != c.temporary || c.cause != nil && !errors.Is(e, c.cause) {
					t.Errorf("error %v (%+v); want status %d, code %q, cause %v, temporary %v", e, cause, c.status, c.code, c.cause, c.temporary)
				}
				if strings.Contains(e.Error(), "canary") {
					t.Errorf("the endpoint's words are in the error: %.200v", e)
				}
				if p.took > 10*time.Second {
					t.Errorf("took %v", p.took)
				}
				send(t, s, toToken()).wantError(fcm.Credential, false)
				if n := h.count(); n != 1 {
					t.Errorf("%d requests; want 1", n)
				}
				synctest.Wait()
				if len(w.conns) != 0 {
					t.Error("a connection to FCM without a token")
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestTheWordsOfOAuthAreTold(t *testing.T) {
	for _, code := range []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"access_denied", "invalid_rapt", "server_error", "temporarily_unavailable", "internal_failure", "rate_limit_exceeded",
		"disabled_client", "org_internal", "admin_policy_enforced", "deleted_client", "",
	} {
		t.Run(code, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				w.tokenHost().set(func(_ int, rw http.ResponseWriter) {
					rw.WriteHeader(400)
					fmt.Fprintf(rw, `{"error":%q,"error_description":"canary"}`, code)
				})
				e := send(t, w.senderWith(inline(t, serviceAccount(nil)), nil), toToken()).wantError(fcm.Credential, false)
				cause, ok := errors.AsType[*fcmsend.TokenError](e)
				if !ok || cause.Status != 400 || cause.Code != code {
					t.Fatalf("error %v; want status and word", e)
				}
				if want := strings.TrimSpace("HTTP 400 " + code); !strings.Contains(e.Error(), "("+want+")") || strings.Contains(e.Error(), "canary") {
					t.Errorf("error %v; want it to say %s", e, want)
				}
			})
		})
	}
}

func TestATokenEndpointThatCannotBeReached(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		s := w.senderWith(inline(t, serviceAccount(map[string]string{"token_uri": "https://nowhere.example/canary?key=canary"})), nil)
		e := send(t, s, toToken()).wantError(fcm.Credential, false)
		if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || !cause.Temporary() || !strings.Contains(e.Error(), "no such host") || strings.Contains(e.Error(), "canary") {
			t.Errorf("error %v; want the network's words and no URL", e)
		}
	})
}

func TestErrorsOfOthersAreShownWithoutTheirURLs(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		cause := &net.DNSError{Err: "no such host", Name: "sts.example", IsNotFound: true}
		s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
			return fcmsend.Token{}, &url.Error{Op: "Post", URL: "https://sts.example/?key=canary", Err: cause}
		}), nil)
		e := send(t, s, toToken()).wantError(fcm.Credential, false)
		if token, ok := errors.AsType[*fcmsend.TokenError](e); !ok || !token.Temporary() || !errors.Is(e, cause) || strings.Contains(e.Error(), "canary") {
			t.Errorf("error %v; want the network's words and no URL", e)
		}
	})
}

func TestTheTokenEndpointIsCheckedByItsOwnName(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		cert, err := w.ca.Server([]string{"sts.example"})
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: &tokenHost{t: t}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		l := w.host("sts.example:443")
		go srv.ServeTLS(l, "", "")
		t.Cleanup(func() { srv.Close() })
		w.handle = (*request).accept
		w.hosts["10.0.0.1:443"] = w.hosts["fcm.googleapis.com:443"]
		opt := w.options(&fcmsend.Options{Endpoint: "https://10.0.0.1"})
		opt.TLS.ServerName = "fcm.googleapis.com"
		s, err := fcmsend.New(project, inline(t, serviceAccount(map[string]string{"token_uri": "https://sts.example/token"})), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		send(t, s, toToken()).wantAccepted()
	})
}

func TestS_17_AnyOtherAnswerProvesAToken(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		p := send(t, s, toToken())
		conn := w.conn()
		conn.request().answer(401, "")
		conn.request().answer(400, errorBody(400, "INVALID_ARGUMENT", "x"))
		p.wantError(fcm.InvalidMessage, false)
		if st := s.State(); st.TokenErr != nil {
			t.Errorf("state %+v", st)
		}
		time.Sleep(20 * time.Second)
		p = send(t, s, toToken())
		conn.request().answer(401, "") // a first refusal again, and no second
		conn.request().accept()
		p.wantAccepted()
		if n := h.count(); n != 3 {
			t.Errorf("%d tokens; want 3", n)
		}
	})
}

func TestS_17_AMessageIsRepeatedOnceWhoeverRefreshes(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		w.tokenHost()
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{RequestTimeout: time.Minute})
		slow := send(t, s, toToken())
		conn := w.conn()
		conn.request().answer(401, "")
		again := conn.request() // with token-2
		other := send(t, s, toToken())
		conn.request().accept() // which works
		other.wantAccepted()
		time.Sleep(20 * time.Second)
		other = send(t, s, toToken())
		conn.request().answer(401, "")
		conn.request().accept() // with token-3
		other.wantAccepted()
		again.answer(401, "")
		slow.wantError(fcm.Credential, false)
		conn.noRequest()
	})
}
