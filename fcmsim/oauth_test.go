package fcmsim_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"penstock/fcmsim"
)

const messagingScope = "https://www.googleapis.com/auth/firebase.messaging"

// A clock is what Options.Now reads.
type clock struct{ t time.Time }

func newClock() *clock                 { return &clock{time.Unix(1_800_000_000, 0)} }
func (c *clock) now() time.Time        { return c.t }
func (c *clock) pass(by time.Duration) { c.t = c.t.Add(by) }

// A face is a simulator whose HTTP is called without a network.
type face struct {
	*fcmsim.Sim
	t   testing.TB
	h   http.Handler
	key serviceAccount
}

// A serviceAccount is what programs read of a key file.
type serviceAccount struct {
	Type        string `json:"type"`
	ProjectID   string `json:"project_id"`
	KeyID       string `json:"private_key_id"`
	Key         string `json:"private_key"`
	ClientEmail string `json:"client_email"`
	ClientID    string `json:"client_id"`
	AuthURI     string `json:"auth_uri"`
	TokenURI    string `json:"token_uri"`
	Universe    string `json:"universe_domain"`
}

// newFace makes a simulator that has no listener.
func newFace(t testing.TB, opt fcmsim.Options) *face {
	t.Helper()
	opt.ClearText = true
	sim, err := fcmsim.New(&opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	f := &face{Sim: sim, t: t, h: sim.HTTPHandler()}
	if err := json.Unmarshal(sim.ServiceAccountJSON(), &f.key); err != nil {
		t.Fatal(err)
	}
	return f
}

// A reply is what came back.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// do calls the simulator; header alternates names and values.
func (f *face) do(method, path, body string, header ...string) reply {
	f.t.Helper()
	r := httptest.NewRequest(method, "http://sim.test"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	return reply{f.t, w.Code, w.Header(), w.Body.String()}
}

// bearer is the header of a request that may be made.
func (f *face) bearer() []string {
	return []string{"Authorization", "Bearer " + f.AccessToken()}
}

// want compares a body as JSON.
func (r reply) want(status int, body string) {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	var got, want any
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || !reflect.DeepEqual(got, want) {
		r.t.Fatalf("%v\ngot  %s\nwant %s", err, r.body, body)
	}
}

// send sends a message to a live device.
func (f *face) send(project string, header ...string) reply {
	f.t.Helper()
	body := fmt.Sprintf(`{"message":{"token":%q}}`, f.Tokens()[0])
	return f.do("POST", "/v1/projects/"+project+"/messages:send", body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// An assertion is one that the token endpoint takes, before a test spoils it.
type assertion struct {
	key    *rsa.PrivateKey
	header map[string]any
	claims jwt.MapClaims
}

func (f *face) assertion(now time.Time) *assertion {
	f.t.Helper()
	block, _ := pem.Decode([]byte(f.key.Key))
	if block == nil || block.Type != "PRIVATE KEY" {
		f.t.Fatalf("private_key is no PKCS #8 PEM: %.30s", f.key.Key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		f.t.Fatal(err)
	}
	return &assertion{key.(*rsa.PrivateKey), map[string]any{"kid": f.key.KeyID}, jwt.MapClaims{
		"iss": f.key.ClientEmail, "scope": messagingScope, "aud": "http://sim.test/token",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}}
}

func (a *assertion) signed(t testing.TB) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, a.claims)
	for k, v := range a.header {
		token.Header[k] = v
	}
	text, err := token.SignedString(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func (f *face) exchange(assertion string) reply {
	f.t.Helper()
	return f.form(url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
}

func (f *face) form(v url.Values) reply {
	f.t.Helper()
	return f.do("POST", "/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// accessToken is that of an answer.
func (r reply) accessToken() string {
	r.t.Helper()
	var v struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
		Type      string `json:"token_type"`
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != 200 || v.Token == "" || v.ExpiresIn != 3599 || v.Type != "Bearer" {
		r.t.Fatalf("got %d %s (%v)", r.status, r.body, err)
	}
	return v.Token
}

func (r reply) wantGrantError(code, description string) {
	r.t.Helper()
	r.want(400, fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description))
	if ct := r.header.Get("Content-Type"); ct != "application/json; charset=UTF-8" {
		r.t.Errorf("Content-Type %q", ct)
	}
}

const unreasonable = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. " +
	"Check your iat and exp values in the JWT claim."

func TestM_31_TheTokenEndpointGivesATokenForAGoodAssertionAlone(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now})
	r := f.exchange(f.assertion(c.t).signed(t))
	token := r.accessToken()
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if r := f.send(f.ProjectID(), "Authorization", "Bearer "+token); r.status != 200 {
		t.Errorf("the token does not serve: %d %s", r.status, r.body)
	}
	if again := f.exchange(f.assertion(c.t).signed(t)).accessToken(); again == token {
		t.Error("two requests got one token")
	}

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name        string
		spoil       func(*assertion)
		code, words string
	}{
		{"another key", func(a *assertion) { a.key = other }, "invalid_grant", "Invalid JWT Signature."},
		{"another kid", func(a *assertion) { a.header["kid"] = "x" }, "invalid_grant", "Invalid JWT Signature."},
		{"an empty kid", func(a *assertion) { a.header["kid"] = "" }, "invalid_grant", "Invalid JWT Signature."},
		{"another account", func(a *assertion) { a.claims["iss"] = "who@else" }, "invalid_grant", "Invalid grant: account not found"},
		{"another audience", func(a *assertion) { a.claims["aud"] = "https://fcm.googleapis.com/" }, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"no audience", func(a *assertion) { delete(a.claims, "aud") }, "invalid_grant", "Invalid JWT: Failed audience check."},
		{"no scope", func(a *assertion) { delete(a.claims, "scope") }, "invalid_scope", "Invalid OAuth scope or ID token audience provided."},
	} {
		t.Run("M-31 "+v.name, func(t *testing.T) {
			f := *f
			f.t = t
			a := f.assertion(c.t)
			v.spoil(a)
			f.exchange(a.signed(t)).wantGrantError(v.code, v.words)
		})
	}
	for _, aud := range []string{
		"https://oauth2.googleapis.com/token", "https://sim.test/token",
		"https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token",
	} {
		a := f.assertion(c.t)
		a.claims["aud"] = aud
		f.exchange(a.signed(t)).accessToken()
	}
	t.Run("M-31 another algorithm with the right key", func(t *testing.T) {
		f := *f
		f.t = t
		a := f.assertion(c.t)
		token := jwt.NewWithClaims(jwt.SigningMethodRS512, a.claims)
		text, err := token.SignedString(a.key)
		if err != nil {
			t.Fatal(err)
		}
		f.exchange(text).wantGrantError("invalid_grant", "Invalid JWT Signature.")
	})
	t.Run("M-31 Node's library names no key", func(t *testing.T) {
		f := *f
		f.t = t
		a := f.assertion(c.t)
		a.header = nil
		f.exchange(a.signed(t)).accessToken()
	})
	t.Run("M-31 HMAC with the public key is no signature", func(t *testing.T) {
		f := *f
		f.t = t
		a := f.assertion(c.t)
		public, err := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, a.claims)
		token.Header["kid"] = f.key.KeyID
		text, err := token.SignedString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		if err != nil {
			t.Fatal(err)
		}
		f.exchange(text).wantGrantError("invalid_grant", "Invalid JWT Signature.")
	})
	t.Run("M-31 what is no assertion is refused", func(t *testing.T) {
		f := *f
		f.t = t
		f.exchange("x").wantGrantError("invalid_grant", "Bad Request")
		f.form(url.Values{"grant_type": {jwtBearer}}).wantGrantError("invalid_request", "Required parameter is missing: assertion")
		f.do("POST", "/token?assertion="+f.assertion(c.t).signed(t), "grant_type="+url.QueryEscape(jwtBearer), "Content-Type", "application/x-www-form-urlencoded").
			wantGrantError("invalid_request", "Required parameter is missing: assertion")
		f.form(url.Values{"assertion": {"x"}}).wantGrantError("invalid_request", "Required parameter is missing: grant_type")
		f.form(url.Values{"grant_type": {"password"}}).wantGrantError("unsupported_grant_type", "Invalid grant_type: password")
		f.form(url.Values{"assertion": {strings.Repeat("x", 100_000)}}).
			wantGrantError("invalid_request", "The body is no form: send application/x-www-form-urlencoded")
		if r := f.do("GET", "/token?grant_type="+url.QueryEscape(jwtBearer), ""); r.status != 405 || r.header.Get("Allow") != "POST" {
			t.Errorf("GET: %d %v", r.status, r.header)
		}
	})
}

func TestM_32_AnAssertionHasToBeShortLivedAndOfNow(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now})
	for _, v := range []struct {
		name     string
		iat, exp time.Duration // from now
		good     bool
	}{
		{"60 minutes", 0, time.Hour, true},
		{"a second longer", 0, time.Hour + time.Second, false},
		{"the clock is 5 s behind", -5 * time.Second, time.Hour - 5*time.Second, true},
		{"the clock is 5 s ahead", 5 * time.Second, time.Hour + 5*time.Second, true},
		{"the clock is 6 minutes ahead", 6 * time.Minute, time.Hour, false},
		{"it has expired", -65*time.Minute - time.Second, -5*time.Minute - time.Second, false},
		{"it ends before it begins", 0, -time.Second, false},
	} {
		t.Run("M-32 "+v.name, func(t *testing.T) {
			f := *f
			f.t = t
			a := f.assertion(c.t)
			a.claims["iat"], a.claims["exp"] = c.t.Add(v.iat).Unix(), c.t.Add(v.exp).Unix()
			r := f.exchange(a.signed(t))
			if v.good {
				r.accessToken()
			} else {
				r.wantGrantError("invalid_grant", unreasonable)
			}
		})
	}
	for _, claim := range []string{"iat", "exp"} {
		t.Run("M-32 without "+claim, func(t *testing.T) {
			f := *f
			f.t = t
			a := f.assertion(c.t)
			delete(a.claims, claim)
			f.exchange(a.signed(t)).wantGrantError("invalid_grant", unreasonable)
		})
	}
}

func TestM_34_AccessTokensExpireByTheSimulatorsClock(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now})
	auth := []string{"Authorization", "Bearer " + f.exchange(f.assertion(c.t).signed(t)).accessToken()}
	wantStatus := func(status int) {
		t.Helper()
		if r := f.send(f.ProjectID(), auth...); r.status != status {
			t.Fatalf("got %d %s, want %d", r.status, r.body, status)
		}
	}
	c.pass(3598 * time.Second)
	wantStatus(200)
	c.pass(time.Second)
	wantStatus(401)
	auth = f.bearer()
	wantStatus(200)
	if n := f.ExpireAccessTokens(); n != 1 {
		t.Errorf("%d tokens lived, want 1", n)
	}
	wantStatus(401)
	auth = f.bearer()
	wantStatus(200)
}

func TestABrokenCredentialIsRefusedAsGoogleDoes(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now})
	good := f.assertion(c.t).signed(t)
	auth := f.bearer()
	f.SetAccess(fcmsim.Access{KeyRevoked: true})
	f.exchange(good).wantGrantError("invalid_grant", "Invalid JWT Signature.")
	f.SetAccess(fcmsim.Access{AccountDeleted: true})
	f.exchange(good).wantGrantError("invalid_grant", "Invalid grant: account not found")
	if r := f.send(f.ProjectID(), auth...); r.status != 200 {
		t.Errorf("an older access token died with its key: %s", r.body)
	}
	if got := f.Access(); got != (fcmsim.Access{AccountDeleted: true}) {
		t.Errorf("Access is %+v", got)
	}
	f.SetAccess(fcmsim.Access{})
	f.exchange(good).accessToken()
	if n := f.TokenRequests(); n != 3 {
		t.Errorf("%d requests were counted, want 3", n)
	}
}

func TestTheTokenEndpointFailsOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFace(t, fcmsim.Options{})
		ask := func() (reply, time.Duration) {
			start := time.Now()
			r := f.exchange(f.assertion(time.Now()).signed(t))
			return r, time.Since(start)
		}
		set := func(v fcmsim.TokenFault) {
			t.Helper()
			if err := f.SetTokenFault(v); err != nil {
				t.Fatal(err)
			}
		}
		set(fcmsim.TokenFault{Next: 2, Status: 503, Delay: time.Second})
		for range 2 {
			if r, took := ask(); r.status != 503 || took != time.Second || !strings.Contains(r.body, `"internal_failure"`) {
				t.Errorf("got %d after %v: %s", r.status, took, r.body)
			}
		}
		r, took := ask()
		if r.accessToken(); took != 0 {
			t.Errorf("took %v", took)
		}
		set(fcmsim.TokenFault{Delay: time.Minute})
		for range 2 {
			r, took := ask()
			if r.accessToken(); took != time.Minute {
				t.Errorf("took %v", took)
			}
		}
		set(fcmsim.TokenFault{Status: 403})
		if r, took := ask(); r.status != 403 || took != 0 {
			t.Errorf("got %d after %v", r.status, took)
		}
		set(fcmsim.TokenFault{})
		r, _ = ask()
		r.accessToken()
		for _, bad := range []fcmsim.TokenFault{{Next: -1}, {Delay: -1}, {Delay: time.Hour + 1}, {Status: 399}, {Status: 600}} {
			if err := f.SetTokenFault(bad); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
		// Who goes away is not waited for.
		set(fcmsim.TokenFault{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("got %v", err)
				}
			}()
			f.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", "http://sim.test/token", http.NoBody))
		}()
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheOldestAccessTokenIsForgottenFirst(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	first, second := f.bearer(), f.bearer()
	for range 9_999 {
		f.AccessToken()
	}
	if r := f.send(f.ProjectID(), first...); r.status != 401 || strings.Contains(r.body, "ACCESS_TOKEN_EXPIRED") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := f.send(f.ProjectID(), second...); r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// startFace starts a simulator on loopback.
func startFace(t *testing.T, opt fcmsim.Options) *fcmsim.Sim {
	t.Helper()
	opt.HTTPListen, opt.PlainHTTPListen = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	sim, err := fcmsim.Start(&opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

func TestM_31_GooglesOwnGoLibraryGetsATokenWithTheKeyFile(t *testing.T) {
	dir := t.TempDir()
	sim := startFace(t, fcmsim.Options{Dir: dir})
	path := filepath.Join(dir, "service-account.json")
	if sim.ServiceAccountFile() != path {
		t.Errorf("the file is %q", sim.ServiceAccountFile())
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != string(sim.ServiceAccountJSON()) {
		t.Fatalf("the file is not what the method says: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	cfg, err := google.JWTConfigFromJSON(text, messagingScope)
	if err != nil {
		t.Fatal(err)
	}
	if want := sim.PlainURL() + "/token"; cfg.TokenURL != want {
		t.Errorf("token_uri is %s, want %s", cfg.TokenURL, want)
	}
	token, err := cfg.TokenSource(t.Context()).Token()
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); token.TokenType != "Bearer" || left < 58*time.Minute || left > time.Hour {
		t.Errorf("got %s for %v", token.TokenType, left)
	}

	// The same over TLS, and with the whole of it: an authorized message.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig(sim)}}
	cfg.TokenURL = sim.FCMURL() + "/token"
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
	resp, err := cfg.Client(ctx).Post(sim.FCMURL()+"/v1/projects/"+sim.ProjectID()+"/messages:send", "application/json",
		strings.NewReader(fmt.Sprintf(`{"message":{"token":%q}}`, sim.Tokens()[0])))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		t.Errorf("%s %s %v", resp.Status, body, err)
	}

	// What is meant for one of the faces may be shown at another.
	for _, audience := range []string{sim.PlainURL(), sim.FCMURL()} {
		for _, at := range []string{sim.PlainURL(), sim.FCMURL()} {
			cfg.Audience, cfg.TokenURL = audience+"/token", at+"/token"
			if _, err := cfg.TokenSource(ctx).Token(); err != nil {
				t.Errorf("meant for %s, shown at %s: %v", audience, at, err)
			}
		}
	}
	cfg.Audience = ""

	sim.SetAccess(fcmsim.Access{KeyRevoked: true})
	_, err = cfg.TokenSource(ctx).Token()
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || e.Response.StatusCode != 400 || !strings.Contains(string(e.Body), "Invalid JWT Signature.") {
		t.Errorf("a revoked key: %v", err)
	}
}
