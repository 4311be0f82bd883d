package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A message is one that a program is told to send.
type message struct {
	ID      string            `json:"message_id"`
	To      string            `json:"to"`
	Data    map[string]string `json:"data"`
	Receipt bool              `json:"receipt,omitempty"`
}

// An event is a line that a program writes. Its field Error is whatever text
// belongs to the event.
type event struct {
	Event       string            `json:"event"`
	MessageID   string            `json:"message_id"`
	Answer      string            `json:"answer"`
	Error       string            `json:"error"`
	Description string            `json:"description"`
	From        string            `json:"from"`
	Category    string            `json:"category"`
	Data        map[string]string `json:"data"`

	at time.Time
}

// A program is a running app server by others.
type program struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr string // a file

	mu      sync.Mutex // guards what follows
	events  []event
	answers map[string]event // by message id, the first
	changed chan struct{}    // closed and replaced with each event
	ended   bool
}

// slixmpp is slixmpp/app.py. It is told where to connect: with other's
// certificate authority, or key, if these are not empty.
func slixmpp(t *testing.T, s *simulator, ca, key string) *program {
	t.Helper()
	return start(t, exec.Command(os.Getenv(pythonEnv), "slixmpp/app.py", "--host", googleHost, "--port", "5235",
		"--ca-file", or(ca, s.CAFile), "--sender-id", s.SenderID, "--key", or(key, s.ServerKey)))
}

// nodeXCS is node-xcs/app.js, likewise.
func nodeXCS(t *testing.T, s *simulator, ca, key string) *program {
	t.Helper()
	cmd := exec.Command("node", "node-xcs/app.js", s.SenderID, or(key, s.ServerKey))
	cmd.Env = append(os.Environ(), "NODE_PATH="+os.Getenv(modulesEnv), "NODE_EXTRA_CA_CERTS="+or(ca, s.CAFile))
	return start(t, cmd)
}

// aiofcm is aiofcm/app.py, likewise.
func aiofcm(t *testing.T, s *simulator, ca, key string) *program {
	t.Helper()
	cmd := exec.Command(os.Getenv(aiofcmEnv), "aiofcm/app.py", s.SenderID, or(key, s.ServerKey))
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+or(ca, s.CAFile))
	return start(t, cmd)
}

// A smack is the program in the directory smack on one version of Smack. Its
// ReconnectionManager waits six seconds instead of two to fourteen by chance:
// the program sends again what is older than five.
type smack struct {
	dir  string   // with classes and lib
	java []string // settings of the JVM
	ping int      // after so many seconds of silence
}

// start is slixmpp for a smack. The certificate authority becomes the JVM's own.
func (v smack) start(t *testing.T, s *simulator, ca, key string) *program {
	t.Helper()
	args := append(slices.Clone(v.java), "-XX:TieredStopAtLevel=1", "-Xmx256m",
		"-Djavax.net.ssl.trustStore="+trustStore(t, or(ca, s.CAFile)), "-Djavax.net.ssl.trustStorePassword=changeit",
		"-cp", filepath.Join(v.dir, "classes")+":"+filepath.Join(v.dir, "lib", "*"),
		"interop.Main", googleHost, "5236", s.SenderID, or(key, s.ServerKey), strconv.Itoa(v.ping), "6")
	return start(t, exec.Command("java", args...))
}

// trustStore makes of a certificate authority what a JVM trusts.
func trustStore(t *testing.T, ca string) string {
	t.Helper()
	trust := filepath.Join(t.TempDir(), "trust.p12")
	out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", ca,
		"-keystore", trust, "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput()
	if err != nil {
		t.Fatalf("keytool: %v: %s", err, out)
	}
	return trust
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// start starts a program, which ends with the test at the latest.
func start(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{cmd: cmd, answers: map[string]event{}, changed: make(chan struct{})}
	p.stderr = filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(stdout)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // unless it has ended: then this does nothing
		<-read
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(p.stderr)
			t.Logf("what the program wrote to stderr, at most its last 4,000 bytes:\n%s", text[max(0, len(text)-4000):])
			t.Logf("what it told: %v", p.tally())
		}
	})
	return p
}

// read takes in what the program writes, until it ends.
func (p *program) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := event{at: time.Now()}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Event: "unreadable", Error: lines.Text(), at: e.at}
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		if _, twice := p.answers[e.MessageID]; e.Event == "answer" && twice {
			p.events = append(p.events, event{Event: "answered_twice", MessageID: e.MessageID, at: e.at})
		} else if e.Event == "answer" {
			p.answers[e.MessageID] = e
		}
		p.wake()
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.wake()
}

// wake is called with the lock held.
func (p *program) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until done says yes, which is called with the lock held.
func (p *program) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	if !p.awaitOrEnd(t, what, done) {
		t.Fatalf("the program ended; waited for: %s", what)
	}
}

// awaitOrEnd returns false if the program ends first.
func (p *program) awaitOrEnd(t *testing.T, what string, done func() bool) bool {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !done() {
		if p.ended {
			return false
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-deadline.C:
			p.mu.Lock()
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
	return true
}

// untrusted wants that the program reports the certificate, and says so.
func (p *program) untrusted(t *testing.T, kind, text string) string {
	t.Helper()
	if e := p.next(t, 0, kind); !strings.Contains(e.Error, text) {
		t.Errorf("the program reports %q; want %s", e.Error, text)
	}
	return "refused, and told"
}

// mark is a point in what a program tells.
func (p *program) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// since returns the events of one kind after a mark.
func (p *program) since(mark int, kind string) (found []event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events[mark:] {
		if e.Event == kind {
			found = append(found, e)
		}
	}
	return found
}

// next waits for the first event of one kind after a mark.
func (p *program) next(t *testing.T, mark int, kind string) (found event) {
	t.Helper()
	p.await(t, "event "+kind, func() bool {
		i := slices.IndexFunc(p.events[mark:], func(e event) bool { return e.Event == kind })
		if i >= 0 {
			found = p.events[mark+i]
		}
		return i >= 0
	})
	return found
}

// answer returns the answer to a message, if there was one.
func (p *program) answer(id string) (event, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.answers[id]
	return e, ok
}

// answered waits until so many of these messages are answered.
func (p *program) answered(t *testing.T, what string, ids []string, n int) {
	t.Helper()
	p.await(t, what, func() bool {
		have := 0
		for _, id := range ids {
			if _, ok := p.answers[id]; ok {
				have++
			}
		}
		return have >= n
	})
}

// tally counts the events by kind.
func (p *program) tally() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := map[string]int{}
	for _, e := range p.events {
		n[e.Event]++
	}
	return maps.Clone(n)
}

// order writes a line to the program.
func (p *program) order(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = p.stdin.Write(append(line, '\n'))
	return err
}

// send tells the program to send messages.
func (p *program) send(t *testing.T, messages ...message) {
	t.Helper()
	if err := p.order(map[string]any{"send": messages}); err != nil {
		t.Fatal(err)
	}
}

// stop tells the program to log out and waits until it has ended by itself.
func (p *program) stop(t *testing.T) {
	t.Helper()
	if err := p.order(map[string]any{"stop": true}); err != nil {
		t.Fatal(err)
	}
	p.awaitOrEnd(t, "the end of the program", func() bool { return false })
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
