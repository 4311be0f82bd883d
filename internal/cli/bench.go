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
	report, err := bench.CCS(e.ctx, bench.Options{Full: c.Full, Step: func(done, total int, what string) {
		fmt.Fprintf(e.stderr, "%d/%d  %s\n", done+1, total, what)
	}})
	if e.ctx.Err() != nil {
		return &exitError{exitNotTried, errors.New("bench: broken off, and nothing is reported")}
	}
	if err != nil {
		return &exitError{exitNotTried, err}
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(report)
	}
	printBench(e.stdout, report)
	return nil
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
