package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gorush is a running gorush of the kind that sent by legacy HTTP. Where it
// posts to is built in.
type gorush struct {
	url  string
	http http.Client

	mu    sync.Mutex // guards what follows
	hooks []gorushLog
}

// A gorushLog is what gorush tells of one token, in its answer and by its hook.
type gorushLog struct {
	Type  string `json:"type"`
	Token string `json:"token"`
	Error string `json:"error"`
}

// startGorush starts gorush, which ends with the test. It trusts the simulator's
// certificate authority, and has one of Penstock's keys where Google's stood.
func startGorush(t *testing.T, s *simulator) *gorush {
	t.Helper()
	g := &gorush{http: http.Client{Timeout: patience}}
	hook := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var l gorushLog
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&l); err != nil {
			l.Error = "unreadable: " + err.Error()
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.hooks = append(g.hooks, l)
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		hook.Serve(ln) // returns when it is closed
	}()
	t.Cleanup(func() {
		hook.Close()
		<-served
	})

	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`core:
  enabled: true
  address: "127.0.0.1"
  port: "8088"
  sync: true
  mode: "release"
  max_notification: 100
  shutdown_timeout: 5
  feedback_hook_url: "http://%s/"
  feedback_timeout: 10
api:
  push_uri: "/api/push"
  stat_go_uri: "/api/stat/go"
  stat_app_uri: "/api/stat/app"
  config_uri: "/api/config"
  sys_stat_uri: "/sys/stats"
  metric_uri: "/metrics"
  health_uri: "/healthz"
android:
  enabled: true
  apikey: %q
  max_retry: 2
queue:
  engine: "local"
log:
  format: "json"
  access_log: "stdout"
  access_level: "info"
  error_log: "stderr"
  error_level: "error"
  hide_token: false
stat:
  engine: "memory"
`, ln.Addr(), s.ServerKey)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv(gorushEnv), "-c", config)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.CAFile)
	var out bytes.Buffer // read when the program has ended
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		<-ended
		if t.Failed() {
			t.Logf("what gorush wrote, at most its last 4,000 bytes:\n%s", out.Bytes()[max(0, out.Len()-4000):])
		}
	})
	g.url = "http://127.0.0.1:8088"
	poll(t, "gorush is there", func() bool {
		select {
		case <-ended:
			t.Fatal("gorush ended by itself")
		default:
		}
		resp, err := g.http.Get(g.url + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return g
}

// push posts one notification as a caller of gorush does. It returns what the
// answer says of tokens that failed, and what the hook was told of them.
func (g *gorush) push(t *testing.T, step string, more map[string]any) (logs, hooks []gorushLog) {
	t.Helper()
	n := map[string]any{
		"platform": 2, "title": "Goal", "message": "2:1", "sound": "default", "priority": "high",
		"collapse_key": "score", "time_to_live": 600,
		"notification": map[string]any{"badge": "3"},
		"data":         map[string]any{"step": step, "n": 12, "text": `Grüße & "quotes" <b>bold</b>`},
	}
	for k, v := range more {
		n[k] = v
	}
	body, err := json.Marshal(map[string]any{"notifications": []any{n}})
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.hooks = nil
	g.mu.Unlock()
	resp, err := g.http.Post(g.url+"/api/push", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Success string      `json:"success"`
		Logs    []gorushLog `json:"logs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK || answer.Success != "ok" {
		t.Fatalf("%s: %s, %+v (%v)", step, resp.Status, answer, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return answer.Logs, g.hooks
}

// gorushErrors makes of logs a map from tokens to what they failed of.
func gorushErrors(t *testing.T, logs []gorushLog) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, l := range logs {
		if l.Type != "failed-push" {
			t.Errorf("gorush logs %+v", l)
		}
		found[l.Token] = l.Error
	}
	return found
}

// TestGorush: gorush of the time of legacy HTTP, all of it, with a key of
// Penstock's in its configuration and nothing else changed.
func TestGorush(t *testing.T) {
	s := legacyServe(t)
	g := startGorush(t, s)
	row := legacyRow{name: "gorush", posts: "`fcm.googleapis.com/fcm/send`"}
	const malformed = "no token of ours"
	const dead, foreign, invalid = "unregistered device", "mismatched sender id", "invalid registration token"

	t.Run("F-06 one token", func(t *testing.T) {
		if logs, hooks := g.push(t, "one", map[string]any{"tokens": []string{s.Tokens[0]}}); len(logs)+len(hooks) > 0 {
			t.Errorf("gorush tells %+v, and its hook %+v", logs, hooks)
		}
		s.got(t, "one", false, s.Tokens[0])
	})
	t.Run("F-06 T-49 many tokens, and each that failed in the answer and by the hook", func(t *testing.T) {
		tokens := []string{s.Tokens[0], s.Dead[0], s.Tokens[1], s.Foreign[0], malformed, s.Tokens[2]}
		want := map[string]string{s.Dead[0]: dead, s.Foreign[0]: foreign, malformed: invalid}
		logs, hooks := g.push(t, "many", map[string]any{"tokens": tokens})
		for where, got := range map[string][]gorushLog{"the answer": logs, "the hook": hooks} {
			if found := gorushErrors(t, got); len(got) != 3 || fmt.Sprint(found) != fmt.Sprint(want) {
				t.Errorf("%s tells %+v", where, got)
			}
		}
		s.got(t, "many", false, tokens...)
		row.words = strings.Join([]string{code(dead), code(foreign), code(invalid)}, ", ")
	})
	t.Run("F-06 T-50 a topic", func(t *testing.T) {
		var subscriber struct {
			Token string `json:"token"`
		}
		s.call(t, "POST", "/devices", map[string]any{"topics": []string{"news"}}, &subscriber)
		if logs, hooks := g.push(t, "topic", map[string]any{"to": "/topics/news", "tokens": []string{}}); len(logs)+len(hooks) > 0 {
			t.Errorf("gorush tells %+v, and its hook %+v", logs, hooks)
		}
		list := s.of(t, "topic")
		if len(list) != 1 || !slices.Equal(list[0].DeliveredTo, []string{subscriber.Token}) {
			t.Fatalf("the far end got %+v; want one message, delivered to the subscriber", list)
		}
		s.payload(t, list[0], false)
	})
	t.Run("F-07 a wrong key, by api_key", func(t *testing.T) {
		const unauthorized = "401 error: 401 Unauthorized"
		logs, hooks := g.push(t, "wrong_key", map[string]any{"tokens": []string{s.Tokens[0]}, "api_key": "wrong"})
		if len(logs) != 0 || fmt.Sprint(gorushErrors(t, hooks)) != fmt.Sprint(map[string]string{s.Tokens[0]: unauthorized}) {
			t.Errorf("gorush tells %+v, and its hook %+v; want the hook alone told", logs, hooks)
		}
		s.got(t, "wrong_key", false)
		row.key = code(unauthorized) + ", by its hook alone"
	})
	t.Run("F-08 FCM answers 503", func(t *testing.T) {
		s.call(t, "POST", "/fault", map[string]any{"status": 503, "retry_after": "1", "token": s.Tokens[0], "next": 1}, nil)
		logs, hooks := g.push(t, "retry", map[string]any{"tokens": []string{s.Tokens[0]}})
		found := gorushErrors(t, hooks)
		const unavailable = "503 error: 503 Service Unavailable"
		if len(logs) != 0 || len(hooks) != 1 || found[s.Tokens[0]] != unavailable {
			t.Errorf("gorush tells %+v, and its hook %+v; want the hook alone told", logs, hooks)
		}
		if list := s.of(t, "retry"); len(list) != 1 || len(list[0].DeliveredTo) != 0 {
			t.Errorf("the far end got %+v; want one message that failed", list)
		}
		row.retry = "told " + code(unavailable) + ", by its hook alone"
	})
	t.Run("F-08 one of many is Unavailable, and sent again to that token alone", func(t *testing.T) {
		tokens := s.Tokens[4:8]
		s.call(t, "POST", "/fault", map[string]any{"status": 503, "retry_after": "1", "token": tokens[1], "next": 1}, nil)
		logs, _ := g.push(t, "retry_many", map[string]any{"tokens": tokens})
		if len(logs) != 1 || gorushErrors(t, logs)[tokens[1]] != "timeout" {
			t.Errorf("gorush tells %+v; want the first failure of the one token", logs)
		}
		delivered := map[string]int{}
		for _, r := range s.of(t, "retry_many") {
			for _, to := range r.DeliveredTo {
				delivered[to]++
			}
		}
		if n := len(s.of(t, "retry_many")); n != 5 || len(delivered) != 4 || slices.ContainsFunc(tokens, func(to string) bool { return delivered[to] != 1 }) {
			t.Errorf("the far end got %d messages, delivered to %d devices; want 5, one for each device and one that failed", n, len(delivered))
		}
		row.one = "sent again by gorush (`max_retry`), to that token alone; the first failure is told"
	})
	if !t.Failed() {
		legacyRows = append(legacyRows, row)
	}
}
