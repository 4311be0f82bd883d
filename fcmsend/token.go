package fcmsend

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The times of an access token (docs/fcm-http.md, Access tokens).
const (
	refreshEarly = 5 * time.Minute  // a new one is fetched so long before the end
	useMargin    = time.Minute      // and the old one used until so long before it
	tokenTimeout = 10 * time.Second // of getting one
	tokenBackoff = 10 * time.Second // after the first failure; it doubles
	tokenHoldMax = 5 * time.Minute
	filePoll     = 5 * time.Second
)

// An accessToken is shared by all messages until it is replaced.
type accessToken struct {
	header    string // Bearer and the value
	expiry    time.Time
	refreshAt time.Time // from here on another is wanted
	useUntil  time.Time // from here on it is not used
	trial     bool      // it replaces one that FCM has refused
	got       time.Time
	proven    atomic.Bool // FCM has accepted it
}

// tokens has the one access token and gets the next: one request at a time,
// minutes before it is needed. Where that fails, or FCM refuses what was got,
// it waits before it asks again, and says so at once to whoever wants a token.
type tokens struct {
	cred   Credentials
	client *http.Client
	events *Events
	ctx    context.Context // ends with the sender
	cancel context.CancelFunc

	cur      atomic.Pointer[accessToken] // written under mu
	nextPoll atomic.Int64                // Unix nanoseconds; when to look at the file again
	broken   atomic.Bool                 // see trouble; written under mu

	mu        sync.Mutex // guards what follows
	running   sync.WaitGroup
	closed    bool
	flight    *flight // the request under way; nil: none
	again     bool    // the credentials have changed since it began
	refused   string  // header of the token that FCM refused last; empty: none since one worked
	failures  int     // in a row
	notBefore time.Time
	failure   error       // why, while there are failures
	watch     *time.Timer // of lookAgain; nil: it was never needed
}

// A flight is one request for a token. Whoever waits reads err after done.
type flight struct {
	done chan struct{}
	err  error
}

func newTokens(cred Credentials, client *http.Client, events *Events) *tokens {
	t := &tokens{cred: cred, client: client, events: events}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// close ends a request that is under way, and waits for it.
func (t *tokens) close() {
	t.mu.Lock()
	t.closed = true
	if t.watch != nil {
		t.watch.Stop()
	}
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
	t.client.CloseIdleConnections()
}

// get returns a token that can be used, and waits for one only if there is
// none: until ctx ends or until by, unless that is zero. Its error is ctx's,
// errLate, errClosed or a *TokenError.
func (t *tokens) get(ctx context.Context, by time.Time) (*accessToken, error) {
	for {
		now := time.Now()
		cur := t.cur.Load()
		if cur != nil && now.Before(cur.refreshAt) && now.UnixNano() < t.nextPoll.Load() {
			return cur, nil
		}
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, errClosed
		}
		t.poll(now)
		cur = t.cur.Load()
		usable := cur != nil && now.Before(cur.useUntil)
		if t.flight == nil && !now.Before(t.notBefore) && (!usable || !now.Before(cur.refreshAt)) {
			t.start()
		}
		under, failure := t.flight, t.failure
		t.mu.Unlock()
		switch {
		case usable:
			return cur, nil
		case under == nil:
			return nil, failure
		}
		late, stop := alarm(by)
		select {
		case <-under.done:
			stop()
			if under.err != nil {
				return nil, under.err
			}
		case <-ctx.Done():
			stop()
			return nil, context.Cause(ctx)
		case <-late:
			return nil, errLate
		}
	}
}

// start begins a request. The lock is held.
func (t *tokens) start() {
	f := &flight{done: make(chan struct{})}
	t.flight = f
	t.running.Go(func() { t.refresh(f) })
}

func (t *tokens) refresh(f *flight) {
	ctx, cancel := context.WithTimeout(t.ctx, tokenTimeout)
	defer cancel()
	trip := &tokenTrip{ctx: ctx, base: t.client.Transport}
	got, err := t.cred.Token(ctx, &http.Client{Transport: trip, CheckRedirect: t.client.CheckRedirect})
	switch {
	case err == nil:
	case t.ctx.Err() != nil:
		err = errClosed
	default:
		err = trip.explain(err)
	}
	now := time.Now()
	next := newAccessToken(got, now)
	if err == nil {
		err = next.check(now)
	}

	t.mu.Lock()
	t.flight = nil
	if t.again && !t.closed && (err != nil || t.broken.Load()) {
		// It was asked for with what is in use no more: whoever waits for it waits
		// for the next one.
		t.again = false
		t.start()
		t.mu.Unlock()
		close(f.done)
		return
	}
	if err == nil && next.header == t.refused && t.failures == 0 {
		err = errRefused // asking FCM again with the same would change nothing
	}
	f.err = err
	if err == nil {
		next.trial = t.refused != ""
		if !next.trial {
			t.failures, t.failure = 0, nil
		}
		t.cur.Store(next)
	} else {
		t.hold(now, err)
	}
	until := t.notBefore
	if t.again && !t.closed {
		t.again = false
		t.start()
	}
	t.mu.Unlock()
	close(f.done)

	switch {
	case err == nil && t.events.TokenRefreshed != nil:
		t.events.TokenRefreshed(next.expiry)
	case err != nil && t.events.TokenFailed != nil && t.ctx.Err() == nil:
		t.events.TokenFailed(err, until)
	}
}

// hold sets when a token may be asked for again. The lock is held.
func (t *tokens) hold(now time.Time, err error) {
	wait := min(tokenBackoff<<min(t.failures, 10), tokenHoldMax)
	t.failures++
	t.failure = err
	// Earlier by chance, not later: a lane that waits as long and then tries once
	// must not find that it came too soon.
	t.notBefore = now.Add(wait - rand.N(wait/4))
}

// reject says that FCM answered 401 to a message with tok, and reports whether
// another token is worth one more try of that message. The first refusal is
// taken for an early end; if the next token is refused too, there is none until
// some time has passed.
func (t *tokens) reject(tok *accessToken) (again bool, err error) {
	t.mu.Lock()
	cur := t.cur.Load()
	if cur != tok {
		defer t.mu.Unlock()
		// Somebody else was told before.
		if cur != nil || t.failures == 0 {
			return true, nil
		}
		return false, t.failure
	}
	if tok.trial && tok.proven.Load() && time.Since(tok.got) < tokenBackoff {
		// It was got since FCM had refused another. FCM takes it for one message and
		// not for the next, and would do the same with a third.
		t.mu.Unlock()
		return false, nil
	}
	t.cur.Store(nil)
	t.refused = tok.header
	if !tok.trial || tok.proven.Load() {
		t.failures = 0
		t.notBefore = time.Time{}
		t.mu.Unlock()
		return true, nil
	}
	t.hold(time.Now(), errRefused)
	until := t.notBefore
	t.mu.Unlock()
	if t.events.TokenFailed != nil {
		t.events.TokenFailed(errRefused, until)
	}
	return false, errRefused
}

// accept says that FCM has taken tok.
func (t *tokens) accept(tok *accessToken) {
	if tok.proven.Load() {
		return
	}
	tok.proven.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	// Without a refusal the failures, if any, are those of getting the next token,
	// of which this one says nothing.
	if t.cur.Load() == tok && t.refused != "" {
		t.refused, t.failures, t.failure, t.notBefore = "", 0, nil, time.Time{}
	}
}

// poll looks at the credential file, if there is one, now and then. The lock is
// held.
func (t *tokens) poll(now time.Time) {
	switch {
	case t.file() == nil:
		t.nextPoll.Store(1<<63 - 1)
	case now.UnixNano() >= t.nextPoll.Load():
		t.look(now)
	}
}

// file is what follows a file in the credentials; nil: nothing does.
func (t *tokens) file() interface{ reload() (bool, error) } {
	file, _ := t.cred.(interface{ reload() (bool, error) })
	return file
}

// look reads the file if it has changed. The lock is held; the file is read
// without it.
func (t *tokens) look(now time.Time) {
	t.nextPoll.Store(now.Add(filePoll).UnixNano())
	t.running.Go(func() {
		changed, err := t.file().reload()
		if err != nil && t.events.CredentialsBroken != nil {
			t.events.CredentialsBroken(err)
		}
		if !changed {
			return
		}
		t.mu.Lock()
		// What was known of the old credentials says nothing of the new ones.
		t.refused, t.failures, t.failure, t.notBefore = "", 0, nil, time.Time{}
		if t.broken.Load() {
			t.cur.Store(nil) // nothing came of it but trouble
		}
		switch {
		case t.closed:
		case t.flight != nil:
			t.again = true
		default:
			t.start()
		}
		t.mu.Unlock()
		if t.events.CredentialsSwapped != nil {
			t.events.CredentialsSwapped()
		}
	})
}

// trouble says whether the last word of FCM or of the token endpoint was one
// that an operator must act upon. While it was, the file is looked at all the
// time: whoever sends may wait for minutes before the next try, and it is the
// change that is waited for.
func (t *tokens) trouble(is bool) {
	if t.broken.Load() == is || t.file() == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.broken.Swap(is) == is {
		return
	}
	switch {
	case !is:
		t.watch.Stop()
	case t.watch == nil:
		t.watch = time.AfterFunc(filePoll, t.lookAgain)
	default:
		t.watch.Reset(filePoll)
	}
}

// lookAgain is what the timer of trouble does.
func (t *tokens) lookAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.broken.Load() {
		return
	}
	t.look(time.Now())
	t.watch.Reset(filePoll)
}

// newAccessToken sets the times. A token that lives shortly keeps half its life
// for the next one, and a tenth as margin.
func newAccessToken(got Token, now time.Time) *accessToken {
	a := &accessToken{header: "Bearer " + got.Value, expiry: got.Expiry, got: now}
	if got.Expiry.IsZero() {
		never := now.Add(100 * 365 * 24 * time.Hour)
		a.refreshAt, a.useUntil = never, never
		return a
	}
	life := got.Expiry.Sub(now)
	a.refreshAt = got.Expiry.Add(-min(refreshEarly, life/2))
	a.useUntil = got.Expiry.Add(-min(useMargin, life/10))
	return a
}

func (a *accessToken) check(now time.Time) error {
	switch {
	case a.header == "Bearer ":
		return &TokenError{Err: errors.New("the access token is empty")}
	case !now.Before(a.useUntil):
		return &TokenError{Err: errors.New("the access token is over already")}
	case len(a.header) > 16<<10 || !printable(a.header):
		return &TokenError{Err: errors.New("the access token is too long for a header, or has characters that no header may have")}
	}
	return nil
}

func printable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
