package observe

import (
	"log/slog"
	"sync"
	"time"
)

// perSecond is how many lines of one kind strangers can have written in a
// second: without a key nobody shall fill a disk. Metrics count them all.
const perSecond = 10

// lastingEach is between two lines about what lasts, such as a limit that is
// reached: one now and then tells an operator all that there is.
const lastingEach = 10 * time.Second

// seldom bounds the lines of one kind. The zero value is ready, for what
// strangers do; any goroutine may call.
type seldom struct {
	each time.Duration // when not 0, one line in this time, in place of perSecond

	mu      sync.Mutex // guards what follows
	span    time.Time  // when it began
	written int        // in it
	leftOut int        // lines, since the last one that was written
}

// may reports whether a line may be written now, with an attribute that says how
// many before it were not, if any.
func (s *seldom) may() (attr slog.Attr, ok bool) {
	length, most := time.Second, perSecond
	if s.each > 0 {
		length, most = s.each, 1
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.span) >= length {
		s.span, s.written = now, 0
	}
	if s.written >= most {
		s.leftOut++
		return slog.Attr{}, false
	}
	s.written++
	if s.leftOut > 0 {
		attr = slog.Int("left_out", s.leftOut)
		s.leftOut = 0
	}
	return attr, true
}
