package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/fcmsim"
)

func TestEchoSendsAndEchoes(t *testing.T) {
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	token := sim.Tokens()[0]
	bin := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), bin, string(token))
	cmd.Env = append(os.Environ(), "PENSTOCK_ENDPOINT="+sim.Addr(), "PENSTOCK_CA_FILE="+sim.CAFile(),
		"PENSTOCK_SENDER_ID="+string(sim.SenderID()), "PENSTOCK_KEY="+sim.ServerKey())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), " was acked after ") {
		t.Fatalf("it says %q", lines.Text())
	}
	if r := sim.Record(); len(r) != 1 || r[0].To != token || r[0].Data["message"] != "hello" {
		t.Errorf("the simulator received %+v", r)
	}
	if _, err := sim.Upstream(token, fcmsim.Upstream{MessageID: "u-1", Data: map[string]string{"action": "ECHO", "k": "v"}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if u, err := sim.UpstreamState(token, "u-1"); err == nil && u.State == fcmsim.UpstreamAcked {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the upstream message is not acked within a minute")
		}
	}
	if r := sim.Record(); len(r) != 2 || r[1].To != token || r[1].Data["action"] != "ECHO" || r[1].Data["k"] != "v" {
		t.Errorf("the simulator received %+v", r)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Errorf("it says %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
