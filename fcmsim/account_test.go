package fcmsim_test

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"penstock/fcmsim"
)

func tlsConfig(sim *fcmsim.Sim) *tls.Config { return &tls.Config{RootCAs: sim.CertPool()} }

func TestTheKeyFileLooksLikeGooglesOwn(t *testing.T) {
	f := newFace(t, fcmsim.Options{ProjectID: "my-project-1"})
	k := f.key
	if k.Type != "service_account" || k.ProjectID != "my-project-1" || f.ProjectID() != "my-project-1" ||
		k.ClientEmail != "penstock@my-project-1.iam.gserviceaccount.com" ||
		k.AuthURI != "https://accounts.google.com/o/oauth2/auth" || k.Universe != "googleapis.com" {
		t.Errorf("got %+v", k)
	}
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(k.KeyID) || !regexp.MustCompile(`^[0-9]{21}$`).MatchString(k.ClientID) {
		t.Errorf("ids %s, %s", k.KeyID, k.ClientID)
	}
	if bits := f.assertion(newClock().t).key.N.BitLen(); bits != 2048 {
		t.Errorf("the key has %d bits", bits)
	}
	if k.TokenURI != "https://oauth2.googleapis.com/token" {
		t.Errorf("without a face, token_uri is %s", k.TokenURI)
	}
	if f.ServiceAccountFile() != "" {
		t.Errorf("without a directory the file is %s", f.ServiceAccountFile())
	}
}

func TestTheSameDirectoryGivesTheSameAccount(t *testing.T) {
	dir := t.TempDir()
	read := func() (k serviceAccount) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "service-account.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &k); err != nil {
			t.Fatal(err)
		}
		return k
	}
	var keys []serviceAccount
	for range 2 {
		sim := startFace(t, fcmsim.Options{Dir: dir, ProjectID: map[bool]string{true: "kept-project"}[len(keys) == 0]})
		if err := sim.Close(); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, read())
		if want := sim.PlainURL() + "/token"; keys[len(keys)-1].TokenURI != want {
			t.Errorf("token_uri is %s, want %s", keys[len(keys)-1].TokenURI, want)
		}
	}
	if keys[0].TokenURI == keys[1].TokenURI {
		t.Fatal("both starts had the same port: nothing was shown")
	}
	keys[0].TokenURI = keys[1].TokenURI
	if keys[0] != keys[1] || keys[0].ProjectID != "kept-project" {
		t.Errorf("first %+v\nthen  %+v", keys[0], keys[1])
	}

	other := startFace(t, fcmsim.Options{Dir: t.TempDir()})
	if strings.Contains(string(other.ServiceAccountJSON()), keys[0].KeyID) || other.ProjectID() != "penstock-sim" {
		t.Error("another directory has the same key, or no project of its own")
	}
}

func TestADamagedKeyFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "service-account.json")
	for text, words := range map[string]string{
		"{":  "JSON",
		`{}`: "private_key is not PEM",
		`{"private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}`:                                                             "asn1",
		`{"private_key":"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"}`: "not RSA",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := fcmsim.New(&fcmsim.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatIsNoProjectIDIsRefused(t *testing.T) {
	for _, id := range []string{"short", "1digit-first", "-hyphen", "hyphen-at-the-end-", "Capital", "under_score", strings.Repeat("x", 31)} {
		if _, err := fcmsim.New(&fcmsim.Options{ProjectID: id, ClearText: true}); err == nil || !strings.Contains(err.Error(), "ProjectID") {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"six666", strings.Repeat("x", 30), "a-b-c-1"} {
		if sim, err := fcmsim.New(&fcmsim.Options{ProjectID: id, ClearText: true}); err != nil || sim.ProjectID() != id {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := fcmsim.New(&fcmsim.Options{Legacy: 2, ClearText: true}); err == nil {
		t.Error("an unknown Legacy was taken")
	}
}
