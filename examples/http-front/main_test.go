package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// start runs the program against sim and returns it with its URL.
func start(t *testing.T, sim *fcmsim.Sim) (*exec.Cmd, string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "http-front")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), bin, "-listen", "127.0.0.1:0", "-timeout", "4s")
	cmd.Env = append(os.Environ(), "PENSTOCK_ENDPOINT="+sim.Addr(), "PENSTOCK_CA_FILE="+sim.CAFile(),
		"PENSTOCK_SENDER_ID="+string(sim.SenderID()), "PENSTOCK_KEY="+sim.ServerKey())
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func newSim(t *testing.T) *fcmsim.Sim {
	t.Helper()
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

// post sends a body and returns the status and the reply.
func post(t *testing.T, url, body string) (int, reply) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, reply{}
	}
	defer resp.Body.Close()
	var r reply
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, r
}

func TestAPostReturnsWithTheAnswer(t *testing.T) {
	sim := newSim(t)
	cmd, url := start(t, sim)
	token := sim.Tokens()[0]
	if err := sim.SetFault(fcmsim.Fault{Token: sim.Tokens()[1], Silence: true}); err != nil {
		t.Fatal(err)
	}
	if err := sim.SetFault(fcmsim.Fault{Token: sim.Tokens()[2], Nack: ccs.CodeQuotaExceeded}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       reply // Description is a piece of it
	}{
		{"an ack", fmt.Sprintf(`{"to":%q,"message_id":"m-1","data":{"k":"v"}}`, token), 200,
			reply{MessageID: "m-1", Answer: "ack", Attempts: 1}},
		{"a nack", fmt.Sprintf(`{"to":%q,"message_id":"m-2"}`, sim.DeadTokens()[0]), 410,
			reply{MessageID: "m-2", Answer: "nack", Error: "DEVICE_UNREGISTERED", Description: "no longer valid", Attempts: 1}},
		{"a nack of another's token", fmt.Sprintf(`{"to":%q,"message_id":"m-3"}`, sim.ForeignTokens()[0]), 403,
			reply{MessageID: "m-3", Answer: "nack", Error: "SENDER_ID_MISMATCH", Attempts: 1}},
		{"a nack for the rate", fmt.Sprintf(`{"to":%q,"message_id":"m-4"}`, sim.Tokens()[2]), 429,
			reply{MessageID: "m-4", Answer: "nack", Error: "QUOTA_EXCEEDED", Attempts: 1}},
		{"no answer", fmt.Sprintf(`{"to":%q,"message_id":"m-5"}`, sim.Tokens()[1]), 504,
			reply{MessageID: "m-5", Answer: "unknown", Description: "may have been delivered", Attempts: 1}},
		{"no JSON", `{"to":`, 400, reply{Answer: "none", Description: "no JSON object"}},
		{"null", `null`, 400, reply{Answer: "none", Description: "null"}},
		{"no target", `{"data":{"k":"v"}}`, 400, reply{Answer: "none", Description: "to"}},
		{"an ack of ours", `{"message_type":"ack","to":"x","message_id":"m"}`, 400, reply{Answer: "none", Description: "message_type"}},
		{"too much data", fmt.Sprintf(`{"to":"x","data":{"k":%q}}`, strings.Repeat("x", 5000)), 400, reply{Answer: "none", Description: "4096"}},
		{"a body without end", `{"to":"` + strings.Repeat("x", maxBody) + `"}`, 413, reply{Answer: "none", Description: "too large"}},
	} {
		status, got := post(t, url, c.body)
		if !strings.Contains(got.Description, c.want.Description) {
			t.Errorf("%s: the description is %q, want %q in it", c.name, got.Description, c.want.Description)
		}
		got.Description, c.want.Description = "", ""
		if status != c.status || got != c.want {
			t.Errorf("%s: %d %+v, want %d %+v", c.name, status, got, c.status, c.want)
		}
	}
	if status, got := post(t, url, fmt.Sprintf(`{"to":%q}`, token)); status != 200 || !strings.HasPrefix(string(got.MessageID), "m-") {
		t.Errorf("without message_id: %d %+v", status, got)
	}
	if r := sim.Record(); len(r) != 6 || r[0].Data["k"] != "v" {
		t.Errorf("the simulator received %+v", r)
	}
	health := strings.TrimSuffix(url, "/messages") + "/healthz"
	for path, want := range map[string]int{url: http.StatusMethodNotAllowed, health: http.StatusOK, health + "/x": http.StatusNotFound} {
		resp, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	sim.Cut(nil) // ends the wait for the answer to m-5
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestARequestUnderWayIsAnsweredBeforeTheEnd(t *testing.T) {
	sim := newSim(t)
	cmd, url := start(t, sim)
	if err := sim.SetFault(fcmsim.Fault{Delay: time.Second}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if status, got := post(t, url, fmt.Sprintf(`{"to":%q,"message_id":"m-1"}`, sim.Tokens()[0])); status != 200 || got.Answer != "ack" {
			t.Errorf("%d %+v", status, got)
		}
	}()
	for deadline := time.Now().Add(time.Minute); len(sim.Record()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the message does not come within a minute")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}
