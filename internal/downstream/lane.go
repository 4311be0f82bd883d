package downstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"penstock/fcm"
	"penstock/internal/pace"
)

// A Lane is the way to the far end for the messages of one project. Any
// goroutine may call its methods. [Lane.Run] must run for messages to be tried;
// they may be handed over before.
type Lane struct {
	transport Transport
	opt       Options
	pace      *pace.Governor
	epoch     time.Time // the lane's times are counted from here
	over      chan struct{}
	// calls are the tries and timers under way. Added to with mu held, and not
	// once the lane is shut.
	calls sync.WaitGroup

	mu      sync.Mutex // guards what follows; never held while calling out
	waiting waiting
	resting map[*item]*time.Timer // sent nothing; the next try is due later
	flying  int
	seq     uint64
	why     pace.Reason     // what messages waited for last
	timer   *time.Timer     // wakes the lane for waiting ones; nil: it never had to
	timerAt time.Duration   // when; 0: it is not set
	tries   context.Context // of all tries; nil before Run
	cut     context.CancelFunc
	isShut  bool // takes no more messages; none waits or rests
	isOver  bool // over is closed
}

// New makes a lane. It starts nothing. opt is copied and checked.
func New(transport Transport, opt *Options) (*Lane, error) {
	o, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Lane{
		transport: transport, opt: o, pace: pace.New(o.Pace), epoch: time.Now(),
		over: make(chan struct{}), resting: make(map[*item]*time.Timer),
	}, nil
}

// VerdictTimeout is how long after its acceptance a message should have its
// answer (see [Options]).
func (l *Lane) VerdictTimeout() time.Duration { return l.opt.VerdictTimeout }

// Run lets messages be tried until ctx ends or the lane is shut down. It may be
// called once. It returns nil after [Lane.Shutdown]; when ctx ends it refuses
// what waits, cuts the tries under way, whose outcome is then mostly unknown,
// waits for them, and returns ctx's error.
func (l *Lane) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.tries != nil {
		l.mu.Unlock()
		return errors.New("downstream: Run was called before")
	}
	l.tries, l.cut = context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Unlock()
	defer l.cut()
	l.wake() // for those that were handed over before
	select {
	case <-ctx.Done():
		l.shut()
		l.cut()
		l.calls.Wait()
		return context.Cause(ctx)
	case <-l.over:
		return nil
	}
}

// Shutdown takes no more messages, refuses those that wait as not sent, and
// waits until those in flight have their answers. When ctx ends first it cuts
// them, waits for that, and returns ctx's error. It may be called before Run,
// and more than once.
func (l *Lane) Shutdown(ctx context.Context) error {
	l.shut()
	landed := make(chan struct{})
	go func() {
		l.calls.Wait()
		close(landed)
	}()
	var err error
	select {
	case <-landed:
	case <-ctx.Done():
		err = ctx.Err()
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if cut != nil {
			cut()
		}
		<-landed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isOver {
		l.isOver = true
		close(l.over)
	}
	return err
}

// Mended tells that an operator has changed something that may have held the
// project: its credentials, say. If a credential or a configuration does hold it,
// one message is tried at once, or the next one that comes; what becomes of it
// decides about the others.
func (l *Lane) Mended() {
	now := time.Now()
	var t turn
	l.mu.Lock()
	if l.isShut || !l.pace.Mended(now) {
		l.mu.Unlock()
		return
	}
	l.calls.Add(1)
	defer l.calls.Done()
	l.pump(now, &t)
	l.mu.Unlock()
	l.do(&t, now)
}

// shut takes no more messages and refuses those that are not in flight.
func (l *Lane) shut() {
	now := time.Now()
	var t turn
	l.mu.Lock()
	l.isShut = true
	for it := range l.resting {
		l.withdraw(it)
		t.tell(it, notSent(ErrClosed, 0))
	}
	for len(l.waiting) > 0 {
		it := l.waiting[0]
		l.withdraw(it)
		t.tell(it, notSent(ErrClosed, 0))
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.do(&t, now)
}

// A State describes a lane at one moment.
type State struct {
	Project  fcm.ProjectID
	Waiting  int // for their turn, or to be tried again
	InFlight int
	Pace     pace.State
}

// State describes the lane now.
func (l *Lane) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return State{
		Project: l.opt.Project, Waiting: len(l.waiting) + len(l.resting), InFlight: l.flying,
		Pace: l.pace.State(time.Now()),
	}
}
