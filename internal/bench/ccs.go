package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// Options say how much to measure.
type Options struct {
	// Full also measures 4 and 64 connections, and each run three times as long.
	Full bool
	// Step is called before each measurement; may be nil.
	Step func(done, total int, what string)
}

// A Report is what [CCS] measured, on one line as JSON (docs/benchmarks.md).
// Rates are messages a second, CPU times microseconds a message.
type Report struct {
	Bench  string       `json:"bench"`
	Runs   []Run        `json:"runs"`
	Server ServerReport `json:"server"`
	Idle   IdleReport   `json:"idle"`
}

// A Run compares ccsclient with pre-encoded bytes against the same far end:
// the median of several turns, and the ratio of those medians. MaxPending is
// how many messages were unanswered at most on any connection.
type Run struct {
	DelayMS     int     `json:"delay_ms"`
	Connections int     `json:"connections"`
	Raw         int     `json:"raw"`
	Ours        int     `json:"ours"`
	Ratio       float64 `json:"ratio"`
	RawCPU      float64 `json:"raw_cpu_us"`
	CPU         float64 `json:"cpu_us"`
	CPURatio    float64 `json:"cpu_ratio"`
	MaxPending  int     `json:"max_pending"`
	RSSMB       float64 `json:"rss_mb"`
}

// A ServerReport compares ccsserver with a server that checks nothing, under
// the same clients of pre-encoded bytes.
type ServerReport struct {
	Connections int     `json:"connections"`
	Minimal     int     `json:"minimal"`
	Ours        int     `json:"ours"`
	Ratio       float64 `json:"ratio"`
	MinimalCPU  float64 `json:"minimal_cpu_us"`
	CPU         float64 `json:"cpu_us"`
	CPURatio    float64 `json:"cpu_ratio"`
}

// An IdleReport is what streams cost that say nothing, and what they cost a
// stream that talks: how long its answers took without and beside them.
type IdleReport struct {
	Streams        int     `json:"streams"`
	BytesPerStream int     `json:"bytes_per_stream"`
	P99AloneMS     float64 `json:"p99_alone_ms"`
	P99MS          float64 `json:"p99_ms"`
}

// turns is how often raw and ours take their turn in each comparison: what the
// machine does beside hits both. A machine that is so busy that turns take long
// gets fewer of them, to be done in time.
const (
	turns   = 3
	hurryBy = 24 * time.Second
)

// serverConnections is over how many connections servers are loaded.
const serverConnections = 4

// CCS measures both ends of CCS, in at most 45 s on two cores unless opt asks
// for more. When ctx ends it stops, and returns its error.
func CCS(ctx context.Context, opt Options) (*Report, error) {
	b := &bench{ctx: ctx, slice: 500 * time.Millisecond, warmUp: 250 * time.Millisecond,
		idleStreams: maxIdle, conns: []int{1, 16}, step: opt.Step, hurryBy: hurryBy}
	if opt.Full {
		b.conns = []int{1, 4, 16, 64}
		b.slice *= 3
		b.hurryBy = 0
	}
	return b.ccs()
}

// A bench is one measurement.
type bench struct {
	ctx         context.Context
	slice       time.Duration // of one turn
	warmUp      time.Duration // of a client: the first records of TLS are small, and buffers grow
	idleStreams int
	conns       []int
	step        func(done, total int, what string) // may be nil
	hurryBy     time.Duration                      // after which each comparison gets one turn; 0: never
	profile     time.Duration                      // how long the gateway's CPU time is sampled, a hundred times a second of it
	patience    time.Duration                      // how much longer than it is told a peer may take

	dir   string // of the certificate authority
	began time.Time
	total int // steps
	done  int // likewise
}

// open makes what all children share: a directory with a certificate authority,
// made once, before several processes want it. Close takes it away.
func (b *bench) open() error {
	dir, err := os.MkdirTemp("", "penstock-bench-")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	b.dir, b.began = dir, time.Now()
	if _, err := serverConfig(dir); err != nil {
		b.close()
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

func (b *bench) ccs() (*Report, error) {
	err := b.open()
	if err != nil {
		return nil, err
	}
	defer b.close()
	b.total = 2*len(b.conns) + 2
	r := &Report{Bench: "ccs"}
	for _, delay := range [...]time.Duration{0, 20 * time.Millisecond} {
		for _, n := range b.conns {
			b.begin("client, answers after %v, connections: %d", delay, n)
			run, err := b.run(delay, n)
			if err != nil {
				return nil, b.failed(err)
			}
			r.Runs = append(r.Runs, run)
		}
	}
	b.begin("server")
	if r.Server, err = b.server(); err != nil {
		return nil, b.failed(err)
	}
	b.begin("idle streams")
	if r.Idle, err = b.idle(); err != nil {
		return nil, b.failed(err)
	}
	return r, nil
}

// late reports whether there is no time for further turns.
func (b *bench) late() bool { return b.hurryBy > 0 && time.Since(b.began) > b.hurryBy }

func (b *bench) begin(format string, args ...any) {
	if b.step != nil {
		b.step(b.done, b.total, fmt.Sprintf(format, args...))
	}
	b.done++
}

// failed is why a measurement broke off: the context's end, if that was it.
func (b *bench) failed(err error) error {
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	return err
}

// A pair is one turn of the limit and one of ours.
type pair struct{ limit, ours result }

// pairs lets limit and ours take their turns.
func (b *bench) pairs(limit, ours string, measure func(role string) (result, error)) ([]pair, error) {
	var pairs []pair
	for i := range turns {
		if i > 0 && b.late() {
			break
		}
		var p pair
		var err error
		if p.limit, err = measure(limit); err != nil {
			return nil, err
		}
		if p.ours, err = measure(ours); err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// run compares the clients.
func (b *bench) run(delay time.Duration, conns int) (Run, error) {
	most := 0
	pairs, err := b.pairs(roleRaw, roleClient, func(role string) (result, error) {
		far, err := start(b.ctx, task{Role: roleMinimal, Dir: b.dir, Delay: delay})
		if err != nil {
			return result{}, err
		}
		defer far.end()
		r, err := b.client(far, task{Role: role, Conns: conns})
		if err != nil || role != roleClient {
			return r, err
		}
		seen, err := far.ask(commandRead)
		most = max(most, seen.Pending)
		return r, err
	})
	if err != nil {
		return Run{}, err
	}
	run := Run{
		DelayMS: int(delay / time.Millisecond), Connections: conns, MaxPending: most,
		RSSMB: round(median(pairs, func(p pair) float64 { return float64(p.ours.RSS) / (1 << 20) })),
	}
	run.Raw, run.Ours, run.Ratio, run.RawCPU, run.CPU, run.CPURatio = compare(pairs)
	return run, nil
}

// compare takes the medians of several turns.
func compare(pairs []pair) (limit, ours int, ratio, limitCPU, cpu, cpuRatio float64) {
	perMessage := func(r result) float64 { return r.CPU / float64(r.Messages) * 1e6 }
	limit = int(median(pairs, func(p pair) float64 { return p.limit.rate() }))
	ours = int(median(pairs, func(p pair) float64 { return p.ours.rate() }))
	limitCPU = median(pairs, func(p pair) float64 { return perMessage(p.limit) })
	cpu = median(pairs, func(p pair) float64 { return perMessage(p.ours) })
	return limit, ours, round(float64(ours) / float64(limit)), round(limitCPU), round(cpu), round(cpu / limitCPU)
}

func median(pairs []pair, of func(pair) float64) float64 {
	list := make([]float64, len(pairs))
	for i, p := range pairs {
		list[i] = of(p)
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// client runs a client against a server that has just been started, and
// returns what the client measured.
func (b *bench) client(far *child, t task) (result, error) {
	ready, err := far.read()
	if err != nil {
		return result{}, err
	}
	t.Addr = ready.Addr
	c, err := b.warm(t)
	if err != nil {
		return result{}, err
	}
	defer c.end()
	return c.read()
}

// warm starts a client and waits until it is warm; the next that it says is
// what it measured. Where t does not tell how long, that is a turn.
func (b *bench) warm(t task) (*child, error) {
	t.Dir, t.Time, t.WarmUp = b.dir, cmp.Or(t.Time, b.slice), b.warmUp
	c, err := start(b.ctx, t)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// server compares the servers.
func (b *bench) server() (ServerReport, error) {
	pairs, err := b.pairs(roleMinimal, roleServer, func(role string) (result, error) {
		far, err := start(b.ctx, task{Role: role, Dir: b.dir})
		if err != nil {
			return result{}, err
		}
		defer far.end()
		return b.load(far)
	})
	if err != nil {
		return ServerReport{}, err
	}
	r := ServerReport{Connections: serverConnections}
	r.Minimal, r.Ours, r.Ratio, r.MinimalCPU, r.CPU, r.CPURatio = compare(pairs)
	return r, nil
}

// load measures a server under clients of pre-encoded bytes.
func (b *bench) load(far *child) (result, error) {
	ready, err := far.read()
	if err != nil {
		return result{}, err
	}
	c, err := b.warm(task{Role: roleRaw, Addr: ready.Addr, Conns: serverConnections})
	if err != nil {
		return result{}, err
	}
	defer c.end()
	if _, err := far.ask(commandMark); err != nil {
		return result{}, err
	}
	if _, err := c.read(); err != nil {
		return result{}, err
	}
	r, err := far.ask(commandRead)
	if err == nil && r.Messages == 0 {
		err = errors.New("bench: the server answered nothing while it was measured")
	}
	return r, err
}

// idleTime bounds how long idle streams may take to log in.
const idleTime = 12 * time.Second

func (b *bench) idle() (IdleReport, error) {
	far, err := start(b.ctx, task{Role: roleServer, Dir: b.dir})
	if err != nil {
		return IdleReport{}, err
	}
	defer far.end()
	ready, err := far.read()
	if err != nil {
		return IdleReport{}, err
	}
	alone, err := b.probe(ready.Addr)
	if err != nil {
		return IdleReport{}, err
	}
	before, err := far.ask(commandRest)
	if err != nil {
		return IdleReport{}, err
	}
	clients, err := start(b.ctx, task{Role: roleIdle, Dir: b.dir, Addr: ready.Addr, Conns: b.idleStreams, Time: idleTime})
	if err != nil {
		return IdleReport{}, err
	}
	defer clients.end()
	held, err := clients.read()
	if err != nil {
		return IdleReport{}, err
	}
	after, err := far.ask(commandRest)
	if err != nil {
		return IdleReport{}, err
	}
	beside, err := b.probe(ready.Addr)
	if err != nil {
		return IdleReport{}, err
	}
	return IdleReport{
		Streams: held.Streams, BytesPerStream: (after.RSS - before.RSS) / max(1, held.Streams),
		P99AloneMS: round(alone.P99 * 1000), P99MS: round(beside.P99 * 1000),
	}, nil
}

// probe measures how long answers take.
func (b *bench) probe(addr string) (result, error) {
	c, err := start(b.ctx, task{Role: roleProbe, Dir: b.dir, Addr: addr, Conns: 1, Time: b.slice})
	if err != nil {
		return result{}, err
	}
	defer c.end()
	return c.read()
}
