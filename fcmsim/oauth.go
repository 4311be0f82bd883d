package fcmsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Numbers of the token endpoint (docs/fcm-http.md, OAuth).
const (
	// tokenLife is how long an access token is good, as the answer says it.
	tokenLife = 3599 * time.Second
	// maxAssertionLife is what iat and exp of an assertion may be apart.
	maxAssertionLife = 60 * time.Minute
	// maxSkew is how far the app server's clock may be off. Google publishes
	// no number; this one is ours.
	maxSkew = 5 * time.Minute
	// maxAccessTokens bounds the access tokens that are remembered, expired
	// ones too. The oldest is forgotten first, and is then unknown.
	maxAccessTokens = 10_000
	maxTokenBody    = 64 << 10
)

// The scopes of which one is needed to send.
const (
	scopeMessaging = "https://www.googleapis.com/auth/firebase.messaging"
	scopeCloud     = "https://www.googleapis.com/auth/cloud-platform"
)

const (
	jwtBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	googleTokenURI = "https://oauth2.googleapis.com/token"
	tokenPath      = "/token"
)

// olderTokenURIs are Google's token endpoint as older libraries know it.
var olderTokenURIs = []string{
	"https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token",
}

// Access says what is wrong with the credentials of the simulator's project.
// The zero value is: nothing.
type Access struct {
	// KeyRevoked: the service account's key was deleted. The token endpoint
	// refuses its assertions; access tokens that were issued live on.
	KeyRevoked bool `json:"key_revoked"`
	// AccountDeleted: likewise the whole account.
	AccountDeleted bool `json:"account_deleted"`
	// ScopeLacking: access tokens count as issued for no scope of use.
	ScopeLacking bool `json:"scope_lacking"`
	// PermissionDenied: the account has no role with
	// cloudmessaging.messages.create.
	PermissionDenied bool `json:"permission_denied"`
	// APIDisabled: the project has not enabled the messaging API.
	APIDisabled bool `json:"api_disabled"`
}

// A TokenFault is what the token endpoint does wrong. The zero value is
// nothing.
type TokenFault struct {
	// Next is to how many requests it happens; 0 means all.
	Next int
	// Delay is how much later the endpoint answers, at most an hour.
	Delay time.Duration
	// Status is an HTTP status from 400 to 599 that it answers instead of
	// looking at the request; 0 for none.
	Status int
}

func (f TokenFault) check() error {
	switch {
	case f.Next < 0:
		return errors.New("token_next must not be negative")
	case f.Delay < 0 || f.Delay > maxFaultDelay:
		return fmt.Errorf("token_delay_ms must be between 0 and %d", maxFaultDelay.Milliseconds())
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return errors.New("token_status must be between 400 and 599, or 0 for none")
	}
	return nil
}

// A credentialState is guarded by the simulator's mutex.
type credentialState struct {
	access   Access
	fault    TokenFault
	requests int // to the token endpoint, refused ones too
	tokens   map[string]*accessToken
	order    ring[*accessToken]
}

type accessToken struct {
	text    string
	expires time.Time
	scopes  []string
}

// Access tells what was set by [Sim.SetAccess].
func (s *Sim) Access() Access {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credentials.access
}

// SetAccess breaks or mends the credentials of the simulator's project.
func (s *Sim) SetAccess(a Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials.access = a
}

// SetTokenFault takes the place of the fault that was set before; the zero
// value ends it.
func (s *Sim) SetTokenFault(f TokenFault) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("fcmsim: set token fault: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials.fault = f
	return nil
}

// TokenRequests counts the requests to the token endpoint, refused ones too.
func (s *Sim) TokenRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credentials.requests
}

// AccessToken issues an access token, as the token endpoint does, for those who
// write their requests by hand.
func (s *Sim) AccessToken() string {
	return s.issue([]string{scopeMessaging})
}

// ExpireAccessTokens ends the life of all access tokens now, and says how many
// there were.
func (s *Sim) ExpireAccessTokens() int {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credentials.expire(now)
}

// expire is called with mu held.
func (c *credentialState) expire(now time.Time) int {
	n := 0
	for _, t := range c.tokens {
		if now.Before(t.expires) {
			t.expires = now
			n++
		}
	}
	return n
}

func (s *Sim) issue(scopes []string) string {
	t := &accessToken{text: "ya29.c." + randomText(160), expires: s.opt.Now().Add(tokenLife), scopes: scopes}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials.tokens[t.text] = t
	if old, gone := s.credentials.order.add(t); gone {
		delete(s.credentials.tokens, old.text)
	}
	return t.text
}

// tokenFault is what happens to a request to the token endpoint, which is
// counted by this.
func (s *Sim) tokenFault() TokenFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.credentials
	c.requests++
	f := c.fault
	if f.Next > 0 {
		if c.fault.Next--; c.fault.Next == 0 {
			c.fault = TokenFault{}
		}
	}
	return f
}

// An oauthError is what the token endpoint answers to a bad request (RFC 6749,
// section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func invalidGrant(description string) *oauthError { return &oauthError{"invalid_grant", description} }

// serveToken is the token endpoint: it gives an access token for an assertion
// that the service account has signed (RFC 7523).
func (s *Sim) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeOAuth(w, http.StatusMethodNotAllowed, &oauthError{"invalid_request", "The token endpoint takes POST"})
		return
	}
	do := s.tokenFault()
	s.pause(r, do.Delay)
	if do.Status != 0 {
		code := "internal_failure"
		if do.Status < 500 {
			code = "invalid_request"
		}
		writeOAuth(w, do.Status, &oauthError{code, "A fault that was asked for"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenBody)
	scopes, err := s.grant(r)
	if err != nil {
		writeOAuth(w, http.StatusBadRequest, err)
		return
	}
	s.answerToken(w, scopes)
}

// answerToken is the answer of token endpoint and metadata server alike.
func (s *Sim) answerToken(w http.ResponseWriter, scopes []string) {
	writeOAuth(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}{s.issue(scopes), int(tokenLife / time.Second), "Bearer"})
}

// grant checks a request and returns the scopes that it asks for.
func (s *Sim) grant(r *http.Request) ([]string, *oauthError) {
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{"invalid_request", "The body is no form: send application/x-www-form-urlencoded"}
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case jwtBearer:
	case "":
		return nil, &oauthError{"invalid_request", "Required parameter is missing: grant_type"}
	default:
		return nil, &oauthError{"unsupported_grant_type", fmt.Sprintf("Invalid grant_type: %.80s", grant)}
	}
	assertion := r.PostForm.Get("assertion")
	if assertion == "" {
		return nil, &oauthError{"invalid_request", "Required parameter is missing: assertion"}
	}
	return s.assertion(assertion, s.audiences(r))
}

// assertionClaims are those of an assertion that count.
type assertionClaims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

// assertion checks what the service account has signed.
func (s *Sim) assertion(text string, audiences []string) ([]string, *oauthError) {
	access := s.Access()
	var c assertionClaims
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation()).
		ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return &s.account.private().PublicKey, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, invalidGrant("Bad Request")
	case c.Issuer != s.account.email() || access.AccountDeleted:
		return nil, invalidGrant("Invalid grant: account not found")
	case err != nil || access.KeyRevoked || !s.signedWith(token.Header["kid"]):
		return nil, invalidGrant("Invalid JWT Signature.")
	}
	if err := s.timely(&c); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(audiences, aud) }) {
		return nil, invalidGrant("Invalid JWT: Failed audience check.")
	}
	scopes := strings.Fields(c.Scope)
	if len(scopes) == 0 {
		return nil, &oauthError{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	return scopes, nil
}

// signedWith reports whether kid names the account's key. Node's library names
// none, and is served all the same.
func (s *Sim) signedWith(kid any) bool { return kid == nil || kid == s.account.keyID() }

// timely checks the times of an assertion.
func (s *Sim) timely(c *assertionClaims) *oauthError {
	now := s.opt.Now()
	if c.IssuedAt != nil && c.ExpiresAt != nil {
		iat, exp := c.IssuedAt.Time, c.ExpiresAt.Time
		if exp.After(iat) && exp.Sub(iat) <= maxAssertionLife &&
			!iat.After(now.Add(maxSkew)) && exp.After(now.Add(-maxSkew)) {
			return nil
		}
	}
	return invalidGrant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. " +
		"Check your iat and exp values in the JWT claim.")
}

// audiences are what an assertion may be meant for: the endpoint as it was
// asked, under its other addresses, and under Google's name.
func (s *Sim) audiences(r *http.Request) []string {
	list := append(slices.Clone(olderTokenURIs), googleTokenURI, "https://"+r.Host+tokenPath, "http://"+r.Host+tokenPath)
	for _, base := range []string{s.PlainURL(), s.FCMURL()} {
		if base != "" {
			list = append(list, base+tokenPath)
		}
	}
	return list
}

func writeOAuth(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // structs of strings and numbers can always be written
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked may be gone
}
