package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"penstock/internal/bench"
)

type benchCmd struct {
	CCS benchCCSCmd `cmd:"" name:"ccs" help:"Both ends of CCS: messages a second, CPU time a message, idle streams."`
	FCM benchFCMCmd `cmd:"" name:"fcm" help:"The sender of HTTP v1: messages a second, CPU time a message, beside programs by others."`

	Bridge benchBridgeCmd `cmd:"" help:"The whole gateway, from CCS to HTTP v1: messages a second, where CPU time goes, how long answers take."`
}

type benchCCSCmd struct {
	Full bool `help:"Measure 4 and 64 connections too, and each three times as long: some two minutes."`
	JSON bool `name:"json" help:"Print the report as one JSON object on one line."`
}

// Help is what --help says between the summary and the flags.
func (c *benchCCSCmd) Help() string {
	return `The client runs against the least that a server can be, and the server under the least that a client can be; each beside pre-encoded bytes over as many connections in the same run, which is what this machine can do at all. Compare ratios: rates change with the machine and with what else it does. Everything is on loopback, over TLS, in processes of its own, and takes up to 45 s.

  penstock bench ccs`
}

func (c *benchCCSCmd) Run(e *env) error {
	report, err := bench.CCS(e.ctx, bench.Options{Full: c.Full, Step: e.benchStep})
	if err != nil {
		return e.notMeasured(err)
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(report)
	}
	printBench(e.stdout, report)
	return nil
}

func (e *env) benchStep(done, total int, what string) {
	fmt.Fprintf(e.stderr, "%d/%d  %s\n", done+1, total, what)
}

// notMeasured is why there is no report.
func (e *env) notMeasured(err error) error {
	if e.ctx.Err() != nil {
		err = errors.New("bench: broken off, and nothing is reported")
	}
	return &exitError{code: exitNotTried, err: err}
}

func printBench(w io.Writer, r *bench.Report) {
	fmt.Fprintf(w, "%-34s %10s %10s %7s %9s %9s %7s\n", "", "limit/s", "ours/s", "ratio", "limit µs", "ours µs", "ratio")
	line := func(what string, limit, ours int, ratio, limitCPU, cpu, cpuRatio float64) {
		fmt.Fprintf(w, "%-34s %10d %10d %7.2f %9.2f %9.2f %7.2f\n", what, limit, ours, ratio, limitCPU, cpu, cpuRatio)
	}
	for _, run := range r.Runs {
		line(fmt.Sprintf("client, %d ms, connections: %d", run.DelayMS, run.Connections),
			run.Raw, run.Ours, run.Ratio, run.RawCPU, run.CPU, run.CPURatio)
	}
	s := r.Server
	line(fmt.Sprintf("server, connections: %d", s.Connections), s.Minimal, s.Ours, s.Ratio, s.MinimalCPU, s.CPU, s.CPURatio)
	fmt.Fprintf(w, "%d idle streams: %d bytes each at the server; answers within %.2f ms (99 of 100), without them %.2f ms\n",
		r.Idle.Streams, r.Idle.BytesPerStream, r.Idle.P99MS, r.Idle.P99AloneMS)
	fmt.Fprintln(w, "µs: CPU time of one message. The limit is pre-encoded bytes, or a server that checks nothing, in the same run.")
}

type benchFCMCmd struct {
	Peer []string `placeholder:"PROGRAM" help:"Measure this program too, beside ours; may be repeated. See test/peers."`
	Full bool     `help:"Measure 20 connections too, and each three times as long: some two minutes."`
	JSON bool     `name:"json" help:"Print the report as one JSON object on one line."`
}

// Help is what --help says between the summary and the flags.
func (c *benchFCMCmd) Help() string {
	return `The sender runs against the least that can answer HTTP v1, beside pre-encoded HTTP/2 frames over as many connections in the same run, which is what this machine can do at all. Compare ratios: rates change with the machine and with what else it does. Everything is on loopback, over TLS, in processes of its own, and takes up to 45 s; more with several peers.

  penstock bench fcm --peer ./firebase-admin-go`
}

func (c *benchFCMCmd) Run(e *env) error {
	for _, path := range c.Peer {
		if err := bench.CheckPeer(path); err != nil {
			return usage("%w", err)
		}
	}
	report, err := bench.FCM(e.ctx, bench.Options{Full: c.Full, Step: e.benchStep}, c.Peer)
	if err != nil {
		return e.notMeasured(err)
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(report)
	}
	printBenchFCM(e.stdout, report)
	return nil
}

func printBenchFCM(w io.Writer, r *bench.FCMReport) {
	fmt.Fprintf(w, "%-34s %10s %10s %7s %9s %9s %7s\n", "", "limit/s", "ours/s", "ratio", "limit µs", "ours µs", "ratio")
	for _, run := range r.Runs {
		fmt.Fprintf(w, "%-34s %10d %10d %7.2f %9.2f %9.2f %7.2f\n",
			fmt.Sprintf("sender, %d ms, connections: %d", run.DelayMS, run.Connections),
			run.Raw, run.Ours, run.Ratio, run.RawCPU, run.CPU, run.CPURatio)
	}
	for _, run := range r.Runs {
		if run.Bound > 0 {
			fmt.Fprintf(w, "answers after %d ms: %d messages under way on %d connections can be %d a second; ours were %.0f %% of that\n",
				run.DelayMS, run.InFlight, run.Used, run.Bound, 100*run.OfBound)
		}
	}
	for _, p := range r.Peers {
		fmt.Fprintf(w, "%s: %d/s with %.1f µs each, on up to %d connections; answers after 20 ms: %d/s with %.1f µs. Ours: %.1f times its rate, %.2f times its CPU time\n",
			p.Name, p.Rate, p.CPU, p.Connections, p.Later, p.LaterCPU, float64(r.Ours)/float64(p.Rate), r.CPU/p.CPU)
	}
	fmt.Fprintln(w, "µs: CPU time of one message. The limit is pre-encoded HTTP/2 frames over as many connections, in the same run.")
}

type benchBridgeCmd struct {
	Full bool `help:"Measure each three times as long."`
	JSON bool `name:"json" help:"Print the report as one JSON object on one line."`
}

// Help is what --help says between the summary and the flags.
func (c *benchBridgeCmd) Help() string {
	return `Messages go over CCS to Penstock, as "penstock serve" runs it, and from there over HTTP v1 to the least that can answer; beside a bridge that copies pre-encoded bytes and checks nothing, in the same run. All of it shares this machine, so that client and far end cost their part, too. Compare ratios. Everything is on loopback, over TLS, in processes of its own, without quotas, and takes up to 45 s.

  penstock bench bridge`
}

func (c *benchBridgeCmd) Run(e *env) error {
	report, err := bench.Bridge(e.ctx, bench.Options{Full: c.Full, Step: e.benchStep})
	if err != nil {
		return e.notMeasured(err)
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(report)
	}
	printBenchBridge(e.stdout, report)
	return nil
}

func printBenchBridge(w io.Writer, r *bench.BridgeReport) {
	fmt.Fprintf(w, "%-34s %10s %10s %7s %9s %9s\n", "", "limit/s", "ours/s", "ratio", "limit µs", "ours µs")
	fmt.Fprintf(w, "%-34s %10d %10d %7.2f %9.2f %9.2f\n", fmt.Sprintf("CCS to HTTP v1, streams: %d", r.Streams), r.Raw, r.Ours, r.Ratio, r.RawCPU, r.CPU.Total)
	fmt.Fprintf(w, "µs of one message: read %.2f, translate %.2f, send %.2f, answer %.2f, runtime %.2f\n",
		r.CPU.Read, r.CPU.Translate, r.CPU.Send, r.CPU.Answer, r.CPU.Runtime)
	for _, l := range r.Latency {
		fmt.Fprintf(w, "at %d messages a second 99 of 100 answers came within %.2f ms, half within %.2f ms; through the limit within %.2f and %.2f ms\n",
			l.Rate, l.P99, l.P50, l.RawP99, l.RawP50)
	}
	fmt.Fprintln(w, "µs: CPU time of one message. The limit is a bridge that copies pre-encoded bytes, in the same run.")
}
