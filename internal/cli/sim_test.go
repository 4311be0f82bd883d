package cli_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/internal/localca"
)

// serverTLS is TLS as a server of the simulator's CA does it, for ports that
// are no CCS.
func (f *far) serverTLS(t *testing.T, name string) *tls.Config {
	t.Helper()
	ca, err := localca.Open(filepath.Dir(f.ca), nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// A simLine is the first line of sim; its keys are the contract's.
type simLine struct {
	CCS       string                  `json:"ccs"`
	Control   string                  `json:"control"`
	CAFile    string                  `json:"ca_file"`
	SenderID  ccs.SenderID            `json:"sender_id"`
	ServerKey string                  `json:"server_key"`
	Tokens    []ccs.RegistrationToken `json:"tokens"`
	Dead      []ccs.RegistrationToken `json:"dead_tokens"`
	Foreign   []ccs.RegistrationToken `json:"foreign_tokens"`

	FCM            string `json:"fcm"`
	ServiceAccount string `json:"service_account_file"`
	PlainHTTP      string `json:"plain_http"`
	ProjectID      string `json:"project_id"`
}

func startSim(t *testing.T, more ...string) (*process, simLine) {
	t.Helper()
	p := start(t, append([]string{"sim", "--ccs-listen", "127.0.0.1:0", "--ccs-listen", "127.0.0.1:0"}, more...)...)
	line := p.line()
	if got := keys(t, line); got != "ccs control ca_file sender_id server_key tokens dead_tokens foreign_tokens fcm service_account_file plain_http project_id" {
		t.Errorf("the line's keys are %s", got)
	}
	var l simLine
	read(t, line, &l)
	return p, l
}

func (p *process) terminate() result {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func TestSimPrintsWhatAnAppServerNeeds(t *testing.T) {
	t.Parallel()
	p, l := startSim(t, "--json")
	if len(l.Tokens) == 0 || len(l.Dead) == 0 || len(l.Foreign) == 0 || l.SenderID == "" || l.ServerKey == "" {
		t.Errorf("got %+v", l)
	}
	r := run("send", "--endpoint", l.CCS, "--ca-file", l.CAFile, "--sender-id", string(l.SenderID), "--key", l.ServerKey,
		"--to", string(l.Tokens[0]), "--message-id", "m-1", "--timeout", "20s")
	r.want(t, 0)
	resp, err := http.Get(l.Control + "/record")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		MessageID ccs.MessageID `json:"message_id"`
		Answer    string        `json:"answer"`
	}
	if err := json.Unmarshal(body, &rec); err != nil || rec.MessageID != "m-1" || rec.Answer != "ack" {
		t.Errorf("the record is %s (%v)", body, err)
	}
	r = p.terminate()
	r.want(t, 0)
	if r.out != "" || r.errOut != "" {
		t.Errorf("with --json there is more than the line: stdout %q, stderr %q", r.out, r.errOut)
	}
	if _, err := os.Stat(l.CAFile); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
}

func TestTheSameDataDirGivesTheSameValues(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var lines [2]simLine
	var cas, keys [2]string
	for i := range lines {
		p, l := startSim(t, append([]string{"--data-dir", dir, "--json"}, [][]string{{"--project-id", "my-project"}, nil}[i]...)...)
		ca, err := os.ReadFile(l.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		lines[i], cas[i], keys[i] = l, string(ca), l.key(t).PrivateKey
		p.terminate().want(t, 0)
	}
	a, b := lines[0], lines[1]
	if a.ProjectID != "my-project" || b.ProjectID != a.ProjectID || keys[0] != keys[1] || keys[0] == "" || a.ServiceAccount != b.ServiceAccount {
		t.Errorf("projects %s and %s, or the service account's key is another one", a.ProjectID, b.ProjectID)
	}
	if cas[0] != cas[1] || a.CAFile != b.CAFile || a.SenderID != b.SenderID || a.ServerKey != b.ServerKey ||
		!slices.Equal(a.Tokens, b.Tokens) || !slices.Equal(a.Dead, b.Dead) || !slices.Equal(a.Foreign, b.Foreign) {
		t.Errorf("first %+v\nthen  %+v", a, b)
	}
}

// A keyFile is what programs read of a service account's key file.
type keyFile struct {
	TokenURI   string `json:"token_uri"`
	PrivateKey string `json:"private_key"`
}

func (l *simLine) key(t *testing.T) (k keyFile) {
	t.Helper()
	text, err := os.ReadFile(l.ServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// send posts a message as a program does that was given the line alone.
func (l *simLine) send(t *testing.T, url string, client *http.Client) (status int, body string) {
	t.Helper()
	text, err := os.ReadFile(l.ServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := google.JWTConfigFromJSON(text, "https://www.googleapis.com/auth/firebase.messaging")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
	resp, err := cfg.Client(ctx).Post(url+"/v1/projects/"+l.ProjectID+"/messages:send", "application/json",
		strings.NewReader(`{"message":{"token":"`+string(l.Tokens[0])+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (l *simLine) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(l.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return roots
}

func TestSimTakesMessagesByHTTP(t *testing.T) {
	t.Parallel()
	_, l := startSim(t, "--json", "--project-id", "some-project", "--legacy", "2019")
	if want := l.PlainHTTP + "/token"; l.key(t).TokenURI != want {
		t.Errorf("token_uri is %s, want %s", l.key(t).TokenURI, want)
	}
	proxy, err := url.Parse(l.PlainHTTP)
	if err != nil {
		t.Fatal(err)
	}
	through := func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "fcm.googleapis.com" {
			return proxy, nil
		}
		return nil, nil
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots(t)}, Proxy: through}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, to := range []string{l.FCM, l.PlainHTTP, "https://fcm.googleapis.com"} {
		if status, body := l.send(t, to, client); status != 200 || !strings.Contains(body, "projects/some-project/messages/") {
			t.Errorf("%s: %d %s", to, status, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", l.FCM+"/fcm/send", strings.NewReader(`{"to":"`+string(l.Tokens[0])+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "key="+l.ServerKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Errorf("the legacy protocol of 2019: %s", resp.Status)
	}
}

func TestSimExplainsItselfWithoutShowingTheKeyAgain(t *testing.T) {
	t.Parallel()
	p, l := startSim(t)
	r := p.terminate()
	r.want(t, 0)
	r.wantErr(t, "--endpoint "+l.CCS, l.CAFile, l.Control+"/record", "HTTPS_PROXY="+l.PlainHTTP,
		"GOOGLE_APPLICATION_CREDENTIALS="+l.ServiceAccount, l.FCM+"/v1/projects/penstock-sim/messages:send", l.Control+"/access/token")
	if strings.Contains(r.errOut, l.ServerKey) || strings.Contains(r.errOut, string(l.Tokens[0])) {
		t.Errorf("stderr shows the key or a token:\n%s", r.errOut)
	}
}

func TestSimDrainsBeforeItEnds(t *testing.T) {
	t.Parallel()
	p, l := startSim(t, "--json")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := ccsclient.Dial(ctx, l.CCS, ccsclient.Credentials{SenderID: l.SenderID, Key: l.ServerKey},
		&ccsclient.Options{TLS: &tls.Config{RootCAs: l.roots(t)}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Draining():
	case <-ctx.Done():
		t.Fatal("no draining was announced")
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream ended by %v", err)
	}
	p.wait().want(t, 0)
}

func TestASignalThatComesTwiceAtOnceIsOne(t *testing.T) {
	t.Parallel()
	p, l := startSim(t, "--json")
	for range 2 { // as timeout(1) does
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	r := p.wait()
	r.want(t, 0)
	if _, err := os.Stat(l.CAFile); !os.IsNotExist(err) || r.errOut != "" {
		t.Errorf("it did not end in order: %v, stderr %s", err, r.errOut)
	}
}

func TestCtrlCEndsSimAsAnInterruption(t *testing.T) {
	t.Parallel()
	p, _ := startSim(t, "--json")
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.wait().want(t, 130)
}

// A message that gets no answer holds up the drain, until a second signal.
func TestAForcedEndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sim", "--json", "--ccs-listen", "127.0.0.1:0"},
		{"serve", "--sim", "--transport", "ccs", "--json"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			p := startCommand(t, command(t, []string{"TMPDIR=" + tmp}, args...))
			var l struct {
				CCS        string
				Control    string
				SimControl string                  `json:"sim_control"`
				CAFile     string                  `json:"ca_file"`
				SenderID   ccs.SenderID            `json:"sender_id"`
				ServerKey  string                  `json:"server_key"`
				Tokens     []ccs.RegistrationToken `json:"tokens"`
			}
			if err := json.Unmarshal([]byte(p.line()), &l); err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post(cmp.Or(l.SimControl, l.Control)+"/fault", "application/json", strings.NewReader(`{"silence":true}`))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			ca, err := os.ReadFile(l.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(ca)
			s, err := ccsclient.Dial(t.Context(), l.CCS, ccsclient.Credentials{SenderID: l.SenderID, Key: l.ServerKey},
				&ccsclient.Options{TLS: &tls.Config{RootCAs: roots}})
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = s.Run(t.Context()) }()
			go func() { _, _ = s.Send(t.Context(), &ccs.Downstream{To: l.Tokens[0], MessageID: "m-1"}) }()
			eventually(t, "the message is written", func() bool { return s.State().InFlight == 1 })
			p.signal(syscall.SIGTERM)
			eventually(t, "it is forced to end", func() bool {
				p.signal(syscall.SIGTERM) // one that comes too soon is the same signal
				return strings.Contains(p.errOut.String(), "forced to end")
			})
			p.wait().want(t, 130)
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestSimSaysWhichPortIsInUse(t *testing.T) {
	t.Parallel()
	taken := listener(t, func(net.Conn) {})
	for _, c := range []struct {
		flag string
		args []string
	}{
		{"--ccs-listen", []string{"--ccs-listen", taken}},
		{"--control-listen", []string{"--ccs-listen", "127.0.0.1:0", "--control-listen", taken}},
		{"--http-listen", []string{"--ccs-listen", "127.0.0.1:0", "--http-listen", taken}},
		{"--plain-http-listen", []string{"--ccs-listen", "127.0.0.1:0", "--plain-http-listen", taken}},
	} {
		r := run(append([]string{"sim", "--json"}, c.args...)...)
		r.want(t, 1)
		r.wantErr(t, taken+" is in use by another program", c.flag, "127.0.0.1:0 for any free port")
		if r.out != "" {
			t.Errorf("stdout: %s", r.out)
		}
	}
}

// A report is the last line of demo --json: the contract's keys, then ours.
type report struct {
	Report        bool    `json:"report"`
	Sent          int     `json:"sent"`
	Acked         int     `json:"acked"`
	Nacked        int     `json:"nacked"`
	Receipts      int     `json:"receipts"`
	Upstream      int     `json:"upstream"`
	Drains        int     `json:"drains"`
	Reconnects    int     `json:"reconnects"`
	Lost          int     `json:"lost"`
	Duplicated    int     `json:"duplicated"`
	MaxStallMS    float64 `json:"max_stall_ms"`
	OK            bool    `json:"ok"`
	Unanswered    int     `json:"unanswered"`
	DrainingNacks int     `json:"draining_nacks"`
	ResentUnknown int     `json:"resent_unknown"`
}

var shortDemo = []string{"demo", "--once", "--json", "--duration", "3s"}

func TestDemoReportsThatAllIsWell(t *testing.T) {
	t.Parallel()
	r := run(shortDemo...)
	r.want(t, 0)
	const want = "report sent acked nacked receipts upstream drains reconnects lost duplicated max_stall_ms ok unanswered draining_nacks resent_unknown"
	if got := keys(t, r.out); got != want {
		t.Errorf("keys are %s", got)
	}
	var rep report
	read(t, r.out, &rep)
	if !rep.Report || !rep.OK || rep.Sent != 600 || rep.Acked != 600 || rep.Drains == 0 || rep.Reconnects == 0 || rep.Receipts == 0 || rep.Upstream == 0 {
		t.Errorf("got %+v", rep)
	}
	if strings.Count(r.out, "\n") != 1 {
		t.Errorf("stdout has more than the report: %s", r.out)
	}
	r.wantErr(t, "announces draining", "without a word", "reset in the middle")
}

// The flow lasts as long as it was told to, also when its last message is out
// long before.
func TestASlowDemoSeesEveryScene(t *testing.T) {
	t.Parallel()
	r := run("demo", "--once", "--json", "--duration", "2s", "--rate", "1")
	r.want(t, 0)
	var rep report
	read(t, r.out, &rep)
	if !rep.OK || rep.Sent != 2 || rep.Acked != 2 {
		t.Errorf("got %+v", rep)
	}
	r.wantErr(t, "announces draining", "without a word", "reset in the middle")
}

// runPlanted builds the program with a fault in it and runs the demo.
func runPlanted(t *testing.T, tag string) report {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "penstock")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", tag, "-o", bin, "penstock/cmd/penstock")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build -tags %s: %v\n%s", tag, err, out)
	}
	out, err := exec.CommandContext(t.Context(), bin, shortDemo...).Output()
	if code := exitCode(t, err); code != 1 {
		t.Errorf("exit code %d, want 1: %s", code, out)
	}
	var rep report
	read(t, string(out), &rep)
	return rep
}

func TestDemoNoticesALoss(t *testing.T) {
	t.Parallel()
	if rep := runPlanted(t, "planted_drop"); rep.Lost != 1 || rep.Duplicated != 0 || rep.OK {
		t.Errorf("got %+v", rep)
	}
}

func TestDemoNoticesADoubleSend(t *testing.T) {
	t.Parallel()
	if rep := runPlanted(t, "planted_twice"); rep.Duplicated != 1 || rep.Lost != 0 || rep.OK {
		t.Errorf("got %+v", rep)
	}
}

func TestSimRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--ccs-listen", "foo"}, {"--ccs-listen", "127.0.0.1:99999"}, {"--ccs-listen", ""}, {"--control-listen", "9000"}, {"--http-listen", "foo"}, {"--plain-http-listen", ""}} {
		r := run(append([]string{"sim"}, args...)...)
		r.want(t, 2)
		r.wantErr(t, args[0], "host:port")
	}
	r := run("sim", "--ccs-listen", "127.0.0.1:0", "--project-id", "No Project")
	r.want(t, 2)
	r.wantErr(t, `--project-id "No Project" is not a project's id`)
}
