package fcmsend_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		synctest.Wait() // until one that is wanted is asked for
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
		refreshed := 0
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
			Events: &fcmsend.Events{
				TokenFailed:    func(err error, next time.Time) { failed = append(failed, next) },
				TokenRefreshed: func(time.Time) { refreshed++ },
			},
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
		synctest.Wait()
		times := h.times()[1:]
		if len(times) < 4 || len(times) > 7 || len(failed) != len(times) || refreshed != 1 {
			t.Errorf("%d requests, %d events of them, %d of tokens; want 4 to 7, and one token", len(times), len(failed), refreshed)
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

func TestAnOldTokenThatWorksSaysNothingOfTheNextOne(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			if n == 2 {
				rw.WriteHeader(503)
				return
			}
			giveToken(rw, fmt.Sprintf("token-%d", n), 100)
		})
		late := time.Now().Add(85 * time.Second)
		w.handle = func(r *request) {
			if !time.Now().Before(late) {
				time.Sleep(time.Second) // the token endpoint is faster
				r.accept()
			}
		}
		s := w.senderWith(inline(t, serviceAccount(nil)), nil)
		send(t, s, toToken()).wantError(fcm.Unavailable, true) // so that nothing is known of the token
		time.Sleep(time.Until(late))
		send(t, s, toToken()).wantAccepted() // while the next token is not to be had
		time.Sleep(5 * time.Second)
		e := send(t, s, toToken()).wantError(fcm.Credential, false)
		if cause, ok := errors.AsType[*fcmsend.TokenError](e); !ok || cause.Status != 503 {
			t.Errorf("error %v; want a *TokenError with 503", e)
		}
		time.Sleep(5 * time.Second)
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
		s := w.senderWith(inline(t, serviceAccount(nil)), &fcmsend.Options{Events: &fcmsend.Events{
			TokenFailed: func(err error, _ time.Time) { t.Errorf("told of %v", err) },
		}})
		p := send(t, s, toToken())
		synctest.Wait()
		began := time.Now()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		e := p.wantError(fcm.Unavailable, false) // and no operator has anything to mend
		if err := s.State().TokenErr; !strings.Contains(e.Error(), "the sender is closed") || err == nil || !strings.Contains(err.Error(), "the sender is closed") {
			t.Errorf("errors %v, %v; want them to say that the sender is closed", e, err)
		}
		time.Sleep(10 * time.Second)
	})
}

func TestCloseWaitsForTheCredentialsAndAsksThemNoMore(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		asked, running := 0, false
		s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
			asked++
			running = true
			time.Sleep(time.Second) // whatever the context says
			running = false
			return fcmsend.Token{}, errors.New("none")
		}), nil)
		p := send(t, s, toToken())
		p.wantPending()
		s.Close()
		if running {
			t.Error("they are still at it")
		}
		p.wantError(fcm.Unavailable, false)
		time.Sleep(time.Hour)
		send(t, s, toToken()).wantError(fcm.Unavailable, false)
		synctest.Wait()
		if asked != 1 {
			t.Errorf("asked %d times; want once", asked)
		}
	})
}

func TestCloseEndsConnectionsToTheTokenEndpoint(t *testing.T) {
	play(t, func(t *testing.T, w *far) {
		h := w.tokenHost()
		w.handle = (*request).accept
		opt := w.options(nil)
		var toHost net.Conn
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.dial(ctx, network, address)
			if address == "token.example:80" {
				toHost = nc
			}
			return nc, err
		}
		s, err := fcmsend.New(project, inline(t, serviceAccount(nil)), opt)
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, toToken()).wantAccepted()
		s.Close()
		synctest.Wait()
		if _, err := toHost.Write(nil); !errors.Is(err, net.ErrClosed) || h.count() != 1 {
			t.Errorf("write: %v, after %d requests; want it closed", err, h.count())
		}
	})
}

func TestATokenThatFitsNoHeaderIsNone(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "a line": "a\r\nx: y", "a control": "a\x7f", "no ASCII": "a\u00e9", "too long": strings.Repeat("t", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *far) {
				s := w.senderWith(fcmsend.Static(value), nil)
				e := send(t, s, toToken()).wantError(fcm.Credential, false)
				if len(w.dialled()) != 0 || len(e.Error()) > 200 || value != "" && strings.Contains(e.Error(), value) {
					t.Errorf("%d dials, error %.300v", len(w.dialled()), e)
				}
			})
		})
	}
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
