package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"penstock/internal/bench"
)

// runBench runs a command whose context has ended, so that nothing is measured.
func runBench(t *testing.T, args ...string) (code int, out, errOut string) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr terminal
	code = run(&env{ctx: ctx, stdout: &stdout, stderr: &stderr, interrupted: new(atomic.Bool)}, append([]string{"bench"}, args...))
	return code, stdout.String(), stderr.String()
}

func TestABenchThatIsBrokenOffReportsNothing(t *testing.T) {
	for _, what := range []string{"ccs", "fcm", "bridge"} {
		code, out, errOut := runBench(t, what, "--json")
		if code != exitNotTried || out != "" || !strings.HasSuffix(errOut, "penstock: bench: broken off, and nothing is reported\n") {
			t.Errorf("%s: exit %d, %q, %q", what, code, out, errOut)
		}
	}
}

func TestAWrongBenchIsRefused(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a peer that is not there":    {[]string{"fcm", "--peer", "no-such-program"}, `the peer no-such-program cannot be run: exec: "no-such-program": executable file not found`},
		"a peer that is no program":   {[]string{"fcm", "--peer", self, "--peer", notes}, "the peer " + notes + " cannot be run: "},
		"a peer of the bridge":        {[]string{"bridge", "--peer", self}, "unknown flag --peer"},
		"a bench that does not exist": {[]string{"tea"}, "unexpected argument tea"},
	} {
		code, out, errOut := runBench(t, c.args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errOut, "penstock: "+c.want) || !strings.Contains(errOut, "--help") {
			t.Errorf("%s: exit %d, %q, %q, want %q", name, code, out, errOut, c.want)
		}
	}
}

func TestTheSendersFiguresInWords(t *testing.T) {
	var out strings.Builder
	printBenchFCM(&out, &bench.FCMReport{
		Ours: 100_000, CPU: 7,
		Runs: []bench.FCMRun{
			{Connections: 5, InFlight: 500, Raw: 800_000, Ours: 100_000, Ratio: 0.125, RawCPU: 0.5, CPU: 7, CPURatio: 14, Used: 5},
			{DelayMS: 20, Connections: 5, InFlight: 500, Raw: 24_000, Ours: 23_900, Ratio: 0.996, RawCPU: 0.5, CPU: 9, CPURatio: 18, Bound: 25_000, OfBound: 0.956, Used: 4},
		},
		Peers: []bench.Peer{{Name: "peer 1.0", Rate: 10_000, CPU: 70, Later: 2000, LaterCPU: 90, Connections: 3}},
	})
	const want = `                                      limit/s     ours/s   ratio  limit µs   ours µs   ratio
sender, 0 ms, connections: 5           800000     100000    0.12      0.50      7.00   14.00
sender, 20 ms, connections: 5           24000      23900    1.00      0.50      9.00   18.00
answers after 20 ms: 500 messages under way on 4 connections can be 25000 a second; ours were 96 % of that
peer 1.0: 10000/s with 70.0 µs each, on up to 3 connections; answers after 20 ms: 2000/s with 90.0 µs. Ours: 10.0 times its rate, 0.10 times its CPU time
µs: CPU time of one message. The limit is pre-encoded HTTP/2 frames over as many connections, in the same run.
`
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", out.String(), want)
	}
}

func TestTheBridgesFiguresInWords(t *testing.T) {
	var out strings.Builder
	printBenchBridge(&out, &bench.BridgeReport{
		Streams: 4, Raw: 400_000, Ours: 30_000, Ratio: 0.075, P99: 2.5, RawCPU: 1.4,
		Latency: []bench.BridgeLatency{
			{Rate: 15_000, P99: 2.5, P50: 0.5, RawP99: 1.5, RawP50: 0.25},
			{Rate: 5000, P99: 2.25, P50: 0.75, RawP99: 1.25, RawP50: 0.5},
		},
		CPU: bench.BridgeCPU{Total: 30, Read: 4, Translate: 8, Send: 11, Answer: 5, Runtime: 2},
	})
	const want = `                                      limit/s     ours/s   ratio  limit µs   ours µs
CCS to HTTP v1, streams: 4             400000      30000    0.07      1.40     30.00
µs of one message: read 4.00, translate 8.00, send 11.00, answer 5.00, runtime 2.00
at 15000 messages a second 99 of 100 answers came within 2.50 ms, half within 0.50 ms; through the limit within 1.50 and 0.25 ms
at 5000 messages a second 99 of 100 answers came within 2.25 ms, half within 0.75 ms; through the limit within 1.25 and 0.50 ms
µs: CPU time of one message. The limit is a bridge that copies pre-encoded bytes, in the same run.
`
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", out.String(), want)
	}
}
