package bench

import (
	"context"
	"time"
)

// An FCMReport is what [FCM] measured, on one line as JSON
// (docs/benchmarks.md). Rates are messages a second, CPU times microseconds a
// message. The figures in front are those of the run that the peers are to be
// compared with: answers at once, and as many messages under way as they have.
type FCMReport struct {
	Bench    string   `json:"bench"`
	Raw      int      `json:"raw"`
	Ours     int      `json:"ours"`
	Ratio    float64  `json:"ratio"`
	RawCPU   float64  `json:"raw_cpu_us"`
	CPU      float64  `json:"cpu_us"`
	CPURatio float64  `json:"cpu_ratio"`
	Runs     []FCMRun `json:"runs"`
	Peers    []Peer   `json:"peers"`
}

// An FCMRun compares fcmsend with pre-encoded frames against the same far end:
// the median of several turns, and the ratio of those medians.
type FCMRun struct {
	DelayMS     int     `json:"delay_ms"`
	Connections int     `json:"connections"`
	InFlight    int     `json:"in_flight"` // messages under way
	Raw         int     `json:"raw"`
	Ours        int     `json:"ours"`
	Ratio       float64 `json:"ratio"`
	RawCPU      float64 `json:"raw_cpu_us"`
	CPU         float64 `json:"cpu_us"`
	CPURatio    float64 `json:"cpu_ratio"`
	// Bound is what so many streams can carry at most, and OfBound our share of
	// it; 0: answers come at once, and nothing but the machine bounds.
	Bound   int     `json:"bound"`
	OfBound float64 `json:"of_bound"`
	// Used is how many connections ours had at most, MaxStreams how many requests
	// were unanswered on any of them.
	Used       int     `json:"connections_used"`
	MaxStreams int     `json:"max_streams"`
	RSSMB      float64 `json:"rss_mb"`
}

// FCM measures the sender of HTTP v1, and peers, which are programs by their
// paths (test/peers), in at most 45 s on two cores unless opt asks for more; each
// peer after the first takes some seconds more. When ctx ends it stops, and
// returns its error.
func FCM(ctx context.Context, opt Options, peers []string) (*FCMReport, error) {
	b := &bench{ctx: ctx, slice: 500 * time.Millisecond, warmUp: 250 * time.Millisecond,
		conns: []int{1, peerConnections}, step: opt.Step, hurryBy: fcmHurryBy, patience: peerPatience}
	if opt.Full {
		b.conns = []int{1, peerConnections, 20}
		b.slice *= 3
		b.hurryBy = 0
	}
	return b.fcm(peers)
}

// peerConnections is over how many connections ours sends when it is compared
// with peers, which are handed 500 messages at a time.
const peerConnections = 5

// fcmHurryBy leaves time for one turn of the last comparisons, and of a peer.
const fcmHurryBy = 30 * time.Second

// delays are the answer times that ends are measured with.
var delays = [...]time.Duration{0, 20 * time.Millisecond}

func (b *bench) fcm(peers []string) (*FCMReport, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	defer b.close()
	b.total = len(delays)*len(b.conns) + len(delays)*len(peers)
	r := &FCMReport{Bench: "fcm", Peers: []Peer{}}
	for _, delay := range delays {
		for _, n := range b.conns {
			b.begin("sender, answers after %v, connections: %d", delay, n)
			run, err := b.sender(delay, n)
			if err != nil {
				return nil, b.failed(err)
			}
			r.Runs = append(r.Runs, run)
			if delay == 0 && n == peerConnections {
				r.Raw, r.Ours, r.Ratio, r.RawCPU, r.CPU, r.CPURatio = run.Raw, run.Ours, run.Ratio, run.RawCPU, run.CPU, run.CPURatio
			}
		}
	}
	for _, path := range peers {
		p, err := b.peer(path)
		if err != nil {
			return nil, b.failed(err)
		}
		r.Peers = append(r.Peers, p)
	}
	return r, nil
}

// sender compares fcmsend with pre-encoded frames.
func (b *bench) sender(delay time.Duration, conns int) (FCMRun, error) {
	run := FCMRun{DelayMS: int(delay / time.Millisecond), Connections: conns, InFlight: conns * maxStreams}
	limit := b.slice
	if delay > 0 {
		limit *= 2 // answers come by the hundred, and a hundred more or less must not count for much
	}
	pairs, err := b.pairs(roleV1Raw, roleV1Sender, func(role string) (result, error) {
		far, err := start(b.ctx, task{Role: roleV1Far, Dir: b.dir, Delay: delay})
		if err != nil {
			return result{}, err
		}
		defer far.end()
		r, err := b.client(far, task{Role: role, Conns: conns, Time: limit})
		if err != nil {
			return r, err
		}
		seen, err := far.ask(commandRead)
		if role == roleV1Sender {
			run.Used, run.MaxStreams = max(run.Used, seen.Conns), max(run.MaxStreams, seen.Pending)
		}
		return r, err
	})
	if err != nil {
		return run, err
	}
	run.RSSMB = round(median(pairs, func(p pair) float64 { return float64(p.ours.RSS) / (1 << 20) }))
	run.Raw, run.Ours, run.Ratio, run.RawCPU, run.CPU, run.CPURatio = compare(pairs)
	if delay > 0 {
		run.Bound = int(time.Duration(run.InFlight) * time.Second / delay)
		run.OfBound = round(float64(run.Ours) / float64(run.Bound))
	}
	return run, nil
}
