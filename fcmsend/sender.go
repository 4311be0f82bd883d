package fcmsend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"penstock/fcm"
)

// maxReplays bounds how often one try is written anew because the far end
// has not processed it, which it said or which cannot be otherwise.
const maxReplays = 8

// A Sender sends messages of one project. All methods may be called by several
// goroutines.
type Sender struct {
	project fcm.ProjectID
	opt     Options
	to      target
	tokens  *tokens
	pool    *pool
	calls   sync.Pool // of *call; channels and timers belong to one bubble in tests
}

// A Result is what FCM says of a message that it has accepted. That is no proof
// of delivery.
type Result struct {
	// Name is projects/P/messages/ID, of which no more is known; empty: FCM gave
	// none.
	Name string
	// ValidateOnly: the message was checked, and not sent to anybody.
	ValidateOnly bool
}

// New makes a sender for project; if that is empty, for the one that the
// credentials name. It starts nothing: connections and access tokens are
// fetched when they are needed. Close ends what that has started.
func New(project fcm.ProjectID, cred Credentials, opt *Options) (*Sender, error) {
	if cred == nil {
		return nil, errors.New("fcmsend: no credentials")
	}
	if p, ok := cred.(interface{ projectID() fcm.ProjectID }); ok && project == "" {
		project = p.projectID()
	}
	if err := checkProject(project); err != nil {
		return nil, err
	}
	s := &Sender{project: project}
	var err error
	if s.opt, s.to, err = opt.withDefaults(project); err != nil {
		return nil, err
	}
	s.tokens = newTokens(cred, s.opt.tokenClient(), s.opt.Events)
	s.pool = newPool(&s.opt, &s.to)
	s.calls.New = newCall
	return s, nil
}

// Project is whose messages are sent.
func (s *Sender) Project() fcm.ProjectID { return s.project }

// Close cuts all connections and waits until nothing of the sender's runs.
// Messages under way end with an error; those that were written may have been
// accepted.
func (s *Sender) Close() {
	s.tokens.close()
	s.pool.close()
}

// Send tries one message once. The error is always a *[fcm.SendError].
// OutcomeUnknown is set if, and only if, FCM may have accepted the message.
//
// What FCM has surely not processed is written again at once, on another
// connection, and what it answers with 401 is sent again with a new access
// token, both without end of ctx being waited for. Once the request is written,
// its answer is awaited for Options.RequestTimeout; before that only ctx bounds
// the wait for a place on a connection. The times to live in what is written are
// shorter by what has passed since the call; a message whose time is over is not
// written, and its class is [fcm.Expired].
func (s *Sender) Send(ctx context.Context, r *fcm.SendRequest) (Result, error) {
	return s.SendBy(ctx, r, time.Time{})
}

// SendBy is [Sender.Send] for a message that is of no use if it leaves late: it
// waits for an access token and for a place on a connection no longer than until
// by, and is not sent if there was none. The answer to what was written is awaited all the same.
func (s *Sender) SendBy(ctx context.Context, r *fcm.SendRequest, by time.Time) (Result, error) {
	result, failure := s.send(ctx, r, by)
	if failure == nil {
		s.tokens.trouble(false)
		return result, nil
	}
	switch failure.Class {
	case fcm.Credential, fcm.Configuration:
		s.tokens.trouble(true)
	case fcm.Unavailable, fcm.Internal: // says nothing of the credentials
	default:
		if failure.Reply != nil {
			s.tokens.trouble(false)
		}
	}
	return result, failure
}

func (s *Sender) send(ctx context.Context, r *fcm.SendRequest, by time.Time) (Result, *fcm.SendError) {
	if err := r.Validate(); err != nil {
		return Result{}, &fcm.SendError{Class: fcm.InvalidMessage, Err: err}
	}
	kind, _ := r.Message.Target()
	b := bodies.Get().(*body)
	defer b.free()
	b.of, b.since = r, time.Now()
	b.bytes = r.Append(b.bytes[:0])
	k := s.calls.Get().(*call)
	defer s.calls.Put(k)

	for first := true; ; first = false {
		token, err := s.tokens.get(ctx, by)
		if err != nil {
			return Result{}, noToken(err)
		}
		k.auth = token.header
		if !s.exchange(ctx, by, k, b) {
			return Result{}, &fcm.SendError{Class: fcm.Expired, Err: errOver}
		}
		result, failure := k.outcome(kind)
		if failure == nil {
			s.tokens.accept(token)
			result.ValidateOnly = r.ValidateOnly
			return result, nil
		}
		if k.end != answered || k.status != 401 || failure.Class != fcm.Credential {
			if k.end == answered && k.status != 401 {
				s.tokens.accept(token)
			}
			return Result{}, failure
		}
		again, err := s.tokens.reject(token)
		if err != nil {
			failure.Err = err
		}
		if !again || !first {
			return Result{}, failure
		}
	}
}

// exchange has a connection carry k with what b is then, another one if the first
// did not. It is false if the time to live was over before that.
func (s *Sender) exchange(ctx context.Context, by time.Time, k *call, b *body) bool {
	for replays := 0; ; {
		k.reset()
		if ctx.Err() != nil {
			k.end, k.err = unsent, context.Cause(ctx)
			return true
		}
		l, err := s.pool.acquire(ctx, by)
		if err != nil {
			k.end, k.err = unsent, err
			return true
		}
		if !b.age() {
			s.pool.release(l, false)
			return false
		}
		k.body = b.bytes
		l.conn.roundTrip(ctx, k, s.opt.RequestTimeout)
		if k.end == elsewhere && k.err == errGone { //nolint:errorlint // our own word, as we wrote it
			// It was over before anything was written, and the pool had not heard.
			s.pool.leave(l)
			continue
		}
		s.pool.release(l, k.end == answered)
		if k.end != elsewhere || replays == maxReplays {
			return true
		}
		replays++
	}
}

// outcome says what became of a message for that kind of target.
func (k *call) outcome(kind fcm.TargetKind) (Result, *fcm.SendError) {
	switch {
	case k.end != answered:
		return Result{}, &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: k.end == unknown, Err: k.err}
	case k.status >= 200 && k.status < 300:
		if !k.whole {
			return Result{}, &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true, Err: k.err}
		}
		name, ok := fcm.ParseReply(k.reply)
		if !ok {
			// A page of some proxy, for instance: nobody knows who has answered.
			return Result{}, &fcm.SendError{Class: fcm.Unavailable, OutcomeUnknown: true,
				Err: fmt.Errorf("HTTP %d with %d bytes that are no JSON object", k.status, len(k.reply))}
		}
		return Result{Name: name}, nil
	}
	failure := &fcm.SendError{Reply: fcm.ParseErrorReply(k.status, k.reply)}
	failure.Class = fcm.Classify(kind, failure.Reply)
	failure.RetryAfter, _ = fcm.ParseRetryAfter(k.retryAfter, time.Now())
	if failure.Class == fcm.Configuration && failure.Reply.NotJSON && !k.whole && !errors.Is(k.err, errTooLong) && k.status >= 400 {
		// What is missing says whether it is about the address or about the
		// project, which must not be held for a connection that broke.
		failure.Class, failure.Err = fcm.Unavailable, k.err
	}
	return Result{}, failure
}

// noToken is the outcome of a message that was not sent for want of a token.
func noToken(err error) *fcm.SendError {
	class := fcm.Unavailable
	if _, ok := errors.AsType[*TokenError](err); ok {
		class = fcm.Credential
	}
	return &fcm.SendError{Class: class, Err: err}
}

// A body is a request's, used again for the next one.
type body struct {
	bytes []byte
	of    *fcm.SendRequest
	since time.Time // of the call
}

var bodies = sync.Pool{New: func() any { return &body{bytes: make([]byte, 0, 1<<10)} }}

// age writes the request anew if it has waited for long enough to say something
// else. It is false if its time to live is over. Now or never does not grow
// older: how long that may wait is for whoever sends it.
func (b *body) age() bool {
	aged, alive := b.of.Aged(time.Since(b.since))
	if !alive {
		ttl, _ := b.of.Message.TTL()
		return ttl == 0
	}
	if aged != b.of {
		b.bytes = aged.Append(b.bytes[:0])
	}
	return true
}

func (b *body) free() {
	b.of = nil
	if cap(b.bytes) <= 64<<10 {
		bodies.Put(b)
	}
}
