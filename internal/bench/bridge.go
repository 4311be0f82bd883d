package bench

import (
	"context"
	"fmt"
	"time"
)

// A BridgeReport is what [Bridge] measured, on one line as JSON
// (docs/benchmarks.md). Rates are messages a second.
type BridgeReport struct {
	Bench   string  `json:"bench"`
	Streams int     `json:"streams"`
	Raw     int     `json:"raw"`
	Ours    int     `json:"ours"`
	Ratio   float64 `json:"ratio"`
	// P99 is how long 99 of 100 answers take at most at HalfRate, half of what
	// ours reached, from when a message is due to its ack; P50 half of them. The
	// other two are those of the limit at the same rate.
	HalfRate int       `json:"half_rate"`
	P99      float64   `json:"p99_ms_at_half"`
	P50      float64   `json:"p50_ms_at_half"`
	RawP99   float64   `json:"raw_p99_ms_at_half"`
	RawP50   float64   `json:"raw_p50_ms_at_half"`
	RawCPU   float64   `json:"raw_cpu_us"`
	CPU      BridgeCPU `json:"cpu_us"`
	RSSMB    float64   `json:"rss_mb"`
}

// A BridgeCPU is where the CPU time of one message goes, in microseconds.
type BridgeCPU struct {
	Total     float64 `json:"total"`
	Read      float64 `json:"read"`
	Translate float64 `json:"translate"`
	Send      float64 `json:"send"`
	Answer    float64 `json:"answer"`
	Runtime   float64 `json:"runtime"`
}

// bridgeStreams is over how many streams of CCS the bridge is loaded.
const bridgeStreams = 4

// Bridge measures the whole gateway, from CCS to HTTP v1, in at most 45 s on two
// cores unless opt asks for more. When ctx ends it stops, and returns its error.
func Bridge(ctx context.Context, opt Options) (*BridgeReport, error) {
	b := &bench{ctx: ctx, slice: time.Second, warmUp: 250 * time.Millisecond, step: opt.Step, hurryBy: hurryBy, profile: 4 * time.Second}
	if opt.Full {
		b.slice *= 3
		b.profile *= 3
		b.hurryBy = 0
	}
	return b.bridge()
}

func (b *bench) bridge() (*BridgeReport, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	defer b.close()
	b.total = 3
	r := &BridgeReport{Bench: "bridge", Streams: bridgeStreams}
	b.begin("rate")
	pairs, err := b.pairs(roleCopy, roleGateway, b.flood)
	if err != nil {
		return nil, b.failed(err)
	}
	r.Raw, r.Ours, r.Ratio, r.RawCPU, r.CPU.Total, _ = compare(pairs)
	r.RSSMB = round(median(pairs, func(p pair) float64 { return float64(p.ours.RSS) / (1 << 20) }))
	b.begin("where CPU time goes")
	shares, err := b.shares()
	if err != nil {
		return nil, b.failed(err)
	}
	part := func(stage string) float64 { return round(shares[stage] * r.CPU.Total) }
	r.CPU.Read, r.CPU.Translate, r.CPU.Send, r.CPU.Answer, r.CPU.Runtime =
		part(stageRead), part(stageTranslate), part(stageSend), part(stageAnswer), part(stageRuntime)
	r.HalfRate = r.Ours / 2
	b.begin("answers at %d messages a second", r.HalfRate)
	if r.RawP50, r.RawP99, err = b.latency(roleCopy, r.HalfRate); err != nil {
		return nil, b.failed(err)
	}
	if r.P50, r.P99, err = b.latency(roleGateway, r.HalfRate); err != nil {
		return nil, b.failed(err)
	}
	return r, nil
}

// A bridge is one that stands between a client and a far end.
type bridge struct {
	far, mid *child
	addr     string // for clients
}

func (b *bench) between(role string) (*bridge, error) {
	far, err := start(b.ctx, task{Role: roleV1Far, Dir: b.dir})
	if err != nil {
		return nil, err
	}
	br := &bridge{far: far}
	ready, err := far.read()
	if err != nil {
		br.end()
		return nil, err
	}
	if br.mid, err = start(b.ctx, task{Role: role, Dir: b.dir, Far: ready.Addr, TokenAddr: ready.TokenAddr}); err != nil {
		br.end()
		return nil, err
	}
	at, err := br.mid.read()
	if err != nil {
		br.end()
		return nil, err
	}
	br.addr = at.Addr
	return br, nil
}

func (br *bridge) end() {
	if br.mid != nil {
		br.mid.end()
	}
	br.far.end()
}

// flood sends as fast as answers come, and returns what the bridge has done
// meanwhile.
func (b *bench) flood(role string) (result, error) {
	br, err := b.between(role)
	if err != nil {
		return result{}, err
	}
	defer br.end()
	return b.through(br, b.slice, commandMark)
}

// through sends through br for so long, and returns what the bridge has done
// meanwhile. It is told the commands when the client is warm.
func (b *bench) through(br *bridge, limit time.Duration, commands ...string) (result, error) {
	c, err := b.warm(task{Role: roleRaw, Addr: br.addr, Conns: bridgeStreams, Time: limit})
	if err != nil {
		return result{}, err
	}
	defer c.end()
	for _, command := range commands {
		if _, err := br.mid.ask(command); err != nil {
			return result{}, err
		}
	}
	acked, err := c.read()
	if err != nil {
		return result{}, err
	}
	r, err := br.mid.ask(commandRead)
	if err != nil {
		return result{}, err
	}
	r.Messages, r.Seconds = acked.Messages, acked.Seconds
	seen, err := br.far.ask(commandRead) // since it began
	if err == nil && seen.Messages < acked.Messages {
		err = fmt.Errorf("bench: the bridge answered %d messages, of which %d came out of it", acked.Messages, seen.Messages)
	}
	return r, err
}

// shares is how the gateway's CPU time is shared by the stages.
func (b *bench) shares() (map[string]float64, error) {
	br, err := b.between(roleGateway)
	if err != nil {
		return nil, err
	}
	defer br.end()
	r, err := b.through(br, b.profile, commandMark, commandProfile)
	return r.Stages, err
}

// latency is how long half of the answers, and 99 of 100, take at most, in
// milliseconds.
func (b *bench) latency(role string, rate int) (p50, p99 float64, err error) {
	br, err := b.between(role)
	if err != nil {
		return 0, 0, err
	}
	defer br.end()
	c, err := start(b.ctx, task{Role: rolePaced, Dir: b.dir, Addr: br.addr, Conns: bridgeStreams, Rate: rate, Time: 3 * b.slice, WarmUp: b.slice})
	if err != nil {
		return 0, 0, err
	}
	defer c.end()
	if _, err := c.read(); err != nil {
		return 0, 0, err
	}
	r, err := c.read()
	return round(r.P50 * 1000), round(r.P99 * 1000), err
}
