package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/fcm"
	"penstock/fcmsend"
)

func TestFCMMeasuresTheSender(t *testing.T) {
	var steps []string
	b := small(t.Context(), &steps)
	b.conns = []int{1, peerConnections}
	r, err := b.fcm(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 4 || len(steps) != 4 || b.total != 4 {
		t.Fatalf("%d runs, steps %q of %d", len(r.Runs), steps, b.total)
	}
	for i, want := range []struct{ delay, conns, bound int }{{0, 1, 0}, {0, 5, 0}, {20, 1, 5000}, {20, 5, 25000}} {
		run := r.Runs[i]
		if run.DelayMS != want.delay || run.Connections != want.conns || run.InFlight != 100*want.conns || run.Bound != want.bound {
			t.Errorf("run %d is %+v, want delay, connections and bound %v", i, run, want)
		}
		if run.Raw <= 0 || run.Ours <= 0 || run.RawCPU <= 0 || run.CPU <= 0 || run.Ratio <= 0 || run.CPURatio <= 0 || run.RSSMB <= 0 {
			t.Errorf("run %d lacks a figure: %+v", i, run)
		}
		if run.Used < 1 || run.Used > run.Connections || run.MaxStreams < 1 || run.MaxStreams > 100 {
			t.Errorf("run %d had %d connections and %d requests on one, want at most %d and 100", i, run.Used, run.MaxStreams, run.Connections)
		}
		if (run.OfBound > 0) != (run.Bound > 0) {
			t.Errorf("run %d reached %v of a bound of %d", i, run.OfBound, run.Bound)
		}
	}
	if run := r.Runs[1]; r.Raw != run.Raw || r.Ours != run.Ours || r.Ratio != run.Ratio || r.RawCPU != run.RawCPU || r.CPU != run.CPU || r.CPURatio != run.CPURatio {
		t.Errorf("the figures in front are not those of %d connections and answers at once: %+v", peerConnections, r)
	}
	line, err := json.Marshal(r)
	if err != nil || strings.ContainsRune(string(line), '\n') {
		t.Errorf("%q, %v", line, err)
	}
	for _, name := range []string{`{"bench":"fcm","raw":`, `"ours":`, `"ratio":`, `"cpu_us":`, `"bound":25000`, `"peers":[]`} {
		if !strings.Contains(string(line), name) {
			t.Errorf("%s lacks %s", line, name)
		}
	}
}

func TestFCMEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var steps []string
	b := small(ctx, &steps)
	b.slice = time.Hour // the first turn would not end by itself
	b.step = func(_, _ int, what string) { time.AfterFunc(300*time.Millisecond, cancel) }
	if _, err := b.fcm(nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it returned %v", err)
	}
	if _, err := os.Stat(b.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory stays: %v", err)
	}
}

// testPeer, in the environment, makes the test's binary a peer.
const testPeer = "BENCH_TEST_PEER"

// playPeer is a peer of some kind.
func playPeer(kind string) {
	print := func(v any) { fmt.Println(v) }
	sent := 0
	project := fcm.ProjectID(os.Getenv(peerProject))
	if kind == "lost" {
		project = "elsewhere"
	}
	sender, err := fcmsend.New(project, fcmsend.Static(os.Getenv(peerAccess)), &fcmsend.Options{Endpoint: os.Getenv(peerURL)})
	if err != nil {
		panic(err)
	}
	r := request()
	r.Message.Token = os.Getenv(peerToken)
	limit, err := strconv.Atoi(os.Getenv(peerTimeMS))
	if err != nil {
		panic(err)
	}
	if _, err := strconv.Atoi(os.Getenv(peerWarmUpMS)); err != nil {
		panic(err)
	}
	for began := time.Now(); time.Since(began) < time.Duration(limit)*time.Millisecond; sent++ {
		if _, err := sender.Send(context.Background(), r); err != nil && kind != "lost" {
			panic(err)
		}
	}
	switch kind {
	case "good":
		print(fmt.Sprintf(`{"name":"peer 1.0","messages":%d,"seconds":%g}`, sent, float64(limit)/1000))
	case "nameless":
		print(fmt.Sprintf(`{"messages":%d,"seconds":1}`, sent))
	case "lost":
		print(fmt.Sprintf(`{"name":"peer 1.0","messages":%d,"seconds":1}`, sent))
	case "boasting":
		print(`{"messages":1000000,"seconds":1}`)
	case "idle":
		print(`{"messages":0,"seconds":1}`)
	case "babbling":
		print("it went well")
	case "failing":
		fmt.Fprintln(os.Stderr, strings.Repeat("much before; ", 1000)+"no idea why")
		os.Exit(7)
	case "endless":
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

func withPeer(t *testing.T, kind string) (*bench, string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(testPeer, kind)
	var steps []string
	b := small(t.Context(), &steps)
	b.patience = 20 * time.Second
	b.conns = nil // peers alone
	return b, self
}

func TestFCMMeasuresPeers(t *testing.T) {
	b, self := withPeer(t, "good")
	r, err := b.fcm([]string{self, self})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Peers) != 2 || b.done != 4 || b.total != 4 {
		t.Fatalf("%d of %d steps, %+v", b.done, b.total, r.Peers)
	}
	for _, p := range r.Peers {
		if p.Name != "peer 1.0" || p.Rate <= 0 || p.CPU <= 0 || p.Later <= 0 || p.LaterCPU <= 0 || p.Connections != 1 {
			t.Errorf("%+v", p)
		}
		if p.Later > 50 { // it sends one message after the other
			t.Errorf("with answers after 20 ms it sent %d a second", p.Later)
		}
	}
	line, err := json.Marshal(r)
	if want := `"peers":[{"name":"peer 1.0","rate":`; err != nil || !strings.Contains(string(line), want) {
		t.Errorf("%s lacks %s: %v", line, want, err)
	}
}

func TestAPeerWithoutANameHasItsFiles(t *testing.T) {
	b, self := withPeer(t, "nameless")
	if r, err := b.fcm([]string{self}); err != nil || r.Peers[0].Name != filepath.Base(self) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAPeerThatFailsIsTold(t *testing.T) {
	for kind, want := range map[string]string{
		"lost":     "requests were none for /v1/projects/bench-project/messages:send",
		"boasting": "it says that it has sent 1000000 messages, of which",
		"idle":     "it says that it has sent nothing",
		"babbling": `it wrote "it went well\n", which is not one JSON object`,
		"failing":  "exit status 7: ",
		"endless":  "it did not end within",
	} {
		t.Run(kind, func(t *testing.T) {
			b, self := withPeer(t, kind)
			if kind == "endless" {
				b.patience = time.Second
			}
			_, err := b.fcm([]string{self})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), self) {
				t.Fatalf("it returned %v, want %q", err, want)
			}
			if kind == "failing" && (!strings.HasSuffix(err.Error(), "no idea why") || len(err.Error()) > 2*tailSize) {
				t.Errorf("%d characters: %v", len(err.Error()), err)
			}
		})
	}
}

func TestAPeerMustBeAProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckPeer(self); err != nil {
		t.Error(err)
	}
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", text, filepath.Join(t.TempDir(), "nothing"), t.TempDir()} {
		if err := CheckPeer(path); err == nil || !strings.Contains(err.Error(), "cannot be run") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
