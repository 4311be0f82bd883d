package fcmsend

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// An h1conn is one connection of HTTP/1.1, for an endpoint without TLS or
// without HTTP/2. It carries one call at a time; a reader waits for its answer,
// and for the far end's close in between.
type h1conn struct {
	nc    net.Conn
	to    *target
	head  []byte // of each request, but for key and length
	owner connOwner
	in    *bufio.Reader
	bound *boundedReader

	mu      sync.Mutex // guards what follows
	err     error
	call    *call
	writing bool // the sender is at the socket, and will know what that took
	last    bool // the answer that came was the last one here
}

// A boundedReader gives at most left bytes, which is set anew for each answer.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func newH1(nc net.Conn, to *target, opt *Options, owner connOwner, running *sync.WaitGroup) *h1conn {
	c := &h1conn{nc: nc, to: to, owner: owner, bound: &boundedReader{r: nc}}
	c.in = bufio.NewReaderSize(c.bound, 4<<10)
	c.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: application/json\r\n",
		to.path, to.authority, opt.UserAgent)
	running.Go(c.read)
	return c
}

func (c *h1conn) roundTrip(ctx context.Context, k *call, limit time.Duration) {
	request := append([]byte(nil), c.head...)
	request = append(request, "Authorization: "...)
	request = append(request, k.auth...)
	request = append(request, "\r\nContent-Length: "...)
	request = strconv.AppendInt(request, int64(len(k.body)), 10)
	request = append(request, "\r\n\r\n"...)
	request = append(request, k.body...)

	c.mu.Lock()
	if c.err != nil || c.last {
		c.mu.Unlock()
		k.end, k.err = elsewhere, errGone
		return
	}
	c.call, c.writing = k, true
	c.mu.Unlock()

	// A caller who leaves while the socket takes nothing closes the connection.
	left := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(left)
		c.abandon(k, context.Cause(ctx))
	})
	c.nc.SetWriteDeadline(time.Now().Add(limit))
	n, err := c.nc.Write(request)
	if !stop() {
		<-left
	}
	c.mu.Lock()
	c.writing = false
	if c.call == k && (err != nil || c.err != nil) {
		c.call = nil
		if err = cmp.Or(c.err, err); n == len(request) {
			k.finish(unknown, err)
		} else {
			k.finish(elsewhere, err)
		}
	}
	c.mu.Unlock()
	if err != nil {
		c.shut(fmt.Errorf("write: %w", err))
	}
	k.wait(ctx, limit, c.abandon)
}

// abandon ends the call, and with it the connection: an answer that comes later
// could not be told from the next one's.
func (c *h1conn) abandon(k *call, err error) {
	c.mu.Lock()
	mine := c.call == k
	c.mu.Unlock()
	if !mine {
		return
	}
	if err != errTimeout { //nolint:errorlint // our own word, as we wrote it
		err = fmt.Errorf("%w: %w", errLeft, err)
	}
	c.shut(err)
}

// shut ends the connection, once, and the call that is under way, unless the
// socket has yet to say what it took of that.
func (c *h1conn) shut(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if k := c.call; k != nil && !c.writing {
		c.call = nil
		k.finish(unknown, err)
	}
	c.mu.Unlock()
	if err == errGone { //nolint:errorlint // our own word, as we wrote it
		c.nc.Close()
	} else {
		belowTLS(c.nc).Close() // a farewell would wait where the far end takes nothing
	}
	c.owner.over(err)
}

// read takes answers until the connection ends.
func (c *h1conn) read() {
	for {
		c.bound.left = maxHeader + maxReply
		if _, err := c.in.Peek(1); err != nil {
			c.shut(readError(err))
			return
		}
		c.mu.Lock()
		asked := c.call != nil
		c.mu.Unlock()
		if !asked {
			c.shut(errors.New("an answer that nobody has asked for"))
			return
		}
		a, err := c.answer()
		if err != nil {
			c.shut(err)
			return
		}
		c.mu.Lock()
		c.last = a.last // before anybody hears of the answer and sends the next request
		if k := c.call; k != nil {
			c.call = nil
			k.status, k.retryAfter, k.whole = a.status, a.retryAfter, a.cut == nil
			k.reply = append(k.reply, a.body...)
			k.finish(answered, a.cut)
		}
		c.mu.Unlock()
		if a.last {
			c.shut(errGone)
			return
		}
	}
}

// An h1answer is what came, apart from the call until it is whole.
type h1answer struct {
	status     int
	retryAfter string
	body       []byte
	cut        error // why the body is not whole
	last       bool  // nothing more comes on this connection
}

// answer reads one answer. Its error is one of the header.
func (c *h1conn) answer() (h1answer, error) {
	for {
		//nolint:bodyclose // its Close would read what is left; the connection is closed instead
		resp, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost})
		if err != nil {
			// The library's errors quote what they could not read.
			if isNetError(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errTooLong) {
				return h1answer{}, fmt.Errorf("read: %w", err)
			}
			return h1answer{}, errors.New("the answer is no HTTP")
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		a := h1answer{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
		a.readBody(resp)
		return a, nil
	}
}

func (a *h1answer) readBody(resp *http.Response) {
	a.body, a.cut = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if a.cut == nil && len(a.body) > maxReply {
		a.body, a.cut = a.body[:maxReply], errTooLong
	}
	a.last = resp.Close || a.cut != nil || resp.StatusCode < 200
}
