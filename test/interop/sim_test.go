package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a condition; no test has more than seven.
const patience = 20 * time.Second

// A simulator is a running penstock sim on Google's ports.
type simulator struct {
	Control   string   `json:"control"`
	CAFile    string   `json:"ca_file"`
	SenderID  string   `json:"sender_id"`
	ServerKey string   `json:"server_key"`
	Tokens    []string `json:"tokens"`
	Dead      []string `json:"dead_tokens"`
	Foreign   []string `json:"foreign_tokens"`

	ProjectID          string `json:"project_id"`
	ServiceAccountFile string `json:"service_account_file"`
	PlainHTTP          string `json:"plain_http"`
	SimControl         string `json:"sim_control"` // of penstock serve
	HTTP               string `json:"http"`        // likewise

	// again allows messages to come twice: the program sends unanswered ones again.
	again bool

	http http.Client
}

// A reception is a line of the simulator's record. If a message came more than
// once, the last copy counts, but for what was delivered.
type reception struct {
	Stream      string    `json:"stream"`
	MessageID   string    `json:"message_id"`
	To          string    `json:"to"`
	Repeated    bool      `json:"repeated"`
	Answer      string    `json:"answer"`
	Error       string    `json:"error"`
	DeliveredTo []string  `json:"delivered_to"`
	StreamEnded time.Time `json:"stream_ended"`

	Data   map[string]string `json:"data"`
	Copies int               `json:"-"`
	Missed int               `json:"-"` // copies that were not answered
}

// A stream is a bound stream, as the simulator sees it.
type stream struct {
	ID       string `json:"id"`
	JID      string `json:"jid"`
	State    string `json:"state"`
	InFlight int    `json:"in_flight"`
	Unacked  int    `json:"unacked"`
}

// startSim starts a simulator, which ends with the test.
func startSim(t *testing.T, flags ...string) *simulator {
	t.Helper()
	return startPenstock(t, append([]string{"sim", "--json", "--data-dir", t.TempDir()}, flags...)...)
}

// startPenstock starts a command that says in its first line what is where.
func startPenstock(t *testing.T, args ...string) *simulator {
	t.Helper()
	name := "penstock " + args[0]
	cmd := exec.Command(penstock, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PENSTOCK_INTEROP_") }) // it refuses variables that it does not know
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s has ended by itself: %v", name, err)
		}
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s, after SIGTERM: %v", name, err)
		}
	})
	s := &simulator{http: http.Client{Timeout: patience}}
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("%s wrote no line: %v", name, err)
	}
	if err := json.Unmarshal(line, s); err != nil {
		t.Fatalf("%s wrote no JSON: %v", name, err)
	}
	if s.SimControl != "" {
		s.Control = s.SimControl
	}
	return s
}

// call calls the control API and decodes the answer into v, if v is not nil.
func (s *simulator) call(t *testing.T, method, path string, body, v any) {
	t.Helper()
	if err := s.try(method, path, body, v); err != nil {
		t.Fatal(err)
	}
}

func (s *simulator) try(method, path string, body, v any) error {
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, s.Control+path, send)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}

// record returns the receptions by message id.
func (s *simulator) record(t *testing.T) map[string]reception {
	t.Helper()
	resp, err := s.http.Get(s.Control + "/record")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if dropped := resp.Header.Get("X-Penstock-Dropped"); dropped != "0" {
		t.Fatalf("the record dropped %s messages", dropped)
	}
	found := map[string]reception{}
	dec := json.NewDecoder(resp.Body)
	for {
		var r reception
		if err := dec.Decode(&r); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		before := found[r.MessageID]
		if r.Copies = before.Copies + 1; (r.Copies > 1 || r.Repeated) && !s.again {
			t.Fatalf("message %s is in the record twice", r.MessageID)
		}
		if r.Missed = before.Missed; r.Answer == "" {
			r.Missed++
		}
		r.DeliveredTo = append(before.DeliveredTo, r.DeliveredTo...)
		found[r.MessageID] = r
	}
}

// A fate is what became of an upstream message.
type fate struct {
	State  string `json:"state"`
	Offers int    `json:"offers"`
}

func (s *simulator) upstream(t *testing.T, id string) (found fate) {
	t.Helper()
	s.call(t, "GET", "/upstream/"+id, nil, &found)
	return found
}

func (s *simulator) streams(t *testing.T) (found []stream) {
	t.Helper()
	s.call(t, "GET", "/streams", nil, &found)
	return found
}

// stream returns the only stream.
func (s *simulator) stream(t *testing.T) stream {
	t.Helper()
	all := s.streams(t)
	if len(all) != 1 {
		t.Fatalf("there are %d streams; want one: %v", len(all), all)
	}
	return all[0]
}

// lives reports whether a stream is still there.
func (s *simulator) lives(t *testing.T, id string) bool {
	t.Helper()
	for _, st := range s.streams(t) {
		if st.ID == id {
			return true
		}
	}
	return false
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-tick.C
	}
}

// short is a token's beginning, for messages.
func short(token string) string {
	before, _, _ := strings.Cut(token, ":")
	return before + "…"
}
