package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"penstock/ccsserver"
)

// The exit codes.
const (
	exitOK           = 0
	exitViolation    = 1
	exitUsage        = 2
	exitInconclusive = 3
	exitInterrupted  = 130
)

// heapBound is how much more may be alive at the end, when all is closed, than
// at the start: what packages of the standard library keep for the next time.
const heapBound = 4 << 20

// A report is the last line.
type report struct {
	Report bool    `json:"report"`
	Seed   uint64  `json:"seed"`
	Second float64 `json:"seconds"`
	tally
	Faults map[string]int `json:"faults"`
	Missed int            `json:"faults_missed"` // there was nothing to hit

	Lost  int `json:"lost"`
	Stuck int `json:"stuck"`

	GoroutinesStart int     `json:"goroutines_start"`
	GoroutinesEnd   int     `json:"goroutines_end"`
	HeapStart       uint64  `json:"heap_start"`
	HeapEnd         uint64  `json:"heap_end"`
	HeapMost        uint64  `json:"heap_most"`
	HeapSlope       float64 `json:"heap_slope_per_minute"` // bytes, over the second half of the run
	GoroutineSlope  float64 `json:"goroutine_slope_per_minute"`

	Interrupted bool `json:"interrupted,omitempty"`
	OK          bool `json:"ok"`
}

func main() { os.Exit(torture(os.Args[1:], os.Stdout, os.Stderr)) }

func torture(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("ccstorture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seed := flags.Uint64("seed", 1, "messages and faults follow from it")
	total := flags.Duration("for", 30*time.Second, "how long, 10s to 24h")
	rate := flags.Int("rate", 400, "messages a second, 10 to 10000")
	pace := flags.Duration("every", 500*time.Millisecond, "mean time between two faults, 50ms to 1h")
	asJSON := flags.Bool("json", false, "print each fault and violation, and the report, as one JSON object a line")
	planOnly := flags.Bool("plan", false, "print what will go wrong, and run nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if flags.NArg() > 0 || *total < 10*time.Second || *total > 24*time.Hour || *rate < 10 || *rate > 10_000 ||
		*pace < 50*time.Millisecond || *pace > time.Hour {
		fmt.Fprintln(stderr, "ccstorture: give -for 10s to 24h, -rate 10 to 10000, -every 50ms to 1h, and nothing else; see -help")
		return exitUsage
	}
	plan := planFaults(*seed, *total, *pace)
	if *planOnly {
		for _, f := range plan {
			fmt.Fprintln(stdout, f)
		}
		return exitOK
	}
	out := &printer{to: stdout, progress: stderr, json: *asJSON}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "ccstorture-")
	if err != nil {
		fmt.Fprintln(stderr, "ccstorture:", err)
		return exitUsage
	}
	defer os.RemoveAll(dir)

	r := &run{seed: *seed, total: *total, rate: *rate, plan: plan, tell: out.tell, show: out.show, hits: make(map[string]int)}
	r.history = newHistory(window, serverTimes.Drain.Limit, func(v violation) {
		out.tell("violation", map[string]any{"kind": v.kind, "what": v.what})
	})
	r.began = time.Now()
	out.began = r.began
	out.tell("start", map[string]any{"seed": *seed, "for": total.String(), "rate": *rate, "faults": len(plan)})
	before := r.measure()
	if err := r.start(dir); err != nil {
		for _, w := range r.worlds {
			w.close()
		}
		fmt.Fprintln(stderr, "ccstorture:", err)
		return exitUsage
	}
	r.play(ctx)
	interrupted := ctx.Err() != nil
	out.tell("quiet", map[string]any{"faults": r.missed + sum(r.hits)})
	r.quiet() // also behind an interrupt: what did happen is worth a judgement
	r.stop()
	rep := r.account(before)
	rep.Interrupted = interrupted
	rep.OK = rep.OK && !interrupted
	out.clear()
	out.report(&rep)
	switch {
	case interrupted:
		return exitInterrupted
	case len(rep.Kinds) > 0:
		return exitViolation
	case !r.conclusive():
		fmt.Fprintln(stderr, "ccstorture: too little happened to say: run it for longer")
		return exitInconclusive
	}
	return exitOK
}

// account closes the books: what the process holds, too, when nothing is left.
func (r *run) account(before sample) report {
	after := r.measure()
	for range 100 { // a goroutine that has done its work still has to end
		if after.goroutines <= before.goroutines {
			break
		}
		time.Sleep(50 * time.Millisecond)
		after = r.measure()
	}
	rep := report{
		Report: true, Seed: r.seed, Second: time.Since(r.began).Seconds(), Faults: r.hits, Missed: r.missed,
		GoroutinesStart: before.goroutines, GoroutinesEnd: after.goroutines,
		HeapStart: before.heap, HeapEnd: after.heap,
	}
	half := r.samples[len(r.samples)/2:]
	rep.HeapSlope = slope(half, func(s sample) float64 { return float64(s.heap) })
	rep.GoroutineSlope = slope(half, func(s sample) float64 { return float64(s.goroutines) })
	for _, s := range r.samples {
		rep.HeapMost = max(rep.HeapMost, s.heap)
	}
	r.history.locked(func() {
		if after.goroutines > before.goroutines {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			r.history.blame(kindLeak, "%d goroutines at the end, %d at the start:\n%s", after.goroutines, before.goroutines, stacks)
		}
		if after.heap > before.heap+heapBound {
			r.history.blame(kindLeak, "%d bytes are alive at the end, %d at the start", after.heap, before.heap)
		}
		if r.total >= flatFrom && rep.HeapSlope > flatHeap {
			r.history.blame(kindLeak, "the heap grew by %.3f MiB a minute over the second half of the run", mib(rep.HeapSlope))
		}
		if r.total >= flatFrom && rep.GoroutineSlope > flatGoroutines {
			r.history.blame(kindLeak, "%.2f goroutines a minute more over the second half of the run", rep.GoroutineSlope)
		}
		rep.tally = r.history.tally
	})
	rep.Lost, rep.Stuck = rep.Kinds[kindLost], rep.Kinds[kindStuck]
	rep.OK = len(rep.Kinds) == 0 && r.conclusive()
	return rep
}

// conclusive reports whether enough happened: a fault of each kind, four fifths
// of all that were planned, and messages that arrived, either way.
func (r *run) conclusive() bool {
	for _, kind := range deck {
		if r.hits[kind] == 0 {
			return false
		}
	}
	return sum(r.hits)*5 >= len(r.plan)*4 && r.history.tally.Acked > 0 && r.history.tally.Settled > 0
}

func sum(counts map[string]int) (n int) {
	for _, k := range counts {
		n += k
	}
	return n
}

// A printer writes the story and the report, and on a terminal how far it is.
type printer struct {
	to, progress io.Writer
	json         bool
	began        time.Time

	mu    sync.Mutex // guards what is written
	shown bool
}

func (p *printer) tell(what string, fields map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	at := time.Since(p.began).Seconds()
	if p.json {
		fields["event"], fields["t"] = what, at
		_ = json.NewEncoder(p.to).Encode(fields) // who reads may have gone; the exit code tells
		return
	}
	if what == "violation" {
		fmt.Fprintf(p.to, "%8.3f s  VIOLATION %s: %s\n", at, fields["kind"], fields["what"])
		return
	}
	line, _ := json.Marshal(fields) // of strings and numbers
	fmt.Fprintf(p.to, "%8.3f s  %s %s\n", at, what, line)
}

// show tells on a terminal how far the run is.
func (p *printer) show(r *run) {
	if f, ok := p.progress.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	var t tally
	r.history.locked(func() { t = r.history.tally; t.Kinds = nil })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	fmt.Fprintf(p.progress, "%s of %s: %d messages, %d acked, %d unknown, %d upstream",
		time.Since(p.began).Round(time.Second), r.total, t.Messages, t.Acked, t.Unknown, t.Upstream)
	p.shown = true
}

// wipe takes the progress line away. Called with mu held.
func (p *printer) wipe() {
	if p.shown {
		fmt.Fprint(p.progress, "\r\x1b[K")
		p.shown = false
	}
}

func (p *printer) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

func (p *printer) report(rep *report) {
	if p.json {
		_ = json.NewEncoder(p.to).Encode(rep) // as above
		return
	}
	verdict := "All is well."
	switch {
	case len(rep.Kinds) > 0:
		verdict = fmt.Sprintf("Something is wrong: %v", rep.Kinds)
	case rep.Interrupted:
		verdict = "Interrupted; nothing was wrong so far."
	case !rep.OK:
		verdict = "Nothing was wrong, but too little happened to say."
	}
	fmt.Fprintf(p.to, `
%s
  seed %d, %.0f s, %d faults %v, %d found nothing to hit
  %d messages: %d acked, %d nacked, %d unknown (%d of them answered late), %d not sent
  %d copies sent again; %d messages whose answer may have been lost; %d duplicates, each excused
  %d upstream messages, %d acked; %d receipts; %d streams
  lost %d, stuck %d
  goroutines %d at the start, %d at the end; slope %.2f a minute
  heap %.1f MiB at the start, %.1f at the end, %.1f at most; slope %.3f MiB a minute
`, verdict, rep.Seed, rep.Second, sum(rep.Faults), rep.Faults, rep.Missed,
		rep.Messages, rep.Acked, rep.Nacked, rep.Unknown, rep.Late, rep.NotSent,
		rep.Resent, rep.Ambiguous, rep.Duplicates,
		rep.Upstream, rep.Settled, rep.Receipts, rep.Streams, rep.Lost, rep.Stuck,
		rep.GoroutinesStart, rep.GoroutinesEnd, rep.GoroutineSlope,
		mib(float64(rep.HeapStart)), mib(float64(rep.HeapEnd)), mib(float64(rep.HeapMost)), mib(rep.HeapSlope))
}

func mib(bytes float64) float64 { return bytes / (1 << 20) }

// drainAll drains every stream, so that what hangs on one gets on.
func (r *run) drainAll() {
	for _, w := range r.worlds {
		w.current().Drain(ccsserver.DrainOptions{})
	}
}
