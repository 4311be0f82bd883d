package fcmsim

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// metadataPath is where the metadata server of Google's machines answers.
// Programs find ours by GCE_METADATA_HOST (docs/simulator.md).
const metadataPath = "/computeMetadata/v1/"

// serveMetadata is what programs need of the metadata server: the project, the
// account's name, and access tokens. The header Metadata-Flavor keeps web pages
// away from the real one, and is asked for here likewise.
func (s *Sim) serveMetadata(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Metadata-Flavor", "Google")
	h.Set("Server", "Metadata Server for VM")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "The metadata server takes GET", http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, metadataPath)
	switch path {
	case "project/project-id":
		s.answerMetadata(w, s.ProjectID())
		return
	case "project/numeric-project-id":
		s.answerMetadata(w, string(s.SenderID()))
		return
	case "universe/universe-domain":
		s.answerMetadata(w, "googleapis.com")
		return
	case "instance", "instance/":
		s.answerMetadata(w, "service-accounts/\n")
		return
	case "instance/service-accounts/":
		s.answerMetadata(w, "default/\n"+s.account.email()+"/\n")
		return
	}
	rest, ok := strings.CutPrefix(path, "instance/service-accounts/")
	name, what, _ := strings.Cut(rest, "/")
	if ok && (name == "default" || name == s.account.email()) {
		switch what {
		case "token":
			s.answerToken(w, metadataScopes(r.URL.Query().Get("scopes")))
			return
		case "email":
			s.answerMetadata(w, s.account.email())
			return
		case "scopes":
			s.answerMetadata(w, strings.Join(metadataScopes(""), "\n")+"\n")
			return
		case "":
			if r.URL.Query().Get("recursive") == "true" {
				writeOAuth(w, http.StatusOK, struct {
					Aliases []string `json:"aliases"`
					Email   string   `json:"email"`
					Scopes  []string `json:"scopes"`
				}{[]string{"default"}, s.account.email(), metadataScopes("")})
				return
			}
			s.answerMetadata(w, "aliases\nemail\nscopes\ntoken\n")
			return
		}
	}
	http.Error(w, fmt.Sprintf("The metadata server has nothing at %.200q", r.URL.Path), http.StatusNotFound)
}

// servePing answers those who look at the root of the plain listener: clients
// that want to know whether a metadata server is there ask for its header.
func (s *Sim) servePing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Metadata-Flavor", "Google")
	s.answerMetadata(w, "computeMetadata/\n")
}

func (s *Sim) answerMetadata(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/text")
	_, _ = io.WriteString(w, text) // who asked may be gone
}

// metadataScopes are those that a query asks for, or what a machine has.
func metadataScopes(query string) []string {
	scopes := strings.FieldsFunc(query, func(r rune) bool { return r == ',' || r == ' ' })
	if len(scopes) == 0 {
		return []string{scopeCloud}
	}
	return scopes
}
