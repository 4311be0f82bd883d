package fcmsim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/google"

	"penstock/fcmsim"
)

func TestM_33_TheMetadataServerGivesTokenAndProject(t *testing.T) {
	f := newFace(t, fcmsim.Options{ProjectID: "my-project"})
	const accounts = "/computeMetadata/v1/instance/service-accounts/"
	get := func(path string) reply {
		t.Helper()
		return f.do("GET", path, "", "Metadata-Flavor", "Google")
	}
	for path, want := range map[string]string{
		"/computeMetadata/v1/project/project-id":            "my-project",
		"/computeMetadata/v1/project/numeric-project-id":    string(f.SenderID()),
		"/computeMetadata/v1/universe/universe-domain":      "googleapis.com",
		"/computeMetadata/v1/instance":                      "service-accounts/\n",
		"/computeMetadata/v1/instance/":                     "service-accounts/\n",
		accounts:                                            "default/\n" + f.key.ClientEmail + "/\n",
		accounts + "default/email":                          f.key.ClientEmail,
		accounts + f.key.ClientEmail + "/email":             f.key.ClientEmail,
		accounts + "default/scopes":                         "https://www.googleapis.com/auth/cloud-platform\n",
		accounts + "default/":                               "aliases\nemail\nscopes\ntoken\n",
		accounts + "default/token/":                         "",
		accounts + "another@my-project.example.com/token":   "",
		"/computeMetadata/v1/project/project-id/":           "",
		"/computeMetadata/v1/instance/attributes/something": "",
	} {
		r := get(path)
		if want == "" {
			if r.status != 404 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			continue
		}
		if r.status != 200 || r.body != want || r.header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("%s: %d %q %v, want %q", path, r.status, r.body, r.header, want)
		}
	}
	get(accounts+"default/?recursive=true").want(200,
		`{"aliases":["default"],"email":"`+f.key.ClientEmail+`","scopes":["https://www.googleapis.com/auth/cloud-platform"]}`)

	for _, query := range []string{"", "?scopes=" + messagingScope, "?scopes=email," + messagingScope} {
		token := get(accounts + "default/token" + query).accessToken()
		if r := f.send("my-project", "Authorization", "Bearer "+token); r.status != 200 {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	if r := f.send("my-project", "Authorization", "Bearer "+get(accounts+"default/token?scopes=email").accessToken()); r.status != 403 {
		t.Errorf("the scope that was asked for does not count: %d", r.status)
	}

	t.Run("M-33 without Metadata-Flavor", func(t *testing.T) {
		for _, header := range [][]string{nil, {"Metadata-Flavor", "google"}} {
			r := f.do("GET", accounts+"default/token", "", header...)
			if r.status != 403 || strings.Contains(r.body, "ya29") || r.header.Get("Metadata-Flavor") != "Google" {
				t.Errorf("%v: %d %s %v", header, r.status, r.body, r.header)
			}
		}
	})
	t.Run("M-33 other methods", func(t *testing.T) {
		r := f.do("POST", accounts+"default/token", "", "Metadata-Flavor", "Google")
		if r.status != 405 || r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("got %d %v", r.status, r.header)
		}
	})
	t.Run("M-33 the root tells who is there", func(t *testing.T) {
		if r := f.do("GET", "/", ""); r.status != 200 || r.header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("got %d %v", r.status, r.header)
		}
	})
}

func TestM_33_GooglesOwnGoLibraryFindsTheMetadataServer(t *testing.T) {
	sim := startFace(t, fcmsim.Options{})
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(sim.PlainURL(), "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	creds, err := google.FindDefaultCredentials(t.Context(), messagingScope)
	if err != nil {
		t.Fatal(err)
	}
	if creds.ProjectID != sim.ProjectID() {
		t.Errorf("the project is %q", creds.ProjectID)
	}
	token, err := creds.TokenSource.Token()
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); left < 58*time.Minute || left > time.Hour {
		t.Errorf("the token lives for %v", left)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", sim.PlainURL()+"/v1/projects/"+sim.ProjectID()+"/messages:send",
		strings.NewReader(`{"message":{"token":"`+string(sim.Tokens()[0])+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	token.SetAuthHeader(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Errorf("the token does not serve: %s", resp.Status)
	}
}
