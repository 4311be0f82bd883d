package fcmsim

import (
	"net/http"
	"strings"
)

// authenticate checks who sends.
func (s *Sim) authenticate(r *http.Request) *apiError {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		return errNoCredential()
	}
	return nil
}
