package h2wire

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// An output is the state of writing. turn is held by whoever writes to the
// connection, and guards the rest.
type output struct {
	framed   atomic.Bool // HTTP/2 is spoken
	turn     sync.Mutex
	head     [headerLen]byte // of the server's frame, as far as it was written
	have     int             // bytes of head
	left     int             // bytes of the payload that are still to come
	settings bool            // the server's first SETTINGS have passed
	dead     bool            // GOAWAY of an error was written
}

// atBoundary reports whether another frame may be written now: the server's
// SETTINGS come before all others (RFC 9113, 3.4).
func (o *output) atBoundary() bool { return o.settings && o.have == 0 && o.left == 0 }

// Write writes what the server says. Frames of the layer's own go between its
// frames.
func (c *Conn) Write(p []byte) (int, error) {
	if c.opt.MaxStreams == 0 || !c.out.framed.Load() {
		return c.Conn.Write(p)
	}
	c.out.turn.Lock()
	if c.out.dead {
		// An error would have the server close the connection before GOAWAY
		// can be read. Reading ends it.
		c.out.turn.Unlock()
		return len(p), nil
	}
	n, err := c.Conn.Write(c.scan(p))
	if err == nil {
		c.writePending()
	}
	c.out.turn.Unlock()
	c.flush() // what came while it was our turn
	c.settle()
	return n, err
}

// scan follows the server's frames, and returns the bytes to be written. It is
// called in turn.
func (c *Conn) scan(p []byte) []byte {
	o, whole := &c.out, p
	for len(p) > 0 {
		if o.left > 0 {
			n := min(o.left, len(p))
			o.left -= n
			p = p[n:]
			continue
		}
		n := copy(o.head[o.have:], p)
		o.have += n
		p = p[n:]
		if o.have < headerLen {
			break
		}
		h := parseHeader(o.head[:])
		o.have, o.left = 0, int(h.length)
		if h.kind == frameSettings && !o.settings {
			o.settings = true
			if at := len(whole) - len(p); len(p) >= o.left {
				whole = c.announce(whole, at, at+o.left)
				p = whole[at:]
			}
		}
		c.serverFrame(h)
	}
	return whole
}

// announce returns text with the limit of streams in its SETTINGS, whose payload
// goes from one place to another.
func (c *Conn) announce(text []byte, from, to int) []byte {
	text = append([]byte(nil), text...) // a Writer must not change what it gets
	for ; from+6 <= to; from += 6 {
		if binary.BigEndian.Uint16(text[from:]) == settingMaxStreams {
			binary.BigEndian.PutUint32(text[from+2:], uint32(c.opt.MaxStreams))
		}
	}
	return text
}

func (c *Conn) serverFrame(h frameHeader) {
	switch h.kind {
	case frameData, frameHeaders, frameRSTStream:
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case h.kind == frameRSTStream:
		delete(c.open, h.stream)
		return
	case h.has(flagEndStream):
		c.ends(h.stream, serverEnded)
	}
	c.lastPing = time.Time{}
}

// flush writes pending frames, unless it is somebody else's turn, who will.
func (c *Conn) flush() {
	for c.hasPending() && c.out.turn.TryLock() {
		between := c.out.atBoundary()
		c.writePending()
		c.out.turn.Unlock()
		if !between {
			return // the server's next bytes end its frame
		}
	}
}

func (c *Conn) hasPending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

// writePending is called in turn. What it cannot write is lost: then the
// connection is broken.
func (c *Conn) writePending() {
	if !c.out.atBoundary() {
		return
	}
	c.mu.Lock()
	frames, ended := c.pending, c.ended
	c.pending = nil
	c.mu.Unlock()
	if len(frames) > 0 && !c.out.dead {
		_, _ = c.Conn.Write(frames)
	}
	c.out.dead = c.out.dead || ended
}
