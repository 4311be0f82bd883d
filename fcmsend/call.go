package fcmsend

import (
	"context"
	"errors"
	"time"
)

// An ending is how a call came out.
type ending uint8

const (
	// answered: a status came. What came of the body may still be cut short.
	answered ending = iota + 1
	// elsewhere: the far end has not processed it, and another connection may
	// take it at once.
	elsewhere
	// unsent: the far end has not processed it; it is not tried again here.
	unsent
	// unknown: it may have been processed.
	unknown
)

// A call is one request on one connection, and then its answer. It is used
// again for the next one.
type call struct {
	// Set by the sender.
	auth string
	body []byte

	// The connection's, under its lock, until done has been received; the
	// sender's from then on.
	end        ending
	err        error // why there is no whole answer
	status     int
	retryAfter string
	reply      []byte // at most maxReply bytes
	whole      bool   // the reply has come to its end, and within the bound

	done chan struct{} // of room for one; the connection writes once for each call

	stream stream // of HTTP/2

	timer *time.Timer // the sender's
}

// A stream is what a connection of HTTP/2 keeps for a call.
type stream struct {
	id       uint32
	begun    time.Time // written to the buffer
	window   int64     // bytes of body that the far end takes
	rest     []byte    // of the body, waiting for window
	offset   uint64    // of the connection's output, behind the request's last byte; 0: not reached
	declared int64     // content-length of the answer; -1: none
	got      int64     // bytes of the answer's body so far
	header   bool      // the answer's header has come
}

func newCall() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &call{done: make(chan struct{}, 1), timer: timer}
}

// reset makes k fit for another connection.
func (k *call) reset() {
	k.end, k.err, k.status, k.retryAfter, k.whole = 0, nil, 0, "", false
	k.reply = k.reply[:0]
	k.stream = stream{declared: -1}
}

// finish hands the call back to the sender, once.
func (k *call) finish(end ending, err error) {
	k.end, k.err = end, err
	k.done <- struct{}{}
}

// wait returns when the call is done. If ctx ends or limit has passed before,
// it has abandon end it, which must lead to done.
func (k *call) wait(ctx context.Context, limit time.Duration, abandon func(*call, error)) {
	k.timer.Reset(limit)
	select {
	case <-k.done:
	case <-ctx.Done():
		abandon(k, context.Cause(ctx))
		<-k.done
	case <-k.timer.C:
		abandon(k, errTimeout)
		<-k.done
	}
	k.timer.Stop()
}

// alarm returns a channel that is written at t; if that is zero, never. Stop
// must be called.
func alarm(t time.Time) (c <-chan time.Time, stop func() bool) {
	if t.IsZero() {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, timer.Stop
}

// What may go wrong on the way, besides what the network says.
var (
	errClosed   = errors.New("the sender is closed")
	errLate     = errors.New("no access token or no place on a connection in time")
	errOver     = errors.New("the time to live was over before it could be written")
	errLeft     = errors.New("the caller has left")
	errTimeout  = errors.New("no answer within the time limit")
	errGone     = errors.New("the connection is closing")
	errGoAway   = errors.New("the far end closes the connection and has not processed this")
	errRefusal  = errors.New("the far end has refused the stream")
	errPing     = errors.New("no answer to a ping")
	errProtocol = errors.New("the far end breaks the rules of HTTP/2")
	errCut      = errors.New("the answer is cut short")
)
