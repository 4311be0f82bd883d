package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/cli"
)

// beTheProgram, in the environment, makes the test's binary the program, for
// tests that need a process of their own: signals and environments.
const beTheProgram = "CLI_TEST_BE_PENSTOCK"

func TestMain(m *testing.M) {
	if os.Getenv(beTheProgram) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PENSTOCK_") {
			os.Unsetenv(name) // the developer's own settings are none of the tests'
		}
	}
	os.Exit(m.Run())
}

// A result is what a command left behind.
type result struct {
	code        int
	out, errOut string
}

// A lockedBuffer is written by several goroutines, as a terminal is.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// run runs a command in this process.
func run(args ...string) result {
	var out, errOut lockedBuffer
	code := cli.Main(args, &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// runWith runs a command as a process, with more environment.
func runWith(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, env, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	return result{exitCode(t, cmd.Run()), out.String(), errOut.String()}
}

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(append(os.Environ(), beTheProgram+"=1"), env...)
	return cmd
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// A process is a command that goes on while the test looks at it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Reader
	errOut lockedBuffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, command(t, nil, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	p.cmd.Stderr = &p.errOut
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// line waits for the next line of stdout.
func (p *process) line() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("no line on stdout: %v; stderr: %s", err, p.errOut.String())
	}
	return line
}

// wait reads the rest of stdout and returns it with the exit code.
func (p *process) wait() result {
	p.t.Helper()
	rest, err := io.ReadAll(p.lines)
	if err != nil {
		p.t.Fatal(err)
	}
	code := exitCode(p.t, p.cmd.Wait())
	return result{code, string(rest), p.errOut.String()}
}

// A far is a simulator, and how to reach it.
type far struct {
	*fcmsim.Sim
	ca string
}

func newSim(t *testing.T) *far {
	t.Helper()
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return &far{sim, sim.CAFile()}
}

// login is the flags that log in to the simulator.
func (f *far) login() []string {
	return []string{"send", "--endpoint", f.Addr(), "--ca-file", f.ca, "--sender-id", string(f.SenderID()), "--key", f.ServerKey(), "--timeout", "10s"}
}

// send runs send against the simulator; more flags may replace those of login.
func (f *far) send(more ...string) result { return run(append(f.login(), more...)...) }

func (f *far) token() string { return string(f.Tokens()[0]) }

// ids are the message ids in the simulator's record, in order.
func (f *far) ids() []ccs.MessageID {
	var ids []ccs.MessageID
	for _, r := range f.Record() {
		ids = append(ids, r.MessageID)
	}
	return ids
}

// want compares exit codes, and shows all that was said when they differ.
func (r result) want(t *testing.T, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.errOut)
	}
}

// wantErr looks for pieces of stderr.
func (r result) wantErr(t *testing.T, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(r.errOut, piece) {
			t.Errorf("stderr lacks %q:\n%s", piece, r.errOut)
		}
	}
}

// An answerLine is a line of send --json; its keys are the contract's.
type answerLine struct {
	MessageID        ccs.MessageID         `json:"message_id"`
	To               ccs.RegistrationToken `json:"to"`
	Answer           string                `json:"answer"`
	Error            ccs.Code              `json:"error"`
	ErrorDescription string                `json:"error_description"`
	RegistrationID   ccs.RegistrationToken `json:"registration_id"`
	Attempts         int                   `json:"attempts"`
	MS               float64               `json:"ms"`
}

type summaryLine struct {
	Summary bool    `json:"summary"`
	Sent    int     `json:"sent"`
	Acked   int     `json:"acked"`
	Nacked  int     `json:"nacked"`
	Unknown int     `json:"unknown"`
	Seconds float64 `json:"seconds"`
}

// read decodes one line into v and refuses fields that v lacks.
func read(t *testing.T, line string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

// readAnswers decodes the lines of send --json and the summary at their end.
func readAnswers(t *testing.T, out string) ([]answerLine, summaryLine) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	var list []answerLine
	for _, l := range lines[:len(lines)-1] {
		var a answerLine
		read(t, l, &a)
		list = append(list, a)
	}
	var sum summaryLine
	read(t, lines[len(lines)-1], &sum)
	if !sum.Summary {
		t.Fatalf("the last line is no summary: %s", lines[len(lines)-1])
	}
	return list, sum
}

// keys are the keys of a JSON object, in their order.
func keys(t *testing.T, line string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(line))
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	var list []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, key.(string))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(list, " ")
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "messages.ndjson")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestHelpOfEveryCommandNamesItsEnvironment(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"", "demo", "sim", "send", "listen", "version"} {
		t.Run("help of "+command, func(t *testing.T) {
			r := run(append(strings.Fields(command), "--help")...)
			r.want(t, 0)
			if !strings.Contains(r.out, "PENSTOCK_") || r.errOut != "" {
				t.Errorf("stdout: %s\nstderr: %s", r.out, r.errOut)
			}
		})
	}
}

func TestNoArgumentsPrintTheHelp(t *testing.T) {
	t.Parallel()
	r := run()
	r.want(t, 0)
	for _, command := range []string{"demo", "sim", "send", "listen", "version"} {
		if !strings.Contains(r.out, "\n  "+command+" ") {
			t.Errorf("the help does not name %s:\n%s", command, r.out)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := run("version", "--json")
	r.want(t, 0)
	var v struct {
		Version, Revision, Go, Platform string
	}
	read(t, r.out, &v)
	if v.Version != cli.Version || v.Go == "" || v.Platform == "" {
		t.Errorf("got %s", r.out)
	}
	if r := run("version"); r.code != 0 || !strings.HasPrefix(r.out, "penstock "+cli.Version+" (") {
		t.Errorf("got %+v", r)
	}
}

func TestHintsHelpOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := writeFile(t, "lgo: {}\n")
	odd := put("bad.yaml", "lgo: {}\n")
	key := put("key", "psk_0123456789abcdef")
	broken := writeFile(t, "data_dir: data\nccs: {listen: [\"127.0.0.1:0\"]}\nhttp: {listen: [\"127.0.0.1:0\"]}\nadmin: {listen: \"127.0.0.1:0\"}\nprojects: [{name: shop, sender_id: 1, keys: [{name: a, secret_file: \""+key+"\"}], transport: {fcm: {credentials_file: \""+key+"\"}}}]\n")
	fresh := dataDir(t)
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		env, args  []string
	}{
		{"a wrong file", "penstock config check -c " + bad, nil, []string{"serve", "-c", bad}},
		{"a wrong file for another command", "penstock config check -c " + bad, nil, []string{"project", "add", "shop", "--sender-id", "1", "-c", bad}},
		{"a wrong file when a key is to be made", "penstock config check -c " + bad, nil, []string{"project", "key", "shop", "-c", bad}},
		{"a wrong file for the CA", "penstock config check -c " + bad, nil, []string{"ca", "-c", bad}},
		{"a path that a shell would take apart", "penstock config check -c '" + strings.ReplaceAll(odd, "'", `'\''`) + "'", nil, []string{"serve", "-c", odd}},
		{"a wrong file that the environment names", "penstock config check", []string{"PENSTOCK_CONFIG=" + bad}, []string{"serve"}},
		{"a wrong data directory", "penstock config check --data-dir " + open, nil, []string{"project", "list", "--data-dir", open}},
		{"a file that is only checked", "", nil, []string{"config", "check", "-c", bad}},
		{"a file that the doctor cannot read", "", nil, []string{"doctor", "-c", bad}},
		{"credentials that are none", "", nil, []string{"serve", "-c", broken}},
		{"a wrong flag", "penstock project add --help", nil, []string{"project", "add", "shop", "--sender-id", "a", "--data-dir", fresh}},
		{"flags that exclude each other", "penstock project key --help", nil, []string{"project", "key", "shop", "--revoke", "a", "--name", "b", "--data-dir", fresh}},
		{"an unknown flag of a command below another", "penstock project add --help", nil, []string{"project", "add", "shop", "--sendr-id", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runWith(t, c.env, c.args...)
			r.want(t, 2)
			_, try, _ := strings.Cut(r.errOut, "\nTry ")
			if c.want != "" {
				c.want = `"` + c.want + "\".\n"
			}
			if try != c.want {
				t.Errorf("it says to try %q, want %q:\n%s", try, c.want, r.errOut)
			}
		})
	}
}

func TestEmptyVariablesCountAsNone(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	r := runWith(t, []string{
		"PENSTOCK_JSON=", "PENSTOCK_DATA=", "PENSTOCK_COUNT=", "PENSTOCK_RATE=", "PENSTOCK_TIMEOUT=", "PENSTOCK_RECEIPT=", "PENSTOCK_KEY_FILE=",
	}, append(sim.login(), "--to", sim.token())...)
	r.want(t, 0)
	if !strings.HasPrefix(r.out, "ack ") {
		t.Errorf("stdout: %s", r.out)
	}
	p := startCommand(t, command(t, []string{
		"PENSTOCK_QUOTAS=", "PENSTOCK_TRANSPORT=", "PENSTOCK_CONTROL_LISTEN=", "PENSTOCK_CCS_LISTEN=", "PENSTOCK_DATA_DIR=", "PENSTOCK_SIM=",
	}, "serve", "--sim", "--json"))
	p.line()
	p.terminate().want(t, 0)
	r = runWith(t, []string{"PENSTOCK_ENDPOINT="}, "send", "--sender-id", "1", "--key", "k", "--to", "x")
	r.want(t, 2)
	r.wantErr(t, "missing flags: --endpoint")
}

func TestMisspeltVariablesAreRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	addProject(t, dir, "shop", "123", "--project-id", "my-shop-1")
	file := writeFile(t, "data_dir: "+dir+"\n")
	const canary = "canary-1234"
	for _, args := range [][]string{
		{"serve", "--http-listen", "127.0.0.1:0"},
		{"serve", "--sim"},
		{"config", "check"},
		{"config", "print"},
		{"doctor"},
		{"project", "list"},
		{"project", "add", "news", "--sender-id", "9"},
		{"project", "key", "shop"},
		{"ca"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			r := runWith(t, []string{"PENSTOCK_LOG_LEVL=" + canary, "PENSTOCK_ENDPIONT=" + canary}, append(args, "-c", file)...)
			r.want(t, 2)
			r.wantErr(t, "unknown variable `PENSTOCK_LOG_LEVL` in the environment: did you mean `PENSTOCK_LOG_LEVEL`?",
				"unknown variable `PENSTOCK_ENDPIONT` in the environment: did you mean `PENSTOCK_ENDPOINT`?")
			if strings.Contains(r.out+r.errOut, canary) {
				t.Errorf("the value is shown: %s%s", r.out, r.errOut)
			}
		})
	}
	t.Run("doctor --json", func(t *testing.T) {
		r := runWith(t, []string{"PENSTOCK_LOG_LEVL=" + canary}, "doctor", "--json", "-c", file)
		r.want(t, 2)
		if !strings.Contains(r.out, "PENSTOCK_LOG_LEVEL") || strings.Contains(r.out, canary) {
			t.Errorf("got %s", r.out)
		}
	})
	t.Run("but flags of every command are known", func(t *testing.T) {
		r := runWith(t, []string{
			"PENSTOCK_KEY_FILE=/nowhere", "PENSTOCK_ENDPOINT=127.0.0.1:1", "PENSTOCK_KEY=" + canary, "PENSTOCK_EXEC=false", "PENSTOCK_CONTROL_LISTEN=127.0.0.1:0",
			"PENSTOCK_CCS_KEY_FILE=/nowhere", "PENSTOCK_SERVICE_HOST=10.0.0.1", "PENSTOCK_PORT_8080_TCP_ADDR=10.0.0.1", "PENSTOCK_REVOKE=x",
		}, "config", "check", "-c", file)
		r.want(t, 0)
	})
	t.Run("and a stolen key goes all the same", func(t *testing.T) {
		runWith(t, []string{"PENSTOCK_LOG_LEVL=info"}, "project", "key", "shop", "--revoke", "default", "-c", file).want(t, 0)
	})
}

func TestWrongUseExitsWithTwoAndNamesTheHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		errs []string
	}{
		{"an unknown command", []string{"frobnicate"}, []string{"frobnicate", `"penstock --help"`}},
		{"an unknown flag", []string{"sim", "--bogus"}, []string{"--bogus", `"penstock sim --help"`}},
		{"no endpoint", []string{"send", "--to", "x"}, []string{"--endpoint", `"penstock send --help"`}},
		{"quotas that nobody has", []string{"sim", "--quotas", "apple"}, []string{"--quotas", "google"}},
		{"a demo that is too fast", []string{"demo", "--rate", "20001"}, []string{"--rate", "20000"}},
		{"a demo at a rate of nothing", []string{"demo", "--rate", "0"}, []string{"--rate is 0: give 1 to 20000"}},
		{"a demo at no rate at all", []string{"demo", "--rate", "NaN"}, []string{"--rate"}},
		{"a demo that is too short", []string{"demo", "--duration", "1ms"}, []string{"--duration", "1s"}},
		{"a demo of too many messages", []string{"demo", "--rate", "20000", "--duration", "1h"}, []string{"1000000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(c.args...)
			r.want(t, 2)
			r.wantErr(t, c.errs...)
			if r.out != "" {
				t.Errorf("stdout: %s", r.out)
			}
		})
	}
}
