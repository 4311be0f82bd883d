package app

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/config"
)

// Whoever asks and reads nothing has its connection for some time only.
func TestAdminWaitsForNoReaderLongerThanItsAnswerTakes(t *testing.T) {
	for path, want := range map[string]time.Duration{
		"/metrics": 30 * time.Second,
		"/nothing": 30 * time.Second,
		"/debug/pprof/goroutine?debug=2&seconds=": 60 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg, err := config.Load(config.Sources{Environ: []string{}, Flags: map[string]string{
				"data_dir": filepath.Join(t.TempDir(), "data"), "ccs.listen": "", "http.listen": "", "admin.pprof": "true",
				"limits.http_header_timeout": "1h", "limits.http_read_timeout": "1h", "limits.http_idle_timeout": "1h",
			}})
			if err != nil {
				t.Fatal(err)
			}
			a, err := New(cfg, Options{})
			if err != nil {
				t.Fatal(err)
			}
			l := ccstest.Listen()
			done := make(chan error, 1)
			go func() { done <- a.admin.Serve(l) }()
			conn, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			request := []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
			// Until the far end ends it: its answers fill the pipe, and then
			// what is asked fills it too.
			if _, err = io.Copy(conn, bytes.NewReader(bytes.Repeat(request, 20_000))); err == nil {
				t.Error("all of it was taken")
			}
			if took := time.Since(began); took < want || took > want+time.Second {
				t.Errorf("%s: the connection was ended after %v, want %v", path, took, want)
			}
			conn.Close()
			a.admin.Close()
			<-done
		})
	}
}

func TestProfilesHaveTheTimeThatTheyTake(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"": 30 * time.Second, "seconds=5": 5 * time.Second, "seconds=0.5": 500 * time.Millisecond, "seconds=600": 10 * time.Minute,
		"seconds=0": 30 * time.Second, "seconds=-1": 30 * time.Second, "seconds=NaN": 30 * time.Second, "seconds=many": 30 * time.Second,
		"seconds=86400": time.Hour, "seconds=Inf": time.Hour, "seconds=1e300": time.Hour,
	} {
		r, err := http.NewRequest(http.MethodGet, "http://localhost/debug/pprof/profile?"+query, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		if got := profileTime(r); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}
