package fcmsim

import (
	"fmt"
	"net/http"
)

// serveSend is messages:send of HTTP v1.
func (s *Sim) serveSend(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		servePathless(w, r)
		return
	}
	if err := s.authenticate(r); err != nil {
		err.write(w, false)
		return
	}
	w.Header()["Content-Type"] = jsonType
	fmt.Fprintf(w, "{\n  \"name\": \"projects/%s/messages/%s\"\n}\n", r.PathValue("project"), "0:1")
}
