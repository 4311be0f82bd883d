package xmpp_test

import (
	"errors"
	"io"
	"os"
	"time"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// discard is a connection that takes everything.
type discard struct{}

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }

// again reports whether an error is a read deadline, after which a reader may
// be asked once more.
func again(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// chunks is a source that gives its text in pieces: the first n bytes, then
// the rest, or, with every set, that many at a time. With late set, a read
// deadline passes in front of each piece.
type chunks struct {
	text  string
	n     int
	every bool
	late  bool
	due   bool
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.late && !c.due {
		c.due = true
		return 0, os.ErrDeadlineExceeded
	}
	c.due = false
	if c.text == "" {
		return 0, io.EOF
	}
	n := len(c.text)
	if c.n > 0 && c.n < n {
		n = c.n
	}
	n = copy(p, c.text[:n])
	c.text = c.text[n:]
	if !c.every {
		c.n -= n
	}
	return n, nil
}

// condition returns the condition of a stream error, and the application's;
// "" for another error.
func condition(err error) (ccs.Condition, string) {
	if e, ok := errors.AsType[*ccs.StreamError](err); ok {
		return e.Condition, e.App
	}
	return "", ""
}

// open reads a header, however often read deadlines pass.
func open(r *xmpp.Reader) error {
	_, err := r.Header()
	for again(err) {
		_, err = r.Header()
	}
	return err
}
