package fcmsim

import (
	"net/http"
	"time"
)

// An accessBody is the state of credentials on the wire, and a change of it:
// what is absent stays as it is.
type accessBody struct {
	KeyRevoked       *bool  `json:"key_revoked"`
	AccountDeleted   *bool  `json:"account_deleted"`
	ScopeLacking     *bool  `json:"scope_lacking"`
	PermissionDenied *bool  `json:"permission_denied"`
	APIDisabled      *bool  `json:"api_disabled"`
	ExpireTokens     bool   `json:"expire_tokens,omitempty"` // in changes only
	TokenStatus      *int   `json:"token_status"`
	TokenDelayMS     *int64 `json:"token_delay_ms"`
	TokenNext        *int   `json:"token_next"`
}

// An accessStatus is what is asked for by GET.
type accessStatus struct {
	Access
	TokenStatus   int   `json:"token_status"`
	TokenDelayMS  int64 `json:"token_delay_ms"`
	TokenNext     int   `json:"token_next"`
	TokenRequests int   `json:"token_requests"`
}

// status is called with mu held.
func (c *credentialState) status() accessStatus {
	return accessStatus{
		Access: c.access, TokenStatus: c.fault.Status, TokenDelayMS: c.fault.Delay.Milliseconds(),
		TokenNext: c.fault.Next, TokenRequests: c.requests,
	}
}

func (s *Sim) getAccess(http.ResponseWriter, *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credentials.status(), nil
}

func (s *Sim) postAccess(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body accessBody
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.credentials
	fault, access := c.fault, c.access
	if body.TokenStatus != nil {
		fault.Status = *body.TokenStatus
	}
	if body.TokenNext != nil {
		fault.Next = *body.TokenNext
	}
	if body.TokenDelayMS != nil {
		// Clamped where no Duration could hold it; both ends are refused.
		fault.Delay = time.Duration(min(max(*body.TokenDelayMS, -1), maxFaultDelay.Milliseconds()+1)) * time.Millisecond
	}
	if err := fault.check(); err != nil {
		return nil, err
	}
	for _, change := range []struct {
		to   *bool
		what *bool
	}{
		{body.KeyRevoked, &access.KeyRevoked},
		{body.AccountDeleted, &access.AccountDeleted},
		{body.ScopeLacking, &access.ScopeLacking},
		{body.PermissionDenied, &access.PermissionDenied},
		{body.APIDisabled, &access.APIDisabled},
	} {
		if change.to != nil {
			*change.what = *change.to
		}
	}
	c.fault, c.access = fault, access
	if body.ExpireTokens {
		c.expire(now)
	}
	return c.status(), nil
}

// deleteAccess mends everything.
func (s *Sim) deleteAccess(http.ResponseWriter, *http.Request) (any, error) {
	s.SetAccess(Access{})
	return nil, s.SetTokenFault(TokenFault{})
}

// postAccessToken issues an access token to whoever writes requests by hand.
func (s *Sim) postAccessToken(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]any{"access_token": s.AccessToken(), "expires_in": int(tokenLife / time.Second)}, nil
}

func (s *Sim) getGroups(http.ResponseWriter, *http.Request) (any, error) {
	return s.Groups(), nil
}
