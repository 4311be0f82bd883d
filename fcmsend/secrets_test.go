package fcmsend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"penstock/fcmsend"
)

// A notebook keeps all that a sender says: errors, events, states.
type notebook struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (n *notebook) note(args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range args {
		fmt.Fprintf(&n.text, "%v\n%+v\n%#v\n", a, a, a)
		for err, ok := a.(error); ok && err != nil; {
			fmt.Fprintf(&n.text, "%v\n%+v\n%#v\n", err, err, err)
			u, more := err.(interface{ Unwrap() error })
			if !more {
				break
			}
			err = u.Unwrap()
		}
	}
}

func (n *notebook) events() *fcmsend.Events {
	return &fcmsend.Events{
		TokenRefreshed:     func(expiry time.Time) { n.note("refreshed", expiry) },
		TokenFailed:        func(err error, next time.Time) { n.note("failed", err, next) },
		CredentialsSwapped: func() { n.note("swapped") },
		CredentialsBroken:  func(err error) { n.note("broken", err) },
		ConnectionOpened:   func(c fcmsend.ConnectionInfo) { n.note("opened", c) },
		ConnectionClosed:   func(c fcmsend.ConnectionInfo, err error) { n.note("closed", c, err) },
		DialFailed:         func(err error, next time.Time) { n.note("dial", err, next) },
		GoAway:             func(c fcmsend.ConnectionInfo, code, reason string) { n.note("away", c, code, reason) },
	}
}

func TestS_52_R_A54_NoSecretIsEverTold(t *testing.T) {
	dir := t.TempDir()
	keyText := serviceAccount(nil)
	var n notebook
	fcmAnswers := func(answer func(r *request)) func(t *testing.T, w *far) {
		return func(t *testing.T, w *far) {
			w.tokenHost()
			w.handle = answer
			s := w.senderWith(inline(t, keyText), &fcmsend.Options{Events: n.events()})
			for range 3 {
				_, err := s.Send(t.Context(), toToken("secret", "canary-payload"))
				n.note(err, s.State())
			}
			n.note(s.Deliver(t.Context(), toToken("secret", "canary-payload")))
		}
	}
	echo := func(status int) func(r *request) {
		return func(r *request) {
			text := string(r.body) + r.header["authorization"]
			r.answer(status, errorBody(status, "UNAVAILABLE", text, fmt.Sprintf(`{"@type":%q}`, text)), "retry-after", text)
		}
	}
	token := func(handle func(w http.ResponseWriter)) func(t *testing.T, w *far) {
		return func(t *testing.T, w *far) {
			h := w.tokenHost()
			h.set(func(i int, rw http.ResponseWriter) {
				h.mu.Lock()
				assertion := h.forms[i-1]["assertion"]
				h.mu.Unlock()
				rw.Header().Set("X-Assertion", assertion)
				handle(rw)
				fmt.Fprintf(rw, `{"error":%q,"error_description":%q,"access_token":%q}`, assertion, assertion, "token-\n"+assertion)
			})
			s := w.senderWith(inline(t, keyText), &fcmsend.Options{Events: n.events()})
			_, err := s.Send(t.Context(), toToken("secret", "canary-payload"))
			n.note(err, s.State())
			synctest.Wait()
		}
	}
	for _, scene := range []func(t *testing.T, w *far){
		fcmAnswers((*request).accept), fcmAnswers(echo(200)), fcmAnswers(echo(400)), fcmAnswers(echo(401)), fcmAnswers(echo(403)), fcmAnswers(echo(404)), fcmAnswers(echo(429)), fcmAnswers(echo(503)),
		fcmAnswers(func(r *request) { r.answer(200, "<html>"+string(r.body)) }),
		fcmAnswers(func(r *request) { r.nc.Close() }),
		fcmAnswers(func(r *request) { r.goAway(0, http2.ErrCodeProtocol, "bye\r\n") }),
		token(func(w http.ResponseWriter) { w.WriteHeader(200) }),
		token(func(w http.ResponseWriter) { w.WriteHeader(400) }),
		token(func(w http.ResponseWriter) { w.WriteHeader(500) }),
		token(func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(302) }),
		func(t *testing.T, w *far) { // a file that goes bad
			path := filepath.Join(dir, "sa.json")
			os.WriteFile(path, keyText, 0o600)
			w.tokenHost()
			w.handle = (*request).accept
			cred, err := fcmsend.File(path)
			if err != nil {
				t.Fatal(err)
			}
			n.note(cred)
			s := w.senderWith(cred, &fcmsend.Options{Events: n.events()})
			for i := range 3 {
				n.note(s.Send(t.Context(), toToken()))
				os.WriteFile(path, keyText[:len(keyText)-40*(i+1)], 0o600)
				os.Chtimes(path, time.Now(), time.Now())
				time.Sleep(6 * time.Second)
			}
		},
		func(t *testing.T, w *far) { // workload identity that fails
			subject := filepath.Join(dir, "subject")
			os.WriteFile(subject, []byte("canary-subject-token"), 0o600)
			h := w.tokenHost()
			h.set(func(i int, rw http.ResponseWriter) {
				rw.WriteHeader(400)
				io.WriteString(rw, "canary-subject-token")
			})
			config := fmt.Sprintf(`{"type":"external_account","audience":"a","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":%q,"credential_source":{"file":%q}}`, tokenURI, subject)
			cred := inline(t, []byte(config))
			n.note(cred)
			s := w.senderWith(cred, &fcmsend.Options{Events: n.events()})
			n.note(s.Send(t.Context(), toToken()))
		},
		func(t *testing.T, w *far) { // credentials that talk
			s := w.senderWith(credentialsFunc(func(context.Context) (fcmsend.Token, error) {
				return fcmsend.Token{Value: accessToken}, fmt.Errorf("no luck with %s", accessToken)
			}), &fcmsend.Options{Events: n.events()})
			n.note(s.Send(t.Context(), toToken()))
		},
		func(*testing.T, *far) {
			token, static := fcmsend.Token{Value: accessToken}, fcmsend.Static(accessToken)
			encoded, err := json.Marshal([]any{token, &token, map[string]any{"t": token}, static})
			n.note(inline(t, keyText), static, struct{ c fcmsend.Credentials }{static}, fmt.Sprintf("%d %x %s", static, token, &token), token, token.LogValue(), string(encoded), err)
		},
	} {
		play(t, scene)
	}
	told := n.text.String()
	for _, secret := range []string{"canary", "token-1", "token-2", "eyJ", "PRIVATE KEY", "MII", device, device[:8]} {
		if i := strings.Index(told, secret); i >= 0 {
			t.Errorf("%q is told: …%s…", secret, told[max(0, i-200):min(len(told), i+100)])
		}
	}
	for _, want := range []string{"refreshed", "failed", "broken", "opened", "closed", "away", "unavailable", "credential", "HTTP 400"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told: the scenes miss something", want)
		}
	}
}
