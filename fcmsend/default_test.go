package fcmsend_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

// farOverHTTP is a far end on loopback, for what reads the environment and
// dials by itself.
func farOverHTTP(t *testing.T) (endpoint string, seen chan string) {
	seen = make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization") + " " + r.URL.Path
		fmt.Fprint(w, success)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, seen
}

// wantSent wants a message with these credentials to reach the far end, with that
// header and path.
func wantSent(t *testing.T, cred fcmsend.Credentials, want string) {
	t.Helper()
	endpoint, seen := farOverHTTP(t)
	s, err := fcmsend.New("", cred, &fcmsend.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Send(t.Context(), toToken()); err != nil || r.Name == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := <-seen; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// onMachine makes credentials of a machine whose metadata server is h, and which
// has no file.
func onMachine(t *testing.T, h http.HandlerFunc) {
	meta := httptest.NewServer(h)
	t.Cleanup(meta.Close)
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(meta.URL, "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
}

func TestS_18_TheMetadataServerWorksAlike(t *testing.T) {
	onMachine(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(403)
		case r.URL.Path == "/computeMetadata/v1/project/project-id":
			fmt.Fprint(w, "cloud-shop")
		case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token" && strings.HasSuffix(r.URL.Query().Get("scopes"), "/firebase.messaging"):
			giveToken(w, "from-metadata", 3599)
		default:
			w.WriteHeader(404)
		}
	})
	cred, err := fcmsend.Default(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSent(t, cred, "Bearer from-metadata /v1/projects/cloud-shop/messages:send")
}

// onSilentMachine is a machine whose metadata server says nothing after the
// project, or nothing at all.
func onSilentMachine(t *testing.T, project string) {
	ends := make(chan struct{})
	onMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if project != "" && strings.HasSuffix(r.URL.Path, "/project-id") {
			w.Header().Set("Metadata-Flavor", "Google")
			fmt.Fprint(w, project)
			return
		}
		select {
		case <-r.Context().Done():
		case <-ends:
		}
	})
	t.Cleanup(func() { close(ends) }) // before the server closes
}

func TestS_18_ASilentMetadataServerHoldsNobody(t *testing.T) {
	soon := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("who looks for it", func(t *testing.T) {
		onSilentMachine(t, "")
		began := time.Now()
		_, err := fcmsend.Default(soon(t))
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "the metadata server does not answer") || took > 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
	t.Run("who closes", func(t *testing.T) {
		onSilentMachine(t, "cloud-shop")
		cred, err := fcmsend.Default(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		endpoint, _ := farOverHTTP(t)
		s, err := fcmsend.New("", cred, &fcmsend.Options{Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Send(soon(t), toToken())
		wantError(t, fcmsend.Result{}, err, fcm.Unavailable, false)
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestTheMetadataServersAnswerMayHoldNoToken(t *testing.T) {
	for _, answer := range []string{"", "{}", `{"access_token":"canary","expires_in":0}`, `{"access_token":"canary","expires_in":1e300}`, `{"access_token":"canary","expires_in":99999999999}`, "canary"} {
		onMachine(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Metadata-Flavor", "Google")
			fmt.Fprint(w, answer)
		})
		cred, err := fcmsend.Default(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = cred.Token(t.Context(), nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestS_17_S_18_TheFilesOfTheMachineWorkAlike(t *testing.T) {
	token := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { giveToken(w, "from-file", 3599) }))
	defer token.Close()
	write := func(t *testing.T, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, serviceAccount(map[string]string{"token_uri": token.URL}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]func(t *testing.T) string{
		"the environment's": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "sa.json")
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
			return path
		},
		"gcloud's": func(t *testing.T) string {
			home := t.TempDir()
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
			t.Setenv("HOME", home)
			return filepath.Join(home, ".config", "gcloud", "application_default_credentials.json")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := path(t)
			write(t, path)
			cred, err := fcmsend.Default(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantSent(t, cred, "Bearer from-file "+sendPath)
			if file, err := fcmsend.File(path); err != nil || fmt.Sprintf("%T %[1]v", cred) != fmt.Sprintf("%T %[1]v", file) {
				t.Errorf("it is not followed as a file's: %T", cred)
			}
		})
	}
}

func TestAMachineWhoseFileCannotBeReadSaysWhich(t *testing.T) {
	onMachine(t, func(http.ResponseWriter, *http.Request) {})
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", missing)
	_, err := fcmsend.Default(t.Context())
	if err == nil || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") || !strings.Contains(err.Error(), missing) {
		t.Error(err)
	}
}
