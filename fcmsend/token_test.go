package fcmsend_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"penstock/fcm"
	"penstock/fcmsend"
)

const tokenURI = "http://token.example/token"

// serviceKey is one RSA key for all tests: making one takes long.
var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// serviceAccount is the content of a key file.
func serviceAccount(edit map[string]string) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(serviceKey())
	if err != nil {
		panic(err)
	}
	fields := map[string]string{
		"type": "service_account", "project_id": string(project), "private_key_id": "key-1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "sender@shop-1.iam.gserviceaccount.com", "token_uri": tokenURI,
	}
	for name, value := range edit {
		fields[name] = value
	}
	data, _ := json.Marshal(fields)
	return data
}

// A tokenHost is a scripted token endpoint.
type tokenHost struct {
	t      *testing.T
	mu     sync.Mutex // guards what follows
	asked  []time.Time
	forms  []map[string]string
	handle func(n int, w http.ResponseWriter) // n counts from 1
}

// tokenHost serves tokenURI. Without handle it gives token-1, token-2, …, each
// for an hour.
func (w *far) tokenHost() *tokenHost {
	h := &tokenHost{t: w.t}
	srv := &http.Server{Handler: h}
	l := w.host("token.example:80")
	go srv.Serve(l)
	w.t.Cleanup(func() { srv.Close() })
	return h
}

func (h *tokenHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	form := map[string]string{}
	for name := range r.PostForm {
		form[name] = r.PostForm.Get(name)
	}
	h.mu.Lock()
	h.asked = append(h.asked, time.Now())
	h.forms = append(h.forms, form)
	n, handle := len(h.asked), h.handle
	h.mu.Unlock()
	if handle == nil {
		giveToken(w, fmt.Sprintf("token-%d", n), 3599)
		return
	}
	handle(n, w)
}

func giveToken(w http.ResponseWriter, value string, seconds int) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"expires_in":%d,"token_type":"Bearer"}`, value, seconds)
}

func (h *tokenHost) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

func (h *tokenHost) times() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]time.Time(nil), h.asked...)
}

func (h *tokenHost) set(handle func(n int, w http.ResponseWriter)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handle = handle
}

func inline(t *testing.T, data []byte) fcmsend.Credentials {
	t.Helper()
	cred, err := fcmsend.Inline(data)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func TestS_10_S_11_S_12_TheJWTIsWhatTheEndpointOfTheFileWants(t *testing.T) {
	for name, skew := range map[string]time.Duration{"same clock": 0, "ours 5 s behind": 5 * time.Second, "ours 5 s ahead": -5 * time.Second} {
		t.Run("S-11 S-12 "+name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				h := w.tokenHost()
				s := w.senderWith(inline(t, serviceAccount(nil)), nil)
				p := send(t, s, toToken())
				r := w.conn().request()
				if got := r.header["authorization"]; got != "Bearer token-1" {
					t.Errorf("authorization %q", got)
				}
				r.accept()
				p.wantAccepted()
				form := h.forms[0]
				if form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
					t.Errorf("grant type %q", form["grant_type"])
				}
				parts := strings.Split(form["assertion"], ".")
				if len(parts) != 3 {
					t.Fatalf("assertion of %d parts", len(parts))
				}
				var head struct{ Alg, Typ, Kid string }
				var claims struct {
					Iss, Scope, Aud string
					Iat, Exp        int64
				}
				for i, into := range []any{&head, &claims} {
					raw, err := base64.RawURLEncoding.DecodeString(parts[i])
					if err != nil || json.Unmarshal(raw, into) != nil {
						t.Fatalf("part %d: %s, %v", i, raw, err)
					}
				}
				if head.Alg != "RS256" || head.Typ != "JWT" || head.Kid != "key-1" {
					t.Errorf("header %+v", head)
				}
				if claims.Iss != "sender@shop-1.iam.gserviceaccount.com" || claims.Scope != "https://www.googleapis.com/auth/firebase.messaging" || claims.Aud != tokenURI {
					t.Errorf("claims %+v", claims)
				}
				now := time.Now().Add(skew).Unix() // the endpoint's
				if claims.Iat > now || claims.Exp <= now || claims.Exp-claims.Iat > 3600 || claims.Exp-claims.Iat < 3000 {
					t.Errorf("iat %d, exp %d at %d; want iat not in the future, and an hour at most", claims.Iat, claims.Exp, now)
				}
				sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
				signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
				if err := rsa.VerifyPKCS1v15(&serviceKey().PublicKey, crypto.SHA256, sum[:], signature); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestS_13_OneTokenForAllAndOneRequestAtItsEnd(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			time.Sleep(time.Second)
			giveToken(rw, fmt.Sprintf("token-%d", n), 3599)
		})
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{IdleTimeout: 3 * time.Hour})
		for round := 1; round <= 3; round++ {
			all := sendMany(t, s, 50)
			if round == 1 {
				w.conns <- w.conn()
			}
			conn := <-w.conns
			w.conns <- conn
			for range 50 {
				r := conn.request()
				if got, want := r.header["authorization"], fmt.Sprintf("Bearer token-%d", round); got != want {
					t.Errorf("authorization %q; want %q", got, want)
				}
				r.accept()
			}
			wantAllAccepted(t, all)
			if n := h.count(); n != round {
				t.Errorf("%d tokens were asked for; want %d", n, round)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

func TestS_14_R_F30_RefreshBeginsEarlyAndSendingGoesOn(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var refreshed []time.Time
		h := w.tokenHost()
		slow := make(chan struct{})
		h.set(func(n int, rw http.ResponseWriter) {
			if n == 2 {
				<-slow
			}
			giveToken(rw, fmt.Sprintf("token-%d", n), 3600)
		})
		w.handle = func(r *request) {
			r.accept()
			r.arrived <- r
		}
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{
			IdleTimeout: 3 * time.Hour, Events: &fcmsend.Events{TokenRefreshed: func(expiry time.Time) { refreshed = append(refreshed, expiry) }},
		})
		began := time.Now()
		want := func(token string) {
			t.Helper()
			p := send(t, s, toToken())
			p.wantAccepted()
			if p.took != 0 {
				t.Errorf("a message waited %v for a token", p.took)
			}
			conn := w.conn()
			w.conns <- conn
			if got := conn.request().header["authorization"]; got != "Bearer "+token {
				t.Errorf("%v: authorization %q; want %s", time.Since(began), got, token)
			}
		}
		want("token-1")
		if st := s.State(); !st.TokenExpiry.Equal(began.Add(time.Hour)) || st.TokenErr != nil {
			t.Errorf("state %+v", st)
		}
		time.Sleep(55*time.Minute - time.Second)
		want("token-1")
		if n := h.count(); n != 1 {
			t.Errorf("%d tokens before the last five minutes", n)
		}
		time.Sleep(2 * time.Second)
		for range 5 {
			want("token-1")
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if n := h.count(); n != 2 {
			t.Errorf("%d tokens asked for; want the second", n)
		}
		close(slow)
		synctest.Wait()
		want("token-2")
		if len(refreshed) != 2 || !refreshed[0].Equal(began.Add(time.Hour)) {
			t.Errorf("events %v", refreshed)
		}
	})
}

func TestR_F30_WhileTheTokenEndpointIsDownTheOldTokenIsUsed(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		var failed []time.Time
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			if n == 1 {
				giveToken(rw, "token-1", 3600)
				return
			}
			rw.WriteHeader(503)
		})
		w.handle = (*request).accept
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{
			Events: &fcmsend.Events{TokenFailed: func(err error, next time.Time) { failed = append(failed, next) }},
		})
		began := time.Now()
		for time.Since(began) < 59*time.Minute-time.Second {
			send(t, s, toToken()).wantAccepted()
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		var e *fcm.SendError
		for range 60 {
			e = send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || cause.Status != 503 || !cause.Temporary() {
			t.Errorf("error %v; want a *TokenError with 503", e)
		}
		// 10, 20, 40, 80, 160 s and up to a quarter less from minute 55 on.
		times := h.times()[1:]
		if len(times) < 4 || len(times) > 7 || len(failed) != len(times) {
			t.Errorf("%d requests and %d events; want 4 to 7", len(times), len(failed))
		}
		most := 10 * time.Second
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < most*3/4 || gap > most+2*time.Second {
				t.Errorf("wait %d is %v; want %v and at most a quarter less", i, gap, most)
			}
			most *= 2
		}
		if st := s.State(); st.TokenErr == nil || st.HeldUntil.IsZero() {
			t.Errorf("state %+v", st)
		}
		// It comes back by itself.
		h.set(nil)
		time.Sleep(6 * time.Minute)
		send(t, s, toToken()).wantAccepted()
		if st := s.State(); st.TokenErr != nil || !st.HeldUntil.IsZero() {
			t.Errorf("state %+v", st)
		}
	})
}

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
		if n := h.count(); n > 12 {
			t.Errorf("%d tokens in 100 s; want one each 10 s at most", n)
		}
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

func TestShortLivedTokensAreRefreshedAtHalfTime(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) { giveToken(rw, fmt.Sprintf("token-%d", n), 100) })
		w.handle = (*request).accept
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		for range 500 {
			send(t, s, toToken()).wantAccepted()
			time.Sleep(time.Second)
		}
		if n := h.count(); n < 9 || n > 10 {
			t.Errorf("%d tokens in 500 s; want one each 50 s", n)
		}
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

func TestHoldsHaveJitter(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(503) })
		seen := map[time.Duration]bool{}
		for range 20 {
			s := w.senderWith(inline(t, serviceAccount(nil)), nil)
			send(t, s, toToken()).wantError(fcm.Credential, false)
			seen[time.Until(s.State().HeldUntil)] = true
		}
		if len(seen) < 10 {
			t.Errorf("%d different waits in 20", len(seen))
		}
	})
}

func TestWhoWaitsForATokenMayLeave(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { time.Sleep(5 * time.Second); giveToken(rw, "token-1", 3599) })
		w.handle = (*request).accept
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := sendWith(ctx, t, s, toToken())
		stays := send(t, s, toToken())
		p.wantError(fcm.Unavailable, false)
		if p.took != time.Second {
			t.Errorf("left after %v", p.took)
		}
		stays.wantAccepted()
		if n := h.count(); n != 1 {
			t.Errorf("%d requests; want 1", n)
		}
	})
}

func TestCloseEndsARequestForAToken(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { time.Sleep(5 * time.Second) })
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		p := send(t, s, toToken())
		synctest.Wait()
		began := time.Now()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		p.wait()
		if p.err == nil {
			t.Error("a message was accepted")
		}
		time.Sleep(10 * time.Second)
	})
}

func TestTheProjectComesFromTheCredentials(t *testing.T) {
	s, err := fcmsend.New("", inline(t, serviceAccount(nil)), nil)
	if err != nil || s.Project() != project {
		t.Fatalf("%v, %v", s, err)
	}
	s.Close()
	if _, err := fcmsend.New("", fcmsend.Static("x"), nil); err == nil {
		t.Error("a sender without a project")
	}
}

func TestAChangedFileIsTakenWhileMessagesFlow(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		write := func(data []byte) {
			t.Helper()
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			// Files carry the machine's time, which the bubble's is far behind.
			if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		write(serviceAccount(nil))
		h := w.tokenHost()
		w.handle = (*request).accept
		swapped, broken := 0, []error(nil)
		cred, err := fcmsend.File(path)
		if err != nil {
			t.Fatal(err)
		}
		s := w.senderWith(cred, &fcmsend.Options{Events: &fcmsend.Events{
			CredentialsSwapped: func() { swapped++ },
			CredentialsBroken:  func(err error) { broken = append(broken, err) },
		}})
		flow := func(seconds int) {
			t.Helper()
			for range seconds {
				send(t, s, toToken()).wantAccepted()
				synctest.Wait()
				time.Sleep(time.Second)
			}
		}
		flow(60)
		if swapped != 0 || len(broken) != 0 || h.count() != 1 {
			t.Errorf("%d swaps, %v, %d tokens without a change", swapped, broken, h.count())
		}
		write(serviceAccount(map[string]string{"client_email": "other@shop-1.iam.gserviceaccount.com"}))
		flow(7)
		if swapped != 1 || h.count() != 2 {
			t.Errorf("%d swaps, %d tokens within 7 s; want 1 and 2", swapped, h.count())
		}
		for i, bad := range []string{`{"private_key":"canary"`, `{"type":"service_account","client_email":"x","private_key":"canary"}`,
			string(serviceAccount(map[string]string{"project_id": "another"})), string(serviceAccount(nil)) + strings.Repeat(" ", 64<<10)} {
			write([]byte(bad))
			flow(7)
			if swapped != 1 || len(broken) != i+1 || strings.Contains(fmt.Sprint(broken), "canary") {
				t.Errorf("%d swaps, errors %v; want 1 and %d without the file's words", swapped, broken, i+1)
			}
		}
		os.Remove(path)
		flow(7) // it is being replaced
		if len(broken) != 4 {
			t.Errorf("errors %v", broken[4:])
		}
		write(serviceAccount(map[string]string{"client_email": "third@shop-1.iam.gserviceaccount.com"}))
		flow(7)
		if swapped != 2 || h.count() != 3 {
			t.Errorf("%d swaps, %d tokens; want 2 and 3", swapped, h.count())
		}
		issuer := func(i int) string {
			claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(h.forms[i]["assertion"], ".")[1])
			return string(claims)
		}
		if !strings.Contains(issuer(1), "other@") || !strings.Contains(issuer(2), "third@") {
			t.Errorf("claims %s, %s", issuer(1), issuer(2))
		}
	})
}

func TestAChangedFileEndsAHold(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		os.WriteFile(path, serviceAccount(nil), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(400) })
		w.handle = (*request).accept
		cred, err := fcmsend.File(path)
		if err != nil {
			t.Fatal(err)
		}
		s := w.senderWith(cred, nil)
		for range 700 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		h.set(nil)
		os.WriteFile(path, serviceAccount(map[string]string{"private_key_id": "key-2"}), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		time.Sleep(6 * time.Second)
		s.Send(t.Context(), toToken()) // notices
		synctest.Wait()
		send(t, s, toToken()).wantAccepted()
	})
}

func TestAChangedFileThatFailsIsTriedAgainSoon(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		os.WriteFile(path, serviceAccount(nil), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(400) })
		w.handle = (*request).accept
		cred, err := fcmsend.File(path)
		if err != nil {
			t.Fatal(err)
		}
		s := w.senderWith(cred, nil)
		for range 700 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		before := h.count()
		os.WriteFile(path, serviceAccount(map[string]string{"private_key_id": "key-2"}), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		for range 36 { // noticed within 5 s, and then after 10 and 20 s
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		if n := h.count() - before; n < 2 || n > 3 {
			t.Errorf("%d requests within 36 s of the change; want 2 or 3", n)
		}
	})
}

func TestATokenThatIsOverAlreadyIsNone(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		asked := 0
		s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
			asked++
			return fcmsend.Token{Value: accessToken, Expiry: time.Now().Add(-time.Second)}, nil
		}), nil)
		for range 3 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
		}
		if asked != 1 {
			t.Errorf("asked %d times; want once", asked)
		}
	})
}

func TestAFileThatChangesWhileATokenIsFetchedIsAskedAgain(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		os.WriteFile(path, serviceAccount(nil), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			time.Sleep(8 * time.Second)
			giveToken(rw, fmt.Sprintf("token-%d", n), 3599)
		})
		cred, err := fcmsend.File(path)
		if err != nil {
			t.Fatal(err)
		}
		s := w.senderWith(cred, nil)
		first := send(t, s, toToken())
		time.Sleep(6 * time.Second)
		os.WriteFile(path, serviceAccount(map[string]string{"client_email": "other@shop-1.iam.gserviceaccount.com"}), 0o600)
		os.Chtimes(path, time.Now(), time.Now())
		second := send(t, s, toToken()) // notices
		w.handle = (*request).accept
		first.wantAccepted()
		second.wantAccepted()
		time.Sleep(10 * time.Second)
		if h.count() != 2 {
			t.Fatalf("%d tokens; want 2", h.count())
		}
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(h.forms[1]["assertion"], ".")[1])
		if !strings.Contains(string(claims), "other@") {
			t.Errorf("the second was asked for with %s", claims)
		}
	})
}

func TestAHoldIsNeverLongerThanFiveMinutes(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(503) })
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		for range 2 * 3600 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		// 10, 20, … 160 s, and then 300 s each, all less a quarter at most.
		times := h.times()
		last := times[len(times)-1].Sub(times[len(times)-2])
		if last < 225*time.Second || last > 302*time.Second || len(times) < 27 || len(times) > 40 {
			t.Errorf("%d requests in two hours, the last wait %v; want five minutes", len(times), last)
		}
	})
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":         "",
		"no JSON":         "canary",
		"another type":    `{"type":"canary-type-that-is-so-long-that-it-cannot-be-quoted-whole"}`,
		"no key":          `{"type":"service_account","client_email":"a@b"}`,
		"a broken key":    `{"type":"service_account","client_email":"a@b","private_key":"canary"}`,
		"no account":      string(serviceAccount(map[string]string{"client_email": ""})),
		"half federation": `{"type":"external_account","audience":"canary"}`,
	} {
		t.Run(name, func(t *testing.T) {
			cred, err := fcmsend.Inline([]byte(data))
			if err == nil {
				t.Fatalf("%v", cred)
			}
			if strings.Contains(err.Error(), "canary") && name != "another type" || len(err.Error()) > 250 {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := fcmsend.File(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v; want that the file does not exist", err)
	}
}

func TestS_18_WorkloadIdentityWorksAlike(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"access_token":"federated-1","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3599}`)
		})
		subject := filepath.Join(dir, "subject")
		os.WriteFile(subject, []byte("canary-subject-token"), 0o600)
		config, _ := json.Marshal(map[string]any{
			"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
			"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": tokenURI,
			"credential_source": map[string]string{"file": subject},
		})
		p := send(t, w.senderWith(inline(t, config), nil), toToken())
		r := w.conn().request()
		if got := r.header["authorization"]; got != "Bearer federated-1" {
			t.Errorf("authorization %q", got)
		}
		r.accept()
		p.wantAccepted()
		if form := h.forms[0]; form["subject_token"] != "canary-subject-token" || !strings.Contains(form["scope"], "firebase.messaging") {
			t.Errorf("form %v", form)
		}
	})
}

func TestFromTokenSourceTakesTokensOfOthers(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		p := send(t, w.senderWith(fcmsend.FromTokenSource(sourceFunc(func() (string, error) { return "other-1", nil })), nil), toToken())
		r := w.conn().request()
		if got := r.header["authorization"]; got != "Bearer other-1" {
			t.Errorf("authorization %q", got)
		}
		r.accept()
		p.wantAccepted()
		s := w.senderWith(fcmsend.FromTokenSource(sourceFunc(func() (string, error) { return "", errors.New("canary") })), nil)
		if e := send(t, s, toToken()).wantError(fcm.Credential, false); strings.Contains(e.Error(), "canary") {
			t.Errorf("error %v", e)
		}
	})
}

// A sourceFunc is a token source of x/oauth2.
type sourceFunc func() (string, error)

func (f sourceFunc) Token() (*oauth2.Token, error) {
	value, err := f()
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: value, Expiry: time.Now().Add(time.Hour)}, nil
}
