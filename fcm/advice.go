package fcm

import (
	"math/rand/v2"
	"time"
)

// The waits that Google publishes (docs/fcm-http.md, Retrying).
const (
	RetryFloor = 10 * time.Second // before anything is tried again
	QuotaFloor = time.Minute      // after 429 without Retry-After, and for a topic always
	RetryMax   = 10 * time.Minute // where the doubling ends
	// RetryFor is how long a message is tried again at most: what still fails
	// then is misjudged, or an outage.
	RetryFor = time.Hour
)

// A Scope is what has to wait after a failure.
type Scope uint8

// The scopes. The zero Scope is none: nothing waits.
const (
	ScopeMessage Scope = iota + 1 // this message alone
	ScopeDevice                   // all to its device
	ScopeTopic                    // all to its topic
	ScopeProject                  // all of the project
)

// String is a word for logs and metrics; the set is closed.
func (s Scope) String() string {
	switch s {
	case ScopeMessage:
		return "message"
	case ScopeDevice:
		return "device"
	case ScopeTopic:
		return "topic"
	case ScopeProject:
		return "project"
	}
	return "none"
}

// Advise says what to do after the failed attempt of that number, counted from
// 1: how long to wait, who waits, and whether the message is worth another
// attempt. The wait is never shorter than FCM asked for, and never shorter than
// [RetryFloor]; it grows with the attempts where FCM asked for none, and has
// jitter, which makes it longer. Where the fault is the operator's, the project
// has to wait although Google asks not to repeat the message.
func Advise(err *SendError, attempt int) (wait time.Duration, scope Scope, again bool) {
	floor, scope, again := RetryFloor, ScopeMessage, true
	switch err.Class {
	case Unavailable, Internal:
	case ProjectQuota:
		floor, scope = QuotaFloor, ScopeProject
	case DeviceQuota:
		floor, scope = QuotaFloor, ScopeDevice
	case TopicQuota:
		floor, scope = QuotaFloor, ScopeTopic
	case Credential, Configuration:
		floor, scope, again = QuotaFloor, ScopeProject, false
	default:
		return 0, 0, false
	}
	switch {
	case err.RetryAfter > 0 && scope == ScopeTopic:
		wait = max(err.RetryAfter, QuotaFloor)
	case err.RetryAfter > 0:
		wait = max(err.RetryAfter, RetryFloor)
	default:
		wait = min(floor<<min(max(attempt, 1)-1, 10), RetryMax)
	}
	return wait + rand.N(wait/4), scope, again
}
