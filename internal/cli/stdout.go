package cli

import (
	"fmt"
	"io"
	"sync"
)

// An outlet is stdout. It keeps in mind that something could not be written
// there, for those commands that go on all the same.
type outlet struct {
	to io.Writer

	mu     sync.Mutex // guards what follows
	failed error      // the first one
}

func (o *outlet) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.failed == nil {
			o.failed = err
		}
	}
	return n, err
}

// told is the exit code of a command that ended with code: what nobody could
// read was not done well. stderr hears of it unless it heard of a failure
// already.
func (o *outlet) told(code int, stderr io.Writer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if code != exitGood || o.failed == nil {
		return code
	}
	fmt.Fprintf(stderr, "penstock: stdout: %v\n", o.failed)
	return exitFailed
}

// beneath is the file, or whatever else, that an outlet writes to.
func beneath(w io.Writer) io.Writer {
	if o, ok := w.(*outlet); ok {
		return o.to
	}
	return w
}
