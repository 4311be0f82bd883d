package xmpp_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/internal/ccstest"
	"penstock/internal/xmpp"
)

// A connEnd is a Conn that runs over a pipe, and the raw other end.
type connEnd struct {
	conn *xmpp.Conn
	peer net.Conn
	ran  chan error
}

// runConn opens a stream for a Conn and lets it run.
func runConn(t *testing.T, handle func(*xmpp.Conn, xmpp.Element) error) *connEnd {
	t.Helper()
	near, far := ccstest.Pipe()
	e := &connEnd{conn: xmpp.NewConn(near, xmpp.ReaderOptions{}, xmpp.WriterOptions{}), peer: far, ran: make(chan error, 1)}
	e.write(t, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
	if _, err := e.conn.Reader().Header(); err != nil {
		t.Fatal(err)
	}
	go func() { e.ran <- e.conn.Run(func(el xmpp.Element) error { return handle(e.conn, el) }) }()
	return e
}

func (e *connEnd) write(t *testing.T, s string) {
	t.Helper()
	if _, err := e.peer.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

// rest reads what the Conn wrote until it closed, and answers the close.
func (e *connEnd) rest() (string, error) {
	b, err := io.ReadAll(e.peer)
	e.peer.Close()
	return string(b), err
}

func echoID(c *xmpp.Conn, el xmpp.Element) error {
	id, _ := el.Attr("id")
	s := "<got>" + string(id) + "</got>"
	return c.Append(func(dst []byte) []byte { return append(dst, s...) })
}

func TestConnEndsByItsCause(t *testing.T) {
	streamError := &ccs.StreamError{Condition: ccs.ConditionPolicyViolation}
	const policy = `<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`
	tests := []struct {
		name  string
		end   func(t *testing.T, e *connEnd)
		words string
		cause error
	}{
		{"a goodbye of ours writes the closing tag", func(_ *testing.T, e *connEnd) { e.conn.End(xmpp.ErrGoodbye) },
			"</stream:stream>", xmpp.ErrGoodbye},
		{"the peer's closing tag is answered by ours", func(t *testing.T, e *connEnd) { e.write(t, "</stream:stream>") },
			"</stream:stream>", xmpp.ErrClosed},
		{"a stream error is written", func(_ *testing.T, e *connEnd) { e.conn.End(streamError) }, policy, streamError},
		{"the first cause counts", func(_ *testing.T, e *connEnd) { e.conn.End(streamError); e.conn.End(xmpp.ErrGoodbye) }, policy, streamError},
		{"a connection that ends without a tag gets no last words", func(_ *testing.T, e *connEnd) { e.peer.(*ccstest.Conn).CloseWrite() }, "", io.EOF},
		{"any other cause is not told", func(_ *testing.T, e *connEnd) { e.conn.End(net.ErrClosed) }, "", net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := runConn(t, echoID)
				e.write(t, "<message id='1'/><message id='2'/>")
				synctest.Wait()
				tt.end(t, e)
				got, err := e.rest()
				if want := "<got>1</got><got>2</got>" + tt.words; err != nil || got != want {
					t.Errorf("wrote %q (%v), want %q", got, err, want)
				}
				if err := <-e.ran; !errors.Is(err, tt.cause) {
					t.Errorf("Run returned %v, want %v", err, tt.cause)
				}
			})
		})
	}
}

func TestConnCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, echoID)
		e.conn.End(xmpp.ErrCut)
		if got, err := e.rest(); !errors.Is(err, syscall.ECONNRESET) || got != "" {
			t.Errorf("a cut was read as %q, %v", got, err)
		}
		if err := <-e.ran; !errors.Is(err, xmpp.ErrCut) {
			t.Error(err)
		}
	})
}

func TestConnEndsWhenAllIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, func(c *xmpp.Conn, el xmpp.Element) error {
			if id, _ := el.Attr("id"); string(id) == "1" {
				c.EndWhenRead() // the second stanza has been read with the first
			}
			return echoID(c, el)
		})
		e.write(t, "<message id='1'/><message id='2'/>")
		if got, _ := e.rest(); got != "<got>1</got><got>2</got></stream:stream>" {
			t.Errorf("wrote %q", got)
		}
		if err := <-e.ran; !errors.Is(err, xmpp.ErrGoodbye) {
			t.Error(err)
		}
	})
}

func TestConnHandlesNothingBehindItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, func(c *xmpp.Conn, el xmpp.Element) error {
			defer c.End(xmpp.ErrGoodbye) // the second stanza has been read with the first
			return echoID(c, el)
		})
		e.write(t, "<message id='1'/><message id='2'/>")
		if got, _ := e.rest(); got != "<got>1</got></stream:stream>" {
			t.Errorf("wrote %q", got)
		}
	})
}

func TestConnPanicCostsTheStreamOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, func(*xmpp.Conn, xmpp.Element) error { panic("boom") })
		e.write(t, "<message/>")
		if got, _ := e.rest(); !strings.Contains(got, "<internal-server-error ") || !strings.HasSuffix(got, "</stream:stream>") {
			t.Errorf("wrote %q", got)
		}
		if _, ok := errors.AsType[*xmpp.PanicError](<-e.ran); !ok {
			t.Error("the cause does not tell of the panic")
		}
	})
}

func TestConnTellsItsEndBeforeThePeerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := ccstest.Pipe()
		c := xmpp.NewConn(near, xmpp.ReaderOptions{}, xmpp.WriterOptions{})
		var ended time.Time
		c.Ended = func() { ended = time.Now() }
		began := time.Now()
		c.End(xmpp.ErrGoodbye)
		c.Run(func(xmpp.Element) error { return nil })
		if ended.Sub(began) != 0 || time.Since(began) != xmpp.GoodbyeTime {
			t.Errorf("told after %v, closed after %v", ended.Sub(began), time.Since(began))
		}
		far.Close()
	})
}

func TestConnReadsNoFurtherWhileThePeerReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := 0
		e := runConn(t, func(c *xmpp.Conn, _ xmpp.Element) error {
			handled++
			return c.Append(func(dst []byte) []byte { return append(dst, make([]byte, 100<<10)...) })
		})
		go func() {
			for range 100 {
				if _, err := e.peer.Write([]byte("<message/>")); err != nil {
					return // the stream has ended
				}
			}
		}()
		synctest.Wait()
		if handled > 20 { // the writer is full at a mebibyte, and the pipe takes a little
			t.Errorf("%d stanzas were handled although no answer is read", handled)
		}
		began := time.Now()
		e.conn.End(xmpp.ErrGoodbye)
		<-e.ran
		if d := time.Since(began); d > xmpp.GoodbyeTime {
			t.Errorf("the end took %v", d)
		}
		e.peer.Close()
	})
}

func TestConnIsCutAtOnceThoughAWriteIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, func(*xmpp.Conn, xmpp.Element) error { return nil })
		_ = e.conn.Append(func(dst []byte) []byte { return append(dst, make([]byte, 8<<20)...) })
		e.conn.Flush()
		synctest.Wait()
		began := time.Now()
		e.conn.End(xmpp.ErrCut)
		<-e.ran
		if d := time.Since(began); d != 0 {
			t.Errorf("the cut took %v", d)
		}
		e.peer.Close()
	})
}

func TestConnDoesNotWaitForEverToSayGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := runConn(t, func(*xmpp.Conn, xmpp.Element) error { return nil })
		big := make([]byte, 256<<10) // more than the pipe holds: the write is stuck
		if err := e.conn.Append(func(dst []byte) []byte { return append(dst, big...) }); err != nil {
			t.Fatal(err)
		}
		e.conn.Flush()
		began := time.Now()
		e.conn.End(xmpp.ErrGoodbye)
		<-e.ran
		if d := time.Since(began); d > 2*xmpp.GoodbyeTime {
			t.Errorf("the end took %v", d)
		}
	})
}
