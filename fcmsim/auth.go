package fcmsim

import (
	"net/http"
	"slices"
	"strings"
)

// authenticate decides whether a request may use the project that its path
// names.
func (s *Sim) authenticate(r *http.Request) *apiError { return s.authorize(r, r.PathValue("project")) }

// authorize decides whether a request may use a project, which is named by its
// id or its number. Only the header Authorization counts: an access token
// in the URL, which Google would take too, is as none, for it ends up in logs.
func (s *Sim) authorize(r *http.Request, project string) *apiError {
	bearer, ok := bearerToken(r)
	if !ok {
		return errNoCredential()
	}
	now := s.opt.Now()
	s.mu.Lock()
	access := s.credentials.access
	token := s.credentials.tokens[bearer]
	expired := token != nil && !now.Before(token.expires) // guarded: ExpireAccessTokens writes it
	s.mu.Unlock()
	switch {
	case token == nil:
		return errBadCredential()
	case expired:
		return errCredentialExpired()
	case access.ScopeLacking || !slices.Contains(token.scopes, scopeMessaging) && !slices.Contains(token.scopes, scopeCloud):
		return errScope()
	case !s.isProject(project):
		return errPermission(project)
	case access.APIDisabled:
		return errDisabled(string(s.state.SenderID))
	case access.PermissionDenied:
		return errPermission(project)
	}
	return nil
}

// isProject reports whether name is the id or the number of the simulator's
// project.
func (s *Sim) isProject(name string) bool {
	return name == s.state.ProjectID || name == string(s.state.SenderID)
}

// bearerToken is the access token of a request, if it has one. The name of the
// scheme may have any case (RFC 9110, section 11.1).
func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !ok || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return token, true
}
