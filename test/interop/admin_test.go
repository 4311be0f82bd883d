package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An order is what a program on an Admin SDK is told to do.
type order struct {
	ProjectID          string   `json:"project_id"`
	ServiceAccountFile string   `json:"service_account_file,omitempty"` // or
	Bearer             string   `json:"bearer,omitempty"`               // a server key
	Endpoint           string   `json:"endpoint,omitempty"`
	Steps              []string `json:"steps"`
	Live               []string `json:"live"`
	Dead               string   `json:"dead"`
	Foreign            string   `json:"foreign"`
	Topic              string   `json:"topic"`
	Each               int      `json:"each"`
}

// A result is what the SDK made of one step.
type result struct {
	Step    string         `json:"step"`
	OK      bool           `json:"ok"`
	Name    string         `json:"name"`
	Code    string         `json:"code"`
	Error   string         `json:"error"`
	Success int            `json:"success"`
	Failure int            `json:"failure"`
	Codes   map[string]int `json:"codes"`
}

// An adminSDK is one of Google's Admin SDKs with the program that uses it.
type adminSDK struct {
	name string
	// command runs the program with the order in a file. The certificate
	// authority in ca is trusted, beside the others or alone.
	command func(t *testing.T, file, ca string) *exec.Cmd
	// The SDK's own words for three errors.
	dead, foreign, malformed string
	topics                   []string // steps that subscribe and unsubscribe
}

var adminSDKs = []adminSDK{
	{
		name: "Go",
		command: func(_ *testing.T, file, ca string) *exec.Cmd {
			cmd := exec.Command(os.Getenv(adminGoEnv), file)
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+ca)
			return cmd
		},
		dead: "unregistered", foreign: "sender-id-mismatch", malformed: "invalid-argument",
		topics: []string{"subscribe", "topic", "condition", "unsubscribe"},
	},
	{
		name:    "Node 14",
		command: adminNode("firebase-admin"),
		dead:    "messaging/registration-token-not-registered", foreign: "messaging/mismatched-credential", malformed: "messaging/invalid-argument",
		topics: []string{"subscribe", "topic", "condition", "unsubscribe", "subscribe_legacy", "unsubscribe"},
	},
	{
		name:    "Node 13",
		command: adminNode("firebase-admin-13"),
		dead:    "messaging/registration-token-not-registered", foreign: "messaging/mismatched-credential", malformed: "messaging/invalid-argument",
		topics: []string{"subscribe", "topic", "condition", "unsubscribe"},
	},
	{
		name: "Python",
		command: func(_ *testing.T, file, ca string) *exec.Cmd {
			cmd := exec.Command(os.Getenv(adminPythonEnv), "admin-python/app.py", file)
			cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+ca, "SSL_CERT_FILE="+ca)
			return cmd
		},
		dead: "UnregisteredError", foreign: "SenderIdMismatchError", malformed: "InvalidArgumentError",
		topics: []string{"subscribe", "topic", "condition", "unsubscribe"},
	},
	{
		name: "Java",
		command: func(t *testing.T, file, ca string) *exec.Cmd {
			return exec.Command("java", "-XX:TieredStopAtLevel=1", "-Xmx512m",
				"-Djavax.net.ssl.trustStore="+trustStore(t, ca), "-Djavax.net.ssl.trustStorePassword=changeit",
				"-cp", filepath.Join(os.Getenv(adminJavaEnv), "classes")+":"+filepath.Join(os.Getenv(adminJavaEnv), "lib", "*"),
				"interop.Admin", file)
		},
		dead: "UNREGISTERED", foreign: "SENDER_ID_MISMATCH", malformed: "INVALID_ARGUMENT",
		topics: []string{"subscribe", "topic", "condition", "unsubscribe"},
	},
}

func adminNode(pkg string) func(*testing.T, string, string) *exec.Cmd {
	return func(_ *testing.T, file, ca string) *exec.Cmd {
		cmd := exec.Command("node", "admin-node/app.js", pkg, file)
		cmd.Env = append(os.Environ(), "NODE_PATH="+os.Getenv(adminNodeEnv), "NODE_EXTRA_CA_CERTS="+ca)
		return cmd
	}
}

// run runs the program to its end and returns what it told, by step.
func (sdk *adminSDK) run(t *testing.T, ca string, o order, env ...string) map[string]result {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := sdk.command(t, file, ca)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(4*patience, func() { cmd.Process.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the program: %v\n%.4000s\n%.4000s", err, stdout.String(), stderr.String())
	}
	results := map[string]result{}
	for line := range strings.Lines(stdout.String()) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("the program wrote %.200q", line)
		}
		results[r.Step] = r
	}
	for _, step := range o.Steps {
		if _, ok := results[step]; !ok {
			t.Errorf("the program told nothing of %s", step)
		}
	}
	if t.Failed() {
		t.Logf("%.4000s", stderr.String())
	}
	return results
}

// judge wants the results of sending to the right, and each error by the SDK's
// own word.
func (sdk *adminSDK) judge(t *testing.T, got map[string]result, project string) {
	t.Helper()
	for _, step := range []string{"send", "dry_run"} {
		r := got[step]
		if !r.OK || !strings.HasPrefix(r.Name, "projects/"+project+"/messages/") {
			t.Errorf("%s: %+v; want a name in project %s", step, r, project)
		}
	}
	for step, code := range map[string]string{"dead": sdk.dead, "foreign": sdk.foreign, "malformed": sdk.malformed} {
		if r := got[step]; r.OK || r.Code != code {
			t.Errorf("%s: %+v; want the code %s", step, r, code)
		}
	}
	r := got["each"]
	if !r.OK || r.Success != each-2 || r.Failure != 2 || r.Codes[sdk.dead] != 1 || r.Codes[sdk.foreign] != 1 {
		t.Errorf("each: %+v; want %d of %d sent, and a dead and a foreign token", r, each-2, each)
	}
}

const each = 500

var sending = []string{"send", "dry_run", "dead", "foreign", "malformed", "each"}

// TestAdminSDKs: Google's own SDKs, unchanged, at Google's own names, which are
// loopback here. First the simulator stands there, then penstock serve.
func TestAdminSDKs(t *testing.T) {
	//conformance:S-03 M-25 M-29 M-30
	sim := startSim(t, "--ccs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:443")
	for _, sdk := range adminSDKs {
		items := map[string]string{"Node 14": "M-29 M-25 ", "Node 13": "M-29 M-25 ", "Python": "M-30 ", "Java": "M-30 "}[sdk.name]
		o := order{
			ProjectID: sim.ProjectID, ServiceAccountFile: sim.ServiceAccountFile,
			Live: sim.Tokens, Dead: sim.Dead[0], Foreign: sim.Foreign[0], Each: each,
			Topic: "news-" + strings.ReplaceAll(sdk.name, " ", "-"), Steps: slices.Concat(sending, sdk.topics),
		}
		t.Run(items+"S-03 Admin SDK for "+sdk.name+": sends, to 500, to topics, at the simulator", func(t *testing.T) {
			got := sdk.run(t, sim.CAFile, o)
			sdk.judge(t, got, o.ProjectID)
			for _, step := range sdk.topics {
				switch r := got[step]; {
				case strings.HasSuffix(step, "subscribe") || step == "subscribe_legacy":
					if !r.OK || r.Success != 1 || r.Failure != 1 {
						t.Errorf("%s: %+v; want the live token done and the dead one refused", step, r)
					}
				case !r.OK || strings.Trim(r.Name[strings.LastIndexByte(r.Name, '/')+1:], "0123456789") != "":
					t.Errorf("%s: %+v; want a name that ends in digits", step, r)
				}
			}
		})
	}
	goSDK := adminSDKs[0]
	o := order{
		ProjectID: sim.ProjectID, ServiceAccountFile: sim.ServiceAccountFile,
		Live: sim.Tokens, Dead: sim.Dead[0], Foreign: sim.Foreign[0], Each: each, Steps: sending,
	}
	t.Run("M-27 Admin SDK for Go: with an endpoint in clear text", func(t *testing.T) {
		plain := o
		plain.Endpoint = sim.PlainHTTP + "/v1"
		goSDK.judge(t, goSDK.run(t, sim.CAFile, plain), o.ProjectID)
	})
	t.Run("M-28 Admin SDK for Go: through a proxy that ends TLS", func(t *testing.T) {
		proxied := o
		proxied.Topic, proxied.Steps = "proxied", append(slices.Clone(sending), "subscribe")
		got := goSDK.run(t, sim.CAFile, proxied, "HTTPS_PROXY="+sim.PlainHTTP)
		goSDK.judge(t, got, o.ProjectID)
		if r := got["subscribe"]; !r.OK || r.Success != 1 {
			t.Errorf("subscribe: %+v", r)
		}
	})
}

// TestAdminSDKsThroughTheFront: the same programs, with a server key of
// Penstock's in place of Google's access token, and Penstock at Google's name.
func TestAdminSDKsThroughTheFront(t *testing.T) {
	t.Setenv("PENSTOCK_HTTP_OWN_TLS", "true")
	s := startServe(t, "--http-listen", "127.0.0.1:443")
	for _, sdk := range adminSDKs {
		t.Run("F-02 F-04 Admin SDK for "+sdk.name+": through the v1 front", func(t *testing.T) {
			before := len(s.sends(t))
			sdk.judge(t, sdk.run(t, s.CAFile, order{
				ProjectID: s.ProjectID, Bearer: s.ServerKey, Steps: sending,
				Live: s.Tokens, Dead: s.Dead[0], Foreign: s.Foreign[0], Each: each,
			}), s.ProjectID)
			if got, want := len(s.sends(t))-before, len(sending)-1+each; got != want {
				t.Errorf("the far end got %d sends; want %d", got, want)
			}
		})
	}
}
