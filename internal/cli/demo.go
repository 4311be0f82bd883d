package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/fcmsim"
)

type demoCmd struct {
	Once     bool          `help:"End by itself, also on a terminal, where the demo otherwise leaves the simulator running for you to play with."`
	Rate     float64       `default:"200" help:"Messages a second, 1 to 20000."`
	Duration time.Duration `default:"12s" help:"How long the flow lasts, 1s to 24h, and at most a million messages."`
	JSON     bool          `name:"json" help:"Print the report as one JSON object; the story goes to stderr."`
}

// demoReport is the last line of the demo.
type demoReport struct {
	Report     bool    `json:"report"`
	Sent       int     `json:"sent"`
	Acked      int     `json:"acked"`
	Nacked     int     `json:"nacked"`
	Receipts   int     `json:"receipts"`
	Upstream   int     `json:"upstream"`
	Drains     int     `json:"drains"`
	Reconnects int     `json:"reconnects"`
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
	MaxStallMS float64 `json:"max_stall_ms"`
	OK         bool    `json:"ok"`

	Unanswered    int `json:"unanswered"`
	DrainingNacks int `json:"draining_nacks"`
	ResentUnknown int `json:"resent_unknown"` // second copies whose first one's outcome nobody could know
}

// A demo is one run: a simulator and a client in one process, on loopback.
type demo struct {
	cmd   *demoCmd
	env   *env
	story io.Writer
	began time.Time
	sim   *fcmsim.Sim
	pool  *ccsclient.Pool
	bar   *progress

	keyFile string // for whoever plays on

	receipts, upstream, drains, streams atomic.Int64

	mu       sync.Mutex              // guards what follows, and the story
	outcomes map[ccs.MessageID]error // what the callers were told
	stall    time.Duration
}

// Help is what --help says between the summary and the flags.
func (c *demoCmd) Help() string {
	return `A client sends messages to a simulator in the same process while connections drain, by announcement and without, and one is reset. The accounts at the end compare what the simulator received with what the callers were told; the exit code is 0 if nothing was lost, sent twice or left unanswered. All of it is on loopback, on free ports.

  penstock demo                 watch it; then play with the simulator
  penstock demo --once --json   for scripts: the last line is the report`
}

func (c *demoCmd) Run(e *env) error {
	if !(c.Rate >= 1 && c.Rate <= 20_000) { // so that not a number is refused too
		return usage("--rate is %v: give 1 to 20000 messages a second", c.Rate)
	}
	if c.Duration < time.Second || c.Duration > 24*time.Hour {
		return usage("--duration is %s: give 1s to 24h", c.Duration)
	}
	if n := c.total(); n > maxDemo {
		return usage("--rate times --duration is %d messages: give at most %d, since the accounts need each of them", n, maxDemo)
	}
	d := &demo{cmd: c, env: e, story: e.stdout, outcomes: make(map[ccs.MessageID]error)}
	if c.JSON {
		d.story = e.stderr
	}
	dir, err := os.MkdirTemp("", "penstock-demo-")
	if err != nil {
		return &exitError{code: exitNotTried, err: fmt.Errorf("demo: %w", err)}
	}
	defer e.temporary(dir)()
	if err := d.start(dir); err != nil {
		return &exitError{code: exitNotTried, err: fmt.Errorf("demo: %w", err)}
	}
	defer func() { _ = d.sim.Close() }() // the accounts are taken
	report := d.run(e.ctx)
	if c.JSON {
		if err := json.NewEncoder(e.stdout).Encode(report); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	} else {
		d.printReport(report)
	}
	if !report.OK {
		return &exitError{code: exitFailed}
	}
	if !c.Once && !c.JSON && isTerminal(e.stdout) && e.ctx.Err() == nil {
		d.stay()
	}
	return nil
}

// maxDemo bounds the messages of a demo: both accounts of them are in memory.
const maxDemo = 1_000_000

func (c *demoCmd) total() int { return int(c.Rate * c.Duration.Seconds()) }

// start brings up the simulator and the client. dir keeps what the simulator
// makes, until the end.
func (d *demo) start(dir string) error {
	sim, err := fcmsim.Start(&fcmsim.Options{
		Dir: dir,
		// Copies stand in the record too; one that forgets would look like a loss.
		RecordMax: 2*d.cmd.total() + 10_000,
	})
	if err != nil {
		return err
	}
	d.sim = sim
	d.keyFile = filepath.Join(dir, "key")
	if err := os.WriteFile(d.keyFile, []byte(sim.ServerKey()+"\n"), 0o600); err != nil {
		return err
	}
	d.pool, err = ccsclient.NewPool(sim.Addr(), ccsclient.Credentials{SenderID: sim.SenderID(), Key: sim.ServerKey()},
		&ccsclient.Options{
			TLS:      &tls.Config{RootCAs: sim.CertPool()},
			Upstream: (&ccsclient.Processors{}).Handler(),
			Receipts: func(context.Context, *ccs.Receipt) error { d.receipts.Add(1); return nil },
			Events: &ccsclient.Events{
				Authenticated: func(ccsclient.Stream) { d.streams.Add(1) },
				Draining:      func(ccsclient.Stream) { d.drains.Add(1) },
				Handled:       func(m ccs.FromServer, _ error) { d.countUpstream(m) },
			},
		})
	return err
}

func (d *demo) countUpstream(m ccs.FromServer) {
	if _, ok := m.(*ccs.Upstream); ok {
		d.upstream.Add(1)
	}
}

// tell adds a line to the story.
func (d *demo) tell(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bar.clear()
	fmt.Fprintf(d.story, "%5.1f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// A scene is something that happens to the flow at a share of its duration.
type scene struct {
	at   float64
	play func(d *demo)
}

var scenes = []scene{
	{0.15, func(d *demo) {
		d.tell("the server announces draining by a control message; the client opens the next stream first")
		d.sim.Drain(ccsserver.DrainOptions{})
	}},
	{0.35, func(d *demo) {
		d.tell("the server drains without a word: the first message gets a CONNECTION_DRAINING nack")
		d.sim.Drain(ccsserver.DrainOptions{Announce: ccsserver.ByNack})
	}},
	{0.55, func(d *demo) {
		d.tell("the server drains, and drains the next stream before the first is gone")
		d.sim.Drain(ccsserver.DrainOptions{Times: ccsserver.DrainTimes{CloseAfter: 3 * time.Second}})
	}},
	{0.65, func(d *demo) { d.sim.Drain(ccsserver.DrainOptions{}) }},
	{0.80, func(d *demo) {
		d.tell("the connection is reset in the middle of the flow; what was unanswered goes out again")
		d.sim.Cut(nil)
	}},
}

// run plays the demo and takes the accounts.
func (d *demo) run(ctx context.Context) demoReport {
	d.began = time.Now()
	total := d.cmd.total()
	d.bar = newProgress(d.env.stderr, total, "sending")
	d.tell("a simulator listens on %s; the client logs in and sends %v messages a second for %s", d.sim.Addr(), d.cmd.Rate, d.cmd.Duration)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.pool.Run(context.Background()) // Shutdown ends it
	}()
	timers := make([]*time.Timer, len(scenes))
	for i, s := range scenes {
		timers[i] = time.AfterFunc(time.Duration(s.at*float64(d.cmd.Duration)), func() { s.play(d) })
	}
	sent := d.flow(ctx, total)
	for _, t := range timers {
		t.Stop()
	}
	d.tell("the flow ends; the client waits for the last answers and says goodbye")
	bye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = d.pool.Shutdown(bye) // what is left then counts as unanswered
	<-ended
	d.bar.done()
	return d.account(sent)
}

// flow hands messages over at the rate, and has devices write to the app
// server every second. It returns the ids that were handed over.
func (d *demo) flow(ctx context.Context, total int) []ccs.MessageID {
	ctx, cancel := context.WithTimeout(ctx, d.cmd.Duration+time.Second)
	defer cancel()
	tokens := d.sim.Tokens()
	ids := make([]ccs.MessageID, 0, total)
	begin := time.Now()
	gap := time.Duration(float64(time.Second) / d.cmd.Rate)
	nextUpstream := begin.Add(500 * time.Millisecond)
	for i := range total {
		waitUntil(ctx, begin.Add(time.Duration(i)*gap))
		if ctx.Err() != nil {
			break
		}
		m := &ccs.Downstream{
			To: tokens[i%len(tokens)], MessageID: ccs.MessageID("demo-" + strconv.Itoa(i)),
			Data:                     map[string]string{"n": strconv.Itoa(i)},
			DeliveryReceiptRequested: i%10 == 0,
		}
		// Not ctx: what was handed over gets its answer, also after Ctrl-C.
		err := d.pool.SendFunc(context.Background(), m, d.answered)
		if err != nil {
			d.answered(ccsclient.Answer{Message: m}, err)
		}
		ids = append(ids, m.MessageID)
		if time.Now().After(nextUpstream) {
			nextUpstream = nextUpstream.Add(time.Second)
			// A device that can't write now tries again with the next.
			_, _ = d.sim.Upstream(tokens[0], fcmsim.Upstream{Data: map[string]string{"action": ccsclient.ActionEcho, "n": strconv.Itoa(i)}})
		}
	}
	waitUntil(ctx, begin.Add(d.cmd.Duration)) // so that slow flows too see every scene
	return ids
}

// answered notes what a caller was told.
func (d *demo) answered(a ccsclient.Answer, err error) {
	d.mu.Lock()
	d.outcomes[a.Message.MessageID] = err
	d.stall = max(d.stall, a.Took)
	d.mu.Unlock()
	d.bar.step()
}

// account compares what the callers were told with the simulator's record:
// neither side's word alone counts.
func (d *demo) account(sent []ccs.MessageID) demoReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := demoReport{
		Report: true, Sent: len(sent), MaxStallMS: round(float64(d.stall) / float64(time.Millisecond)),
		Receipts: int(d.receipts.Load()), Upstream: int(d.upstream.Load()),
		Drains: int(d.drains.Load()), Reconnects: int(max(d.streams.Load()-1, 0)),
	}
	received := make(map[ccs.MessageID][]fcmsim.Reception, len(sent))
	for _, rec := range d.sim.Record() {
		received[rec.MessageID] = append(received[rec.MessageID], rec)
	}
	for _, id := range sent {
		err, told := d.outcomes[id]
		nack, nacked := errors.AsType[*ccs.NackError](err)
		switch {
		case !told, err != nil && !nacked:
			r.Unanswered++
		case nacked:
			r.Nacked++
			if nack.Code == ccs.CodeConnectionDraining {
				r.DrainingNacks++
			}
		default:
			r.Acked++
			if !delivered(received[id]) {
				r.Lost++
			}
		}
		twice, unknown := copies(received[id])
		r.Duplicated += twice
		r.ResentUnknown += unknown
	}
	r.OK = r.Lost == 0 && r.Duplicated == 0 && r.Unanswered == 0 && r.DrainingNacks == 0 && r.Sent > 0
	return r
}

func delivered(copies []fcmsim.Reception) bool {
	for _, c := range copies {
		if len(c.DeliveredTo) > 0 {
			return true
		}
	}
	return false
}

// copies counts the copies of one message beyond the first: those that came
// although an earlier one was accepted, or could still be, on a living stream;
// and those whose earlier copy had lost its stream, so that nobody could know.
func copies(list []fcmsim.Reception) (twice, unknown int) {
	for i, c := range list {
		if i == 0 {
			continue
		}
		before := list[i-1]
		switch {
		case before.Answer == "nack": // refused: the id was open again
		case !before.StreamEnded.IsZero() && !before.StreamEnded.After(c.Time):
			unknown++
		default:
			twice++
		}
	}
	return twice, unknown
}

func (d *demo) printReport(r demoReport) {
	verdict := "All is well: nothing lost, nothing sent twice, nothing unanswered."
	if !r.OK {
		verdict = "Something is wrong."
	}
	fmt.Fprintf(d.story, `
%s
  sent %d, acked %d, nacked %d, unanswered %d
  lost %d, duplicated %d (the simulator's record beside what the callers were told)
  sent again after a cut, since nobody could know: %d
  %d drains, %d reconnects; draining nacks that a caller saw: %d
  longest wait for an answer: %.1f ms
  %d upstream messages handled, %d delivery receipts
`, verdict, r.Sent, r.Acked, r.Nacked, r.Unanswered, r.Lost, r.Duplicated, r.ResentUnknown,
		r.Drains, r.Reconnects, r.DrainingNacks, r.MaxStallMS, r.Upstream, r.Receipts)
}

// stay keeps the simulator for the user until Ctrl-C, which is then the way to
// end and no interruption.
func (d *demo) stay() {
	fmt.Fprintf(d.story, `
The simulator stays until Ctrl-C. Send to it from another terminal:

  %s send --endpoint %s --ca-file %s \
    --sender-id %s --key-file %s \
    --data hello=world --to %s
`, program(), d.sim.Addr(), word(d.sim.CAFile()), d.sim.SenderID(), word(d.keyFile), d.sim.Tokens()[0])
	<-d.env.ctx.Done()
	d.env.interrupted.Store(false)
}
