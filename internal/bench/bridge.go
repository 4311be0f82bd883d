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
	// P99 is that of the first of Latency, at half of what FCM takes of a project;
	// the other is at half of what ours reached.
	P99     float64         `json:"p99_ms_at_half"`
	Latency []BridgeLatency `json:"latency"`
	RawCPU  float64         `json:"raw_cpu_us"`
	CPU     BridgeCPU       `json:"cpu_us"`
	RSSMB   float64         `json:"rss_mb"`
}

// A BridgeLatency is how many milliseconds half of the answers, and 99 of 100,
// take at most when so many messages a second are due, from when a message is
// due to its ack; and those of the limit at the same rate.
type BridgeLatency struct {
	Rate   int     `json:"rate"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	RawP50 float64 `json:"raw_p50_ms"`
	RawP99 float64 `json:"raw_p99_ms"`
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

// halfQuota is half of the 600,000 messages a minute that FCM takes of a project
// by default.
const halfQuota = 5000

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
	b.total = 4
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
	for _, rate := range [...]int{min(halfQuota, r.Ours/2), r.Ours / 2} {
		l, err := b.latencies(rate)
		if err != nil {
			return nil, b.failed(err)
		}
		r.Latency = append(r.Latency, l)
	}
	r.P99 = r.Latency[0].P99
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

// latencies measures how long answers take at so many messages a second.
func (b *bench) latencies(rate int) (BridgeLatency, error) {
	b.begin("answers at %d messages a second", rate)
	raw, err := b.latency(roleCopy, rate)
	if err != nil {
		return BridgeLatency{}, err
	}
	ours, err := b.latency(roleGateway, rate)
	ms := func(seconds float64) float64 { return round(seconds * 1000) }
	return BridgeLatency{Rate: rate, P50: ms(ours.P50), P99: ms(ours.P99), RawP50: ms(raw.P50), RawP99: ms(raw.P99)}, err
}

func (b *bench) latency(role string, rate int) (result, error) {
	br, err := b.between(role)
	if err != nil {
		return result{}, err
	}
	defer br.end()
	c, err := start(b.ctx, task{Role: rolePaced, Dir: b.dir, Addr: br.addr, Conns: bridgeStreams, Rate: rate, Time: 2 * b.slice, WarmUp: 2 * b.warmUp})
	if err != nil {
		return result{}, err
	}
	defer c.end()
	if _, err := c.read(); err != nil {
		return result{}, err
	}
	return c.read()
}
