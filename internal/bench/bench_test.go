package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's binary play the roles of child processes.
func TestMain(m *testing.M) {
	RunRoleAndExit(os.Args)
	if kind := os.Getenv(testPeer); kind != "" {
		playPeer(kind)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // of the children, which are many
	code := m.Run()
	if childrenLeft() {
		fmt.Fprintln(os.Stderr, "a test has left a child process behind")
		code = 1
	}
	os.Exit(code)
}

// small is a whole measurement, too short to mean anything: what is tested is
// that everything runs and adds up.
func small(ctx context.Context, steps *[]string) *bench {
	return &bench{ctx: ctx, slice: 50 * time.Millisecond, warmUp: 10 * time.Millisecond, idleStreams: 20, conns: []int{1, 3},
		step: func(_, _ int, what string) { *steps = append(*steps, what) }}
}

func TestCCSMeasuresBothEnds(t *testing.T) {
	var steps []string
	r, err := small(t.Context(), &steps).ccs()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 4 || len(steps) != 6 {
		t.Fatalf("%d runs, steps %q", len(r.Runs), steps)
	}
	for i, want := range []struct{ delay, conns int }{{0, 1}, {0, 3}, {20, 1}, {20, 3}} {
		run := r.Runs[i]
		if run.DelayMS != want.delay || run.Connections != want.conns {
			t.Errorf("run %d is %+v, want delay and connections %v", i, run, want)
		}
		if run.Raw <= 0 || run.Ours <= 0 || run.RawCPU <= 0 || run.CPU <= 0 || run.Ratio <= 0 || run.CPURatio <= 0 || run.RSSMB <= 0 {
			t.Errorf("run %d lacks a figure: %+v", i, run)
		}
		if run.MaxPending < 1 || run.MaxPending > 100 {
			t.Errorf("run %d had %d unanswered on a connection, want 1 to 100", i, run.MaxPending)
		}
	}
	// A window of 100 goes round each 20 ms, and one more may fall into the 50 ms.
	if run := r.Runs[2]; run.Raw > 7_000 || run.Ours > 7_000 {
		t.Errorf("with answers after 20 ms and a window of 100 no connection carries more than 7,000 a second: %+v", run)
	}
	if s := r.Server; s.Connections != 4 || s.Minimal <= 0 || s.Ours <= 0 || s.Ratio <= 0 || s.MinimalCPU <= 0 || s.CPU <= 0 || s.CPURatio <= 0 {
		t.Errorf("the servers: %+v", s)
	}
	if i := r.Idle; i.Streams != 20 || i.P99MS <= 0 || i.P99AloneMS <= 0 {
		t.Errorf("the idle streams: %+v", i)
	}
	line, err := json.Marshal(r)
	if err != nil || strings.ContainsRune(string(line), '\n') {
		t.Errorf("%q, %v", line, err)
	}
	for _, name := range []string{`"bench":"ccs"`, `"delay_ms":0`, `"connections":1`, `"raw":`, `"ours":`, `"ratio":`, `"raw_cpu_us":`, `"cpu_us":`, `"cpu_ratio":`, `"server":{`, `"minimal":`, `"idle":{"streams":20,"bytes_per_stream":`} {
		if !strings.Contains(string(line), name) {
			t.Errorf("%s lacks %s", line, name)
		}
	}
}

func TestCCSEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var steps []string
	b := small(ctx, &steps)
	b.slice = time.Hour // the first turn would not end by itself
	b.step = func(_, _ int, what string) { time.AfterFunc(300*time.Millisecond, cancel) }
	if _, err := b.ccs(); !errors.Is(err, context.Canceled) {
		t.Errorf("it returned %v", err)
	}
}

func TestAChildThatFailsSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		task task
		want string
	}{
		"no such role": {task{Role: "juggler"}, "juggler"},
		"nobody there": {task{Role: roleRaw, Dir: t.TempDir(), Addr: "127.0.0.1:1", Conns: 1}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := start(t.Context(), c.task)
			if err != nil {
				t.Fatal(err)
			}
			defer p.end()
			if _, err := p.read(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it said %v, want something with %q", err, c.want)
			}
		})
	}
}

func TestMediansAndRatios(t *testing.T) {
	r := func(messages int, seconds, cpu float64) result {
		return result{Messages: messages, Seconds: seconds, CPU: cpu}
	}
	limit, ours, ratio, limitCPU, cpu, cpuRatio := compare([]pair{
		{r(1000, 1, 0.001), r(300, 1, 0.0012)},
		{r(4000, 2, 0.004), r(10, 1, 1)}, // a bad moment
		{r(3000, 1, 0.006), r(900, 1, 0.0036)},
	})
	if limit != 2000 || ours != 300 || ratio != 0.15 || limitCPU != 1 || cpu != 4 || cpuRatio != 4 {
		t.Error(limit, ours, ratio, limitCPU, cpu, cpuRatio)
	}
}
