package downstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// A farEnd is a scripted transport: it notes each try, takes its time, and
// answers as fate says. Times are counted from when it was made.
type farEnd struct {
	epoch time.Time
	takes time.Duration                                       // how long a try lasts
	fate  func(at time.Duration, m *downstream.Message) error // of a try that began at; nil: accepted

	mu    sync.Mutex
	tries []try
}

type try struct {
	at time.Duration
	to string
}

func newFarEnd() *farEnd { return &farEnd{epoch: time.Now()} }

func (f *farEnd) Send(ctx context.Context, m *downstream.Message) (downstream.Answer, error) {
	at := time.Since(f.epoch)
	f.mu.Lock()
	f.tries = append(f.tries, try{at, name(m)})
	f.mu.Unlock()
	if f.takes > 0 {
		select {
		case <-time.After(f.takes):
		case <-ctx.Done():
			return downstream.Answer{}, &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true, Err: ctx.Err()}
		}
	}
	if f.fate != nil {
		if err := f.fate(at, m); err != nil {
			return downstream.Answer{}, err
		}
	}
	return downstream.Answer{Name: "projects/p/messages/" + name(m)}, nil
}

// seen are the tries so far.
func (f *farEnd) seen() []try {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tries)
}

// between counts the tries that began in that time.
func (f *farEnd) between(from, to time.Duration) int {
	n := 0
	for _, t := range f.seen() {
		if from <= t.at && t.at < to {
			n++
		}
	}
	return n
}

func name(m *downstream.Message) string {
	if m.CCS != nil {
		return string(m.CCS.Target())
	}
	return m.V1.Message.Token
}

// to is a legacy message to a token.
func to(token string) *downstream.Message {
	return &downstream.Message{CCS: &ccs.Downstream{To: ccs.RegistrationToken(token), MessageID: "m"}}
}

// living is a legacy message with a time to live.
func living(token string, ttl time.Duration) *downstream.Message {
	m := to(token)
	m.CCS.TTL = &ttl
	return m
}

// A harness is a lane that runs towards a farEnd, within a bubble.
type harness struct {
	t    *testing.T
	lane *downstream.Lane
	far  *farEnd

	mu       sync.Mutex // guards what follows: the lane's events
	heard    []string   // "held storm", "resumed storm", with their time
	answered []downstream.Answered
	held     []downstream.Held
}

// answers are the events of answered messages so far.
func (h *harness) answers() []downstream.Answered {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.answered)
}

// holds are the events of a held project so far.
func (h *harness) holds() []downstream.Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.held)
}

// changes are how often the project was held or resumed.
func (h *harness) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.heard)
}

// start makes a lane and runs it until the test's end.
func start(t *testing.T, far *farEnd, opt downstream.Options) *harness {
	t.Helper()
	h := prepare(t, far, opt)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = h.lane.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
	return h
}

// prepare makes a lane that does not run.
func prepare(t *testing.T, far *farEnd, opt downstream.Options) *harness {
	t.Helper()
	h := &harness{t: t, far: far}
	opt.Project = "p"
	opt.Events = &downstream.Events{
		Answered: func(a downstream.Answered) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.answered = append(h.answered, a)
		},
		Held: func(e downstream.Held) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.held = append(h.held, e)
			h.heard = append(h.heard, fmt.Sprintf("%v held %s", time.Since(far.epoch), e.Why))
		},
		Resumed: func(e downstream.Resumed) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.heard = append(h.heard, fmt.Sprintf("%v resumed %s", time.Since(far.epoch), e.Why))
		},
	}
	lane, err := downstream.New(far, &opt)
	if err != nil {
		t.Fatal(err)
	}
	h.lane = lane
	return h
}

// A result is what one message came to.
type result struct {
	mu    sync.Mutex
	calls int
	at    time.Duration
	a     downstream.Answer
	err   error
}

// submit hands m over and watches its answer.
func (h *harness) submit(m *downstream.Message) *result {
	r := &result{}
	h.lane.Submit(m, func(a downstream.Answer, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls++
		r.at, r.a, r.err = time.Since(h.far.epoch), a, err
	})
	return r
}

// wantAt fails the test unless the message had one answer, at that time.
func (r *result) wantAt(t *testing.T, at time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls != 1 {
		t.Fatalf("the message had %d answers, want one", r.calls)
	}
	if r.at != at {
		t.Errorf("the answer came at %v, want %v", r.at, at)
	}
}

// wantAccepted fails the test unless the message was accepted.
func (r *result) wantAccepted(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls != 1 || r.err != nil {
		t.Fatalf("%d answers, error %v, want one without", r.calls, r.err)
	}
}

// wantNone fails the test if the message has its answer.
func (r *result) wantNone(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls != 0 {
		t.Fatalf("%d answers, error %v, want none yet", r.calls, r.err)
	}
}

// wantClass fails the test unless the message has one answer, an error of that
// class, which it returns.
func (r *result) wantClass(t *testing.T, class fcm.Class) *fcm.SendError {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls != 1 {
		t.Fatalf("%d answers, want one", r.calls)
	}
	e, ok := errors.AsType[*fcm.SendError](r.err)
	if !ok || e.Class != class {
		t.Fatalf("error %v, want class %v", r.err, class)
	}
	return e
}

// wantNotSent fails the test unless the message was refused as not sent.
func (r *result) wantNotSent(t *testing.T) *fcm.SendError {
	t.Helper()
	e := r.wantClass(t, fcm.Unavailable)
	if e.OutcomeUnknown || e.Reply != nil {
		t.Fatalf("error %v, want one that says that nothing was sent", e)
	}
	return e
}

// wantEvents fails the test unless these are the lane's events so far.
func (h *harness) wantEvents(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprint(h.heard) != fmt.Sprint(want) {
		h.t.Errorf("events %q, want %q", h.heard, want)
	}
}

// Failures as fcmsend reports them.
func refused() error { // dial: connection refused
	return &fcm.SendError{Class: fcm.Unavailable, Err: errors.New("dial: connection refused")}
}

func timedOut() error {
	return &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true, Err: errors.New("no reply in time")}
}

func overload(retryAfter time.Duration) error {
	return &fcm.SendError{Class: fcm.Unavailable, RetryAfter: retryAfter,
		Reply: &fcm.Error{HTTPStatus: 503, Status: "UNAVAILABLE", Code: fcm.CodeUnavailable}}
}

func projectQuota(retryAfter time.Duration) error {
	return &fcm.SendError{Class: fcm.ProjectQuota, RetryAfter: retryAfter,
		Reply: &fcm.Error{HTTPStatus: 429, Status: "RESOURCE_EXHAUSTED", Info: &fcm.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED"}}}
}

func deviceQuota(class fcm.Class) error {
	return &fcm.SendError{Class: class,
		Reply: &fcm.Error{HTTPStatus: 429, Status: "RESOURCE_EXHAUSTED", Code: fcm.CodeQuotaExceeded}}
}

func credential() error {
	return &fcm.SendError{Class: fcm.Credential, Reply: &fcm.Error{HTTPStatus: 401, Status: "UNAUTHENTICATED"}}
}

func configuration(status int) error {
	return &fcm.SendError{Class: fcm.Configuration, Reply: &fcm.Error{HTTPStatus: status}}
}

func unregistered() error {
	return &fcm.SendError{Class: fcm.Unregistered,
		Reply: &fcm.Error{HTTPStatus: 404, Status: "NOT_FOUND", Code: fcm.CodeUnregistered}}
}

// unlimited are options for a lane without quotas.
func unlimited() downstream.Options { return downstream.Options{Pace: pace.Unlimited()} }
