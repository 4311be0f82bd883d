package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/net/http2"

	"penstock/fcmsend"
)

// playV1Raw is the limit of senders: on each connection as many streams as FCM
// takes, whose frames were encoded before, and of which only the ids change; as
// many leave at once as one read brought answers.
func playV1Raw(t task) error {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	f := newFlow(t.Conns)
	for i := range t.Conns {
		conn, err := dialH2(t.Addr, config)
		if err != nil {
			return err
		}
		defer conn.Close()
		go func() { f.failed(runV1Raw(newV1Client(conn, t.Addr), &f.acked[i])) }()
	}
	return f.measure(t)
}

// A v1client writes pre-encoded requests and counts answers. It is one
// goroutine's.
type v1client struct {
	conn   net.Conn
	first  []byte // a request that fills the far end's table
	frames []byte // one request behind the other, up to maxStreams
	size   int    // of one
	ids    [2]int // where a request has its stream's id
	body   int    // its length
	next   uint32 // id
	window int    // bytes of bodies that the far end takes
	read   uint32 // bytes of answers that the far end does not know we have read
	out    []byte
}

func newV1Client(conn net.Conn, authority string) *v1client {
	body := request().Append(nil)
	first, later := blocks(authority, len(body))
	c := &v1client{conn: conn, body: len(body), next: 1, window: 65535}
	c.first = appendRequest(nil, c.next, first, body)
	for range maxStreams {
		c.frames = appendRequest(c.frames, 0, later, body)
	}
	c.size = len(c.frames) / maxStreams
	c.ids = [2]int{5, frameHead + len(later) + 5}
	return c
}

// begin sends the first request.
func (c *v1client) begin() error {
	c.next += 2
	c.window -= c.body
	_, err := c.conn.Write(c.first)
	return err
}

// send writes n requests, or as many as the far end's window takes, and what
// else waits to be said; it returns how many.
func (c *v1client) send(n int) (int, error) {
	n = min(n, maxStreams, c.window/c.body)
	for i := range n {
		for _, at := range c.ids {
			binary.BigEndian.PutUint32(c.frames[i*c.size+at:], c.next)
		}
		c.next += 2
	}
	c.window -= n * c.body
	c.out = append(c.out, c.frames[:n*c.size]...)
	if len(c.out) == 0 {
		return n, nil
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return n, err
}

// take reports whether f is the end of an answer, and does what else it asks.
func (c *v1client) take(f frame) (answered bool, err error) {
	switch f.kind {
	case http2.FrameData:
		if c.read += uint32(len(f.payload)); c.read >= clientWindow/2 {
			c.out = appendWindowUpdate(c.out, c.read)
			c.read = 0
		}
		return f.flags.Has(http2.FlagDataEndStream), nil
	case http2.FrameHeaders:
		return f.flags.Has(http2.FlagHeadersEndStream), nil
	case http2.FrameSettings:
		if !f.flags.Has(http2.FlagSettingsAck) {
			c.out = appendFrame(c.out, http2.FrameSettings, http2.FlagSettingsAck, 0)
		}
	case http2.FramePing:
		if !f.flags.Has(http2.FlagPingAck) {
			c.out = appendFrame(c.out, http2.FramePing, http2.FlagPingAck, 0, f.payload...)
		}
	case http2.FrameWindowUpdate:
		if len(f.payload) == 4 && f.id == 0 {
			c.window += int(binary.BigEndian.Uint32(f.payload) & (1<<31 - 1))
		}
	case http2.FrameRSTStream, http2.FrameGoAway:
		return false, fmt.Errorf("the far end wants no more: %v", f.kind)
	}
	return false, nil
}

func runV1Raw(c *v1client, acked *counter) error {
	if err := c.begin(); err != nil {
		return err
	}
	free, warm := 0, false
	return readFrames(c.conn, func(f frame) error {
		answered, err := c.take(f)
		if !answered {
			return err
		}
		acked.Add(1)
		free++
		if !warm { // the table is filled
			free, warm = maxStreams, true
		}
		return nil
	}, func() error {
		n, err := c.send(free)
		free -= n
		return err
	})
}

// playV1Sender is fcmsend at work: as many goroutines as the connections have
// streams, each of which sends one message after the other.
func playV1Sender(t task) error {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	sender, err := fcmsend.New(project, fcmsend.Static(accessToken), &fcmsend.Options{Endpoint: "https://" + t.Addr, TLS: config})
	if err != nil {
		return err
	}
	f := newFlow(t.Conns * maxStreams)
	for i := range f.acked {
		go func() {
			for r := request(); ; f.acked[i].Add(1) {
				if _, err := sender.Send(context.Background(), r); err != nil {
					f.failed(err)
					return
				}
			}
		}()
	}
	return f.measure(t)
}
