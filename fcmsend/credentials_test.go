package fcmsend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"penstock/fcm"
	"penstock/fcmsend"
)

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

// putFile writes a credential file, by the bubble's time.
func putFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, time.Now(), time.Now())); err != nil {
		t.Fatal(err)
	}
}

func fromFile(t *testing.T, path string) fcmsend.Credentials {
	t.Helper()
	cred, err := fcmsend.File(path)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// flow sends a message each second.
func flow(t *testing.T, s *fcmsend.Sender, seconds int) {
	t.Helper()
	for range seconds {
		send(t, s, toToken()).wantAccepted()
		synctest.Wait()
		time.Sleep(time.Second)
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
		cred := fromFile(t, path)
		s := w.senderWith(cred, &fcmsend.Options{Events: &fcmsend.Events{
			CredentialsSwapped: func() { swapped++ },
			CredentialsBroken:  func(err error) { broken = append(broken, err) },
		}})
		flow(t, s, 60)
		if swapped != 0 || len(broken) != 0 || h.count() != 1 {
			t.Errorf("%d swaps, %v, %d tokens without a change", swapped, broken, h.count())
		}
		write(serviceAccount(map[string]string{"client_email": "other@shop-1.iam.gserviceaccount.com"}))
		flow(t, s, 7)
		if swapped != 1 || h.count() != 2 {
			t.Errorf("%d swaps, %d tokens within 7 s; want 1 and 2", swapped, h.count())
		}
		for i, bad := range []string{`{"private_key":"canary"`, `{"type":"service_account","client_email":"x","private_key":"canary"}`,
			string(serviceAccount(map[string]string{"project_id": "another"})), string(serviceAccount(nil)) + strings.Repeat(" ", 64<<10)} {
			write([]byte(bad))
			flow(t, s, 7)
			if swapped != 1 || len(broken) != i+1 || strings.Contains(fmt.Sprint(broken), "canary") {
				t.Errorf("%d swaps, errors %v; want 1 and %d without the file's words", swapped, broken, i+1)
			}
		}
		os.Remove(path)
		flow(t, s, 7) // it is being replaced
		if len(broken) != 4 {
			t.Errorf("errors %v", broken[4:])
		}
		write(serviceAccount(map[string]string{"client_email": "third@shop-1.iam.gserviceaccount.com"}))
		flow(t, s, 7)
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
		putFile(t, path, serviceAccount(nil))
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(400) })
		w.handle = (*request).accept
		cred := fromFile(t, path)
		s := w.senderWith(cred, nil)
		for range 700 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		putFile(t, path, []byte("{")) // and nobody wants to hear of it
		time.Sleep(6 * time.Second)
		send(t, s, toToken()).wantError(fcm.Credential, false)
		synctest.Wait()
		h.set(nil)
		putFile(t, path, serviceAccount(map[string]string{"private_key_id": "key-2"}))
		time.Sleep(6 * time.Second)
		s.Send(t.Context(), toToken()) // notices
		synctest.Wait()
		send(t, s, toToken()).wantAccepted()
	})
}

// Whoever is refused sends seldom: the file is watched all the same, until a
// message shows that all is well.
func TestS_17_S_27_AFileIsWatchedWhileItsCredentialsAreRefused(t *testing.T) {
	refuse := map[string]func(h *tokenHost, w *far){
		"S-17 by the token endpoint": func(h *tokenHost, _ *far) {
			h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(400) })
		},
		"S-17 by FCM": func(_ *tokenHost, w *far) {
			w.handle = func(r *request) { r.answer(401, `{"error":{"code":401,"status":"UNAUTHENTICATED"}}`) }
		},
		"S-27 for want of permission": func(_ *tokenHost, w *far) {
			w.handle = func(r *request) { r.answer(403, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`) }
		},
	}
	for name, refuse := range refuse {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			play(t, func(t *testing.T, w *far) {
				path := filepath.Join(dir, "sa.json")
				write := func(id string) {
					t.Helper()
					time.Sleep(time.Second) // a file of the same size is known by its time
					if err := os.WriteFile(path, serviceAccount(map[string]string{"private_key_id": id}), 0o600); err != nil {
						t.Fatal(err)
					}
					if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				write("key-1")
				h := w.tokenHost()
				w.handle = (*request).accept
				cred := fromFile(t, path)
				var swaps atomic.Int32
				s := w.senderWith(cred, &fcmsend.Options{Events: &fcmsend.Events{CredentialsSwapped: func() { swaps.Add(1) }}})
				wantSwaps := func(want int32, when string) {
					t.Helper()
					synctest.Wait()
					if n := swaps.Load(); n != want {
						t.Fatalf("%s: %d swaps, want %d", when, n, want)
					}
				}
				send(t, s, toToken()).wantAccepted()
				write("key-2")
				time.Sleep(time.Hour)
				wantSwaps(0, "a sender that nobody uses") // all is well: it looks when it is used
				send(t, s, toToken()).wantAccepted()
				wantSwaps(1, "the next message")
				time.Sleep(2 * time.Hour) // no token is left

				class := map[bool]fcm.Class{true: fcm.Configuration, false: fcm.Credential}[strings.HasPrefix(name, "S-27")]
				refuse(h, w)
				for range 2 {
					send(t, s, toToken()).wantError(class, false)
					time.Sleep(time.Minute)
				}
				tokens := h.count()
				time.Sleep(30 * time.Minute) // FCM's own refusals leave a token that is good for longer
				if n := h.count() - tokens; n != 0 {
					t.Errorf("%d tokens were asked for, and nobody wanted one", n)
				}
				h.set(func(_ int, rw http.ResponseWriter) {
					time.Sleep(2 * time.Second)
					giveToken(rw, "mended", 3599)
				})
				w.handle = func(r *request) {
					if r.header["authorization"] != "Bearer mended" {
						r.answer(403, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`)
						return
					}
					r.accept()
				}
				write("key-3")
				time.Sleep(5 * time.Second)
				wantSwaps(2, "five seconds later")
				// What is sent now waits for the new token, and there is one request.
				send(t, s, toToken()).wantAccepted()
				send(t, s, toToken()).wantAccepted()
				time.Sleep(10 * time.Second)
				if n := h.count() - tokens; n != 1 {
					t.Errorf("%d tokens were asked for, want one", n)
				}
				write("key-4")
				time.Sleep(time.Hour)
				wantSwaps(2, "all is well again")
				time.Sleep(time.Hour) // no token is left

				// A word about the message, too, says that the credentials are well.
				h.set(nil)
				w.handle = (*request).accept
				send(t, s, toToken()).wantAccepted()
				wantSwaps(3, "the next message")
				time.Sleep(2 * time.Hour)
				refuse(h, w)
				send(t, s, toToken()).wantError(class, false)
				time.Sleep(time.Minute)
				h.set(nil)
				w.handle = func(r *request) {
					r.answer(404, `{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`)
				}
				send(t, s, toToken()).wantError(fcm.Unregistered, false)
				write("key-5")
				time.Sleep(time.Hour)
				wantSwaps(3, "a dead token")

				// The next trouble is watched like the first.
				time.Sleep(2 * time.Hour)
				refuse(h, w)
				send(t, s, toToken()).wantError(class, false)
				wantSwaps(4, "the next message")
				write("key-6")
				time.Sleep(5 * time.Second)
				wantSwaps(5, "five seconds later")
			})
		})
	}
}

func TestARefusalOfWhatWasReplacedMeanwhileIsNobodysAnswer(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		putFile(t, path, serviceAccount(nil))
		w.handle = (*request).accept
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			time.Sleep(8 * time.Second)
			if n == 1 {
				rw.WriteHeader(400)
				return
			}
			giveToken(rw, "second", 3599)
		})
		cred := fromFile(t, path)
		s := w.senderWith(cred, &fcmsend.Options{Events: &fcmsend.Events{
			TokenFailed: func(err error, _ time.Time) { t.Errorf("told of %v", err) },
		}})
		first := send(t, s, toToken())
		time.Sleep(6 * time.Second)
		putFile(t, path, serviceAccount(map[string]string{"private_key_id": "key-2"}))
		second := send(t, s, toToken()) // notices
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		if h.count() != 2 {
			t.Errorf("%d tokens were asked for", h.count())
		}
		time.Sleep(time.Nanosecond)
		first.wantAccepted()
		second.wantAccepted()
	})
}

// What is fetched with refused credentials is of no use once they are replaced.
func TestATokenOfCredentialsThatWereRefusedAndReplacedIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		putFile(t, path, serviceAccount(nil))
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			switch n {
			case 1:
				rw.WriteHeader(400)
			case 2:
				time.Sleep(8 * time.Second)
				giveToken(rw, "old", 3599)
			default:
				giveToken(rw, "new", 3599)
			}
		})
		s := w.senderWith(fromFile(t, path), nil)
		send(t, s, toToken()).wantError(fcm.Credential, false)
		time.Sleep(12 * time.Second)
		p := send(t, s, toToken())
		time.Sleep(time.Second)
		putFile(t, path, serviceAccount(map[string]string{"private_key_id": "key-2"}))
		r := w.conn().request()
		if got := r.header["authorization"]; got != "Bearer new" || h.count() != 3 {
			t.Errorf("authorization %q after %d tokens; want the third", got, h.count())
		}
		r.accept()
		p.wantAccepted()
	})
}

func TestAFileThatIsReplacedByOneOfTheSameTimeAndSizeIsNoticed(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path, next, began := filepath.Join(dir, "sa.json"), filepath.Join(dir, "next.json"), time.Now()
		for at, id := range map[string]string{path: "key-1", next: "key-2"} {
			os.WriteFile(at, serviceAccount(map[string]string{"private_key_id": id}), 0o600)
			os.Chtimes(at, began, began)
		}
		h := w.tokenHost()
		w.handle = (*request).accept
		cred := fromFile(t, path)
		var swaps atomic.Int32
		var broken []error
		s := w.senderWith(cred, &fcmsend.Options{Events: &fcmsend.Events{
			CredentialsSwapped: func() { swaps.Add(1) },
			CredentialsBroken:  func(err error) { broken = append(broken, err) },
		}})
		flow(t, s, 1)
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		flow(t, s, 7)
		if swaps.Load() != 1 || h.count() != 2 || len(broken) != 0 {
			t.Errorf("%d swaps, %d tokens, %v", swaps.Load(), h.count(), broken)
		}
		// What cannot be read is told once, and read when it can be, whatever its time.
		if err := errors.Join(os.Rename(path, next), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		flow(t, s, 30)
		if swaps.Load() != 1 || len(broken) != 1 {
			t.Errorf("%d swaps, errors %v", swaps.Load(), broken)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, serviceAccount(nil), 0o600)); err != nil {
			t.Fatal(err)
		}
		flow(t, s, 7)
		if swaps.Load() != 2 || len(broken) != 1 {
			t.Errorf("%d swaps, errors %v", swaps.Load(), broken)
		}
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		flow(t, s, 7)
		if len(broken) != 2 {
			t.Errorf("errors %v, want it to be told again", broken)
		}
	})
}

func TestAChangedFileThatFailsIsTriedAgainSoon(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		putFile(t, path, serviceAccount(nil))
		h := w.tokenHost()
		h.set(func(_ int, rw http.ResponseWriter) { rw.WriteHeader(400) })
		w.handle = (*request).accept
		cred := fromFile(t, path)
		s := w.senderWith(cred, nil)
		for range 700 {
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		putFile(t, path, serviceAccount(map[string]string{"private_key_id": "key-2"}))
		for range 36 { // noticed within 5 s, and then after 10 and 20 s
			send(t, s, toToken()).wantError(fcm.Credential, false)
			time.Sleep(time.Second)
		}
		n := 0 // one more if the change is noticed while a token is being asked for
		for _, form := range h.forms {
			header, _ := base64.RawURLEncoding.DecodeString(strings.Split(form["assertion"], ".")[0])
			if strings.Contains(string(header), `"key-2"`) {
				n++
			}
		}
		if n < 2 || n > 4 {
			t.Errorf("%d requests with the new key within 36 s of the change; want 2 to 4", n)
		}
	})
}

func TestAFileThatChangesWhileATokenIsFetchedIsAskedAgain(t *testing.T) {
	dir := t.TempDir()
	play(t, func(t *testing.T, w *far) {
		path := filepath.Join(dir, "sa.json")
		putFile(t, path, serviceAccount(nil))
		w.handle = (*request).accept
		h := w.tokenHost()
		h.set(func(n int, rw http.ResponseWriter) {
			time.Sleep(8 * time.Second)
			giveToken(rw, fmt.Sprintf("token-%d", n), 3599)
		})
		cred := fromFile(t, path)
		s := w.senderWith(cred, nil)
		first := send(t, s, toToken())
		time.Sleep(6 * time.Second)
		putFile(t, path, serviceAccount(map[string]string{"client_email": "other@shop-1.iam.gserviceaccount.com"}))
		second := send(t, s, toToken()) // notices
		first.wantAccepted()
		second.wantAccepted()
		if first.took != 8*time.Second { // nothing is wrong with the first token
			t.Errorf("took %v; want it sent with the first token", first.took)
		}
		time.Sleep(10 * time.Second)
		if h.count() != 2 {
			t.Fatalf("%d tokens; want 2", h.count())
		}
		synctest.Wait()
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(h.forms[1]["assertion"], ".")[1])
		if !strings.Contains(string(claims), "other@") {
			t.Errorf("the second was asked for with %s", claims)
		}
	})
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(elliptic)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"nothing":      "",
		"no JSON":      "canary",
		"another type": `{"type":"canary-type-that-is-so-long-that-it-cannot-be-quoted-whole"}`,
		"no key":       `{"type":"service_account","client_email":"a@b"}`,
		"a broken key": `{"type":"service_account","client_email":"a@b","private_key":"canary"}`,
		"a key of another kind": string(serviceAccount(map[string]string{
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		})),
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
