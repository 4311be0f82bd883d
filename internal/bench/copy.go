package bench

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// playCopy is the limit of bridges: on each stream of CCS that comes, a
// connection to the far end of HTTP v1. For each stanza one pre-encoded request
// leaves, whatever the stanza says, and for each answer, in their order, the
// stanza's ack, whatever the answer says. It checks, remembers and translates
// nothing.
func playCopy(t task) error {
	config, err := serverConfig(t.Dir)
	if err != nil {
		return err
	}
	toFar, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go copyStream(conn, t.Far, toFar)
		}
	}()
	say(result{Addr: l.Addr().String()})
	var meter meter
	return obey(func(command string) result {
		if command == commandMark {
			meter = startMeter()
			return result{}
		}
		return meter.read(0)
	})
}

// copyStream serves one stream until it ends, by whatever cause: its client sees
// that it does.
func copyStream(app net.Conn, far string, config *tls.Config) {
	defer app.Close()
	id, err := welcome(app)
	if err != nil {
		return
	}
	conn, err := dialH2(far, config)
	if err != nil {
		return
	}
	defer conn.Close()
	c := &copier{v1: newV1Client(conn, far), app: app, warm: make(chan struct{})}
	if c.v1.begin() != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = readFrames(conn, c.take, c.answer)
		app.Close() // which ends the reading there, too
	}()
	select {
	case <-c.warm:
		if _, err := app.Write(xmpp.AppendBound(nil, id, sender+"@"+ccs.DefaultHost+"/bench")); err == nil {
			_ = readStanzas(app, c.send)
		}
	case <-ended:
	}
	conn.Close()
	<-ended
}

// A copier is one stream and its connection.
type copier struct {
	app     net.Conn
	warm    chan struct{} // closed when the far end has answered the first request
	isWarm  bool          // the same, for the reader of answers
	answers int           // of one read
	out     []byte

	mu   sync.Mutex // guards what follows
	v1   *v1client
	owed int    // requests that the far end's window did not take
	acks []byte // of stanzas that were read, in their order
	size int    // of an ack
}

// send sends a request for each stanza.
func (c *copier) send(stanzas []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int
	before := len(c.acks)
	c.acks, n = appendAcks(c.acks, stanzas)
	if n == 0 {
		return nil
	}
	c.size = (len(c.acks) - before) / n
	return c.flush(n)
}

// flush sends n requests more. The lock is held.
func (c *copier) flush(n int) error {
	c.owed += n
	sent, err := c.v1.send(c.owed)
	c.owed -= sent
	return err
}

func (c *copier) take(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	answered, err := c.v1.take(f)
	switch {
	case !answered:
		return err
	case c.isWarm:
		c.answers++
	default:
		c.isWarm = true
		close(c.warm)
	}
	return nil
}

// answer writes the acks of the answers that one read brought.
func (c *copier) answer() error {
	c.mu.Lock()
	n := c.answers * c.size
	if c.answers = 0; n > len(c.acks) {
		c.mu.Unlock()
		return fmt.Errorf("%w: more answers than requests", errFrame)
	}
	c.out = append(c.out[:0], c.acks[:n]...)
	c.acks = append(c.acks[:0], c.acks[n:]...)
	err := c.flush(0)
	c.mu.Unlock()
	if err != nil || n == 0 {
		return err
	}
	_, err = c.app.Write(c.out)
	return err
}
