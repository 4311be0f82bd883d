package fcmsend

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// A TokenError says why there is no access token. It repeats nothing of what
// the token endpoint answered but words of a closed set.
type TokenError struct {
	// Status is the token endpoint's; 0: it did not answer, or was not asked.
	Status int
	// Code is OAuth's word, such as invalid_grant; empty: none that is known.
	Code string
	// Refused: a token was got, and FCM did not take it.
	Refused bool
	// Err is the cause; it may be nil.
	Err error
	// temporary: the endpoint could not be reached, or is in trouble.
	temporary bool
}

// errRefused is what FCM's refusals come to.
var errRefused = &TokenError{Refused: true, Err: errors.New("FCM refuses the access token")}

// Error says it in a line.
func (e *TokenError) Error() string {
	text := "no access token"
	switch {
	case e.Refused:
	case e.Code != "":
		text += fmt.Sprintf(" (HTTP %d %s)", e.Status, e.Code)
	case e.Status != 0:
		text += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// Temporary reports whether the token endpoint was out of reach or in trouble,
// so that nothing needs to be mended here.
func (e *TokenError) Temporary() bool { return e.temporary }

// The causes that the sentences of Google's token endpoint give away.
var (
	ErrClockSkew  = errors.New("the clock of this machine is off by minutes")
	ErrKeyRevoked = errors.New("the key is deleted, disabled or not of this account")
)

// oauthCodes are the words of RFC 6749 5.2, and those that Google adds.
var oauthCodes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true, "access_denied": true, "invalid_rapt": true,
	"server_error": true, "temporarily_unavailable": true, "internal_failure": true, "rate_limit_exceeded": true,
	"disabled_client": true, "org_internal": true, "admin_policy_enforced": true, "deleted_client": true,
}

// A tokenTrip is the transport of one request for a token. It binds what the
// library sends to a context, bounds what it reads, and remembers how it went:
// the library's own errors hold whole bodies and have lost their causes.
type tokenTrip struct {
	ctx  context.Context
	base http.RoundTripper

	mu     sync.Mutex // guards what follows
	asked  bool
	err    error
	status int
	body   []byte
}

// RoundTrip implements [http.RoundTripper].
func (t *tokenTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req.WithContext(t.ctx))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
		resp.Body.Close()
		if err == nil && len(body) > maxReply {
			err = errTooLong
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked, t.err = true, err
	if err != nil {
		return nil, err
	}
	t.status, t.body = resp.StatusCode, body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// explain makes an error that may be shown out of one that may hold secrets.
func (t *tokenTrip) explain(err error) *TokenError {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return &TokenError{Err: showable(t.err), temporary: true}
	case !t.asked && t.ctx.Err() != nil:
		return &TokenError{Err: t.ctx.Err(), temporary: true}
	case !t.asked:
		return &TokenError{Err: showable(err), temporary: isNetError(err)}
	case t.status < 300:
		return &TokenError{Status: t.status, Err: errors.New("the token endpoint's answer holds no token"), temporary: true}
	}
	e := &TokenError{Status: t.status, temporary: t.status >= 500 || t.status == http.StatusTooManyRequests}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(t.body, &answer) == nil && oauthCodes[answer.Error] {
		e.Code = answer.Error
		switch {
		case strings.Contains(answer.Description, "reasonable timeframe"):
			e.Err = ErrClockSkew
		case strings.Contains(answer.Description, "Invalid JWT Signature"), strings.Contains(answer.Description, "account not found"):
			e.Err = ErrKeyRevoked
		}
	}
	return e
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxReply)

// showable lets through the errors of network, TLS and files, without the URLs
// that net/http wraps around them. Anything else may quote what it was given.
func showable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if c, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return c
	}
	if isNetError(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errTooLong) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p
	}
	return errors.New("the credentials failed, and their words are not repeated here")
}

func isNetError(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}
