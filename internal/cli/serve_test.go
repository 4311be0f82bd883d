package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"penstock/ccs"
)

// A serveLine is the first line of serve --sim --json; its keys are the contract's.
type serveLine struct {
	CCS        string                  `json:"ccs"`
	HTTP       string                  `json:"http"`
	Admin      string                  `json:"admin"`
	SimControl string                  `json:"sim_control"`
	CAFile     string                  `json:"ca_file"`
	Project    string                  `json:"project"`
	SenderID   ccs.SenderID            `json:"sender_id"`
	ServerKey  string                  `json:"server_key"`
	Tokens     []ccs.RegistrationToken `json:"tokens"`
	Dead       []ccs.RegistrationToken `json:"dead_tokens"`
	Foreign    []ccs.RegistrationToken `json:"foreign_tokens"`
	FCM        string                  `json:"fcm"`
	ProjectID  string                  `json:"project_id"`
}

func startServe(t *testing.T, more ...string) (*process, serveLine) {
	t.Helper()
	p := start(t, append([]string{"serve", "--sim", "--json"}, more...)...)
	line := p.line()
	if got := keys(t, line); got != "ccs http admin sim_control ca_file project sender_id server_key tokens dead_tokens foreign_tokens fcm project_id" {
		t.Errorf("the line's keys are %s", got)
	}
	var l serveLine
	readSome(t, line, &l)
	return p, l
}

// readSome reads an object of which not every key matters.
func readSome(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
}

// post sends a body, and returns status and answer.
func (l *serveLine) post(t *testing.T, path, auth, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", auth)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A multicast is the answer of legacy HTTP.
type multicast struct {
	Success int `json:"success"`
	Failure int `json:"failure"`
	Results []struct {
		MessageID string `json:"message_id"`
		Error     string `json:"error"`
	} `json:"results"`
}

// received is how many messages the simulator has accepted.
func (l *serveLine) received(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(l.SimControl + "/record")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n := 0
	for dec := json.NewDecoder(resp.Body); ; n++ {
		var rec struct{ Answer string }
		if err := dec.Decode(&rec); err != nil {
			return n
		}
		if rec.Answer != "ack" {
			n--
		}
	}
}

func (l *serveLine) sendArgs(more ...string) []string {
	return append([]string{"send", "--endpoint", l.CCS, "--ca-file", l.CAFile, "--sender-id", string(l.SenderID), "--key", l.ServerKey, "--timeout", "20s", "--json"}, more...)
}

func TestServeSimTakesAllThreeDialects(t *testing.T) {
	t.Parallel()
	p, l := startServe(t)
	live, dead, foreign := l.Tokens[0], l.Dead[0], l.Foreign[0]
	key, bearer := "key="+l.ServerKey, "Bearer "+l.ServerKey
	v1 := "/v1/projects/" + l.ProjectID + "/messages:send"

	t.Run("one id by legacy HTTP", func(t *testing.T) {
		for _, auth := range []string{key, bearer} {
			var got multicast
			status, body := l.post(t, "/fcm/send", auth, fmt.Sprintf(`{"to":%q,"data":{"k":"v"}}`, live))
			readSome(t, body, &got)
			if status != 200 || got.Success != 1 || got.Results[0].MessageID == "" {
				t.Errorf("%d %s", status, body)
			}
		}
	})
	t.Run("a thousand ids by legacy HTTP, live, dead and foreign", func(t *testing.T) {
		kinds := []struct {
			token ccs.RegistrationToken
			word  string
		}{{live, ""}, {dead, "NotRegistered"}, {foreign, "MismatchSenderId"}, {"no-token", "InvalidRegistration"}, {l.Tokens[1], ""}}
		var ids []ccs.RegistrationToken
		for i := range 1000 {
			ids = append(ids, kinds[i%len(kinds)].token)
		}
		text, err := json.Marshal(map[string]any{"registration_ids": ids, "data": map[string]string{"k": "v"}})
		if err != nil {
			t.Fatal(err)
		}
		before := l.received(t)
		status, body := l.post(t, "/fcm/send", key, string(text))
		var got multicast
		readSome(t, body, &got)
		if status != 200 || got.Success != 400 || got.Failure != 600 || len(got.Results) != 1000 {
			t.Fatalf("%d, %d succeeded, %d failed, %d results", status, got.Success, got.Failure, len(got.Results))
		}
		for i, r := range got.Results {
			if want := kinds[i%len(kinds)].word; r.Error != want || (r.MessageID == "") != (want != "") {
				t.Fatalf("result %d is %+v, want %q", i, r, want)
			}
		}
		if n := l.received(t) - before; n != 400 {
			t.Errorf("the simulator accepted %d of them", n)
		}
	})
	t.Run("a thousand and one", func(t *testing.T) {
		text, err := json.Marshal(map[string]any{"registration_ids": slices.Repeat([]ccs.RegistrationToken{live}, 1001)})
		if err != nil {
			t.Fatal(err)
		}
		before := l.received(t)
		if status, body := l.post(t, "/fcm/send", key, string(text)); status != 400 || l.received(t) != before {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("HTTP v1", func(t *testing.T) {
		status, body := l.post(t, v1, bearer, fmt.Sprintf(`{"message":{"token":%q,"data":{"k":"v"}}}`, live))
		if status != 200 || !strings.Contains(body, `"projects/`+l.ProjectID+`/messages/`) {
			t.Errorf("%d %s", status, body)
		}
		status, body = l.post(t, v1, key, fmt.Sprintf(`{"message":{"token":%q}}`, dead))
		if status != 404 || !strings.Contains(body, `"errorCode": "UNREGISTERED"`) {
			t.Errorf("dead: %d %s", status, body)
		}
	})
	t.Run("CCS", func(t *testing.T) {
		for to, want := range map[ccs.RegistrationToken]string{live: "", dead: "DEVICE_UNREGISTERED", foreign: "SENDER_ID_MISMATCH", "no-token": "BAD_REGISTRATION"} {
			r := run(l.sendArgs("--to", string(to), "--data", "k=v")...)
			var got answerLine
			read(t, r.out, &got)
			if string(got.Error) != want || (got.Answer == "ack") != (want == "") {
				t.Errorf("got %+v, want %q", got, want)
			}
		}
	})
	t.Run("a wrong key", func(t *testing.T) {
		before := l.received(t)
		if status, _ := l.post(t, "/fcm/send", key+"x", fmt.Sprintf(`{"to":%q}`, live)); status != 401 {
			t.Errorf("legacy: %d", status)
		}
		if status, _ := l.post(t, v1, bearer+"x", fmt.Sprintf(`{"message":{"token":%q}}`, live)); status != 401 {
			t.Errorf("v1: %d", status)
		}
		r := run("send", "--endpoint", l.CCS, "--ca-file", l.CAFile, "--sender-id", string(l.SenderID), "--key", l.ServerKey+"x", "--to", string(live))
		r.want(t, 1)
		r.wantErr(t, "refused the credentials")
		if n := l.received(t) - before; n != 0 {
			t.Errorf("%d messages were sent", n)
		}
	})
	t.Run("somebody else's project", func(t *testing.T) {
		if status, body := l.post(t, "/v1/projects/other/messages:send", bearer, fmt.Sprintf(`{"message":{"token":%q}}`, live)); status != 403 && status != 404 {
			t.Errorf("%d %s", status, body)
		}
	})
	r := p.terminate()
	r.want(t, 0)
	if r.out != "" {
		t.Errorf("there is more on stdout: %q", r.out)
	}
	if strings.Contains(r.errOut, l.ServerKey) || strings.Contains(r.errOut, string(live)) {
		t.Errorf("stderr shows the key or a token:\n%s", r.errOut)
	}
	if _, err := os.Stat(l.CAFile); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
}

// The data directory of a real server is not the one that a simulation falls back to.
func TestServeSimWithAConfigurationHasADirectoryOfItsOwn(t *testing.T) {
	t.Parallel()
	named := filepath.Join(t.TempDir(), "named")
	for name, tt := range map[string]struct {
		settings string
		named    bool
	}{
		"no data_dir": {"log: {level: info}\n", false},
		"a data_dir":  {"data_dir: " + named + "\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "penstock.yaml")
			if err := os.WriteFile(file, []byte(tt.settings), 0o600); err != nil {
				t.Fatal(err)
			}
			p, l := startServe(t, "-c", file)
			p.terminate().want(t, 0)
			if in := filepath.Dir(l.CAFile) == named; in != tt.named {
				t.Errorf("it is in %s", l.CAFile)
			}
			if _, err := os.Stat(l.CAFile); os.IsNotExist(err) == tt.named {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestServeSimExplainsItself(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "--sim")
	var text strings.Builder
	for !strings.Contains(text.String(), "Ctrl-C ends it") {
		text.WriteString(p.line())
	}
	for _, want := range []string{"curl -H 'Authorization: key=", "/fcm/send", "curl -H 'Authorization: Bearer ", "/messages:send", "send --endpoint 127.0.0.1:", "/readyz", "ca.pem"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, text.String())
		}
	}
	p.terminate().want(t, 0)
}

func TestServeSimOverCCSBringsUpstreamBack(t *testing.T) {
	t.Parallel()
	p, l := startServe(t, "--transport", "ccs")
	listen := start(t, "listen", "--endpoint", l.CCS, "--ca-file", l.CAFile, "--sender-id", string(l.SenderID), "--key", l.ServerKey, "--json")
	resp, err := http.Post(l.SimControl+"/devices/"+string(l.Tokens[0])+"/upstream", "application/json", strings.NewReader(`{"data":{"hello":"server"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sent struct {
		ID ccs.MessageID `json:"message_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&sent); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Kind string
		From ccs.RegistrationToken
		ID   ccs.MessageID `json:"message_id"`
		Data map[string]string
	}
	readSome(t, listen.line(), &got)
	if got.Kind != "upstream" || got.From != l.Tokens[0] || got.ID != sent.ID || got.Data["hello"] != "server" {
		t.Errorf("got %+v, want %+v", got, sent)
	}
	r := run(l.sendArgs("--to", string(l.Tokens[0]), "--receipt", "--message-id", "m-1")...)
	r.want(t, 0)
	readSome(t, listen.line(), &got)
	if got.Kind != "receipt" || got.ID != "dr2:m-1" {
		t.Errorf("got %+v", got)
	}
	listen.terminate().want(t, 0)
	p.terminate().want(t, 0)
}

func TestServeKeepsItsValuesInTheDataDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // readable for all: a toy's directory may be
	var lines [2]serveLine
	for i := range lines {
		p, l := startServe(t, "--data-dir", dir)
		p.terminate().want(t, 0)
		lines[i] = l
	}
	a, b := lines[0], lines[1]
	if a.SenderID != b.SenderID || a.ServerKey != b.ServerKey || a.CAFile != b.CAFile || a.ProjectID != b.ProjectID ||
		!slices.Equal(a.Tokens, b.Tokens) || !slices.Equal(a.Dead, b.Dead) || !slices.Equal(a.Foreign, b.Foreign) {
		t.Errorf("first %+v\nthen  %+v", a, b)
	}
}

func TestServeSimWarnsOfAControlAPIForAll(t *testing.T) {
	t.Parallel()
	for address, warns := range map[string]bool{":0": true, "127.0.0.1:0": false} {
		p, _ := startServe(t, "--control-listen", address)
		r := p.terminate()
		r.want(t, 0)
		if got := strings.Contains(r.errOut, "asks nobody for a password"); got != warns {
			t.Errorf("%s: stderr %q", address, r.errOut)
		}
	}
}

// SIGTERM under load: exit 0, and every message that was answered well has
// reached the simulator.
func TestR_F40_ServeEndsUnderLoad(t *testing.T) {
	t.Parallel()
	p, l := startServe(t)
	var accepted, refused atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.HTTP+"/fcm/send", strings.NewReader(fmt.Sprintf(`{"to":%q,"data":{"k":"v"}}`, l.Tokens[0])))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "key="+l.ServerKey)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					refused.Add(1) // the door is closed
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || !strings.Contains(string(body), `"success":1`) {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				accepted.Add(1)
			}
		})
	}
	sending := start(t, l.sendArgs("--to", string(l.Tokens[1]), "--data", "k=v", "--count", "1000000", "--timeout", "3s")...)
	acked := 0
	for range 200 {
		var a answerLine
		read(t, sending.line(), &a)
		if a.Answer != "ack" {
			t.Errorf("before the end: %+v", a)
		}
		acked++
	}
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r := p.wait()
	r.want(t, 0)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	close(stop)
	load.Wait()
	if err := sending.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest := sending.wait()
	for line := range strings.Lines(rest.out) {
		var a answerLine
		if strings.Contains(line, `"summary"`) {
			continue
		}
		read(t, line, &a)
		switch a.Answer {
		case "ack":
			acked++
		case "nack":
			t.Errorf("a message was nacked on the way out: %+v", a)
		}
	}
	if accepted.Load() == 0 || refused.Load() != 4 {
		t.Errorf("%d accepted, %d of four senders found the door closed", accepted.Load(), refused.Load())
	}
	if strings.Contains(r.errOut, "level=ERROR") {
		t.Errorf("it complained:\n%s", r.errOut)
	}
}

func TestServeRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	key := put("key", "psk_0123456789abcdef")
	shop := func(transport string) string {
		return "data_dir: data\nccs: {listen: []}\nhttp: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n" +
			"projects: [{name: shop, sender_id: 1, keys: [{name: a, secret_file: " + key + "}], transport: " + transport + "}]\n"
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"a taken port", []string{"--sim", "--http-listen", taken.Addr().String()}, 1, []string{"cannot listen on " + taken.Addr().String(), "another program listens there", "http.listen (--http-listen)"}},
		{"a taken control port", []string{"--sim", "--control-listen", taken.Addr().String()}, 1, []string{"--control-listen"}},
		{"no address", []string{"--sim", "--ccs-listen", "5235"}, 2, []string{"--ccs-listen \"5235\" is no address"}},
		{"a bad file", []string{"-c", put("bad.yaml", "lgo: {}\nverdict_timeout: soon\n")}, 2, []string{"unknown key `lgo` at " + dir + "/bad.yaml:1: did you mean `log`?", "bad.yaml:2 is \"soon\""}},
		{"no file", []string{"-c", dir + "/nothing.yaml"}, 2, []string{"nothing.yaml: no such file"}},
		{"no credentials", []string{"-c", put("cred.yaml", shop("{fcm: {credentials_file: nowhere.json}}"))}, 2, []string{"`credentials_file` in transport.fcm of project shop at " + dir + "/cred.yaml:5", "nowhere.json"}},
		{"damaged credentials", []string{"-c", put("sa.yaml", shop("{fcm: {credentials_file: "+key+"}}"))}, 2, []string{"project shop (" + dir + "/sa.yaml:5)", "transport.fcm.credentials_file"}},
		{"a directory for all", []string{"--data-dir", open}, 2, []string{"`data_dir` at --data-dir is " + open + ", which others than its owner may open (mode 0755): run chmod 700 " + open}},
		{"flags of the simulator", []string{"--quotas", "google"}, 2, []string{"--quotas is for --sim"}},
		{"an unknown level", []string{"--log-level", "loud"}, 2, []string{"--log-level is \"loud\": give debug, info, warn or error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runWith(t, nil, append([]string{"serve"}, tt.args...)...)
			r.want(t, tt.code)
			r.wantErr(t, tt.want...)
			if r.out != "" {
				t.Errorf("stdout: %q", r.out)
			}
		})
	}
}

// Without a simulator: a project in a file, whose far end is a simulator's, and
// settings in the environment.
func TestServeWithAConfiguration(t *testing.T) {
	t.Parallel()
	behind, far := startServe(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("psk_0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "far"), []byte(far.ServerKey), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "penstock.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
data_dir: data
ccs: {listen: '127.0.0.1:0'}
http: {own_tls: true}
projects:
  - name: shop
    sender_id: %s
    keys: [{name: a, secret_file: key}]
    transport: {ccs: {endpoint: '%s', ca_file: %s, key_file: far}}
`, far.SenderID, far.CCS, far.CAFile), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, []string{"PENSTOCK_HTTP_LISTEN=127.0.0.1:0", "PENSTOCK_ADMIN_LISTEN=127.0.0.1:0", "PENSTOCK_CONFIG=" + file, "PENSTOCK_LOG_LEVEL=error"}, "serve", "--json")
	p := startCommand(t, cmd)
	line := p.line()
	if got := keys(t, line); got != "ccs http admin ca_file projects" {
		t.Errorf("the line's keys are %s", got)
	}
	var l serveLine
	var more struct{ Projects []string }
	readSome(t, line, &l)
	readSome(t, line, &more)
	if !slices.Equal(more.Projects, []string{"shop"}) || !strings.HasPrefix(l.HTTP, "https://") || l.CAFile != filepath.Join(dir, "data", "ca.pem") {
		t.Errorf("got %s", line)
	}
	l.SenderID, l.ServerKey = far.SenderID, "psk_0123456789abcdef"
	run(l.sendArgs("--to", string(far.Tokens[0]))...).want(t, 0)
	p.terminate().want(t, 0)
	behind.terminate().want(t, 0)
}
