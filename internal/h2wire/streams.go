package h2wire

import "time"

// An act is what becomes of a client's frame.
type act uint8

const (
	pass act = iota
	drop
)

// streams are those of a connection, as far as they are counted. Guarded by
// Conn.mu.
type streams struct {
	open    map[uint32]half
	refused map[uint32]struct{} // reset, and not ended by the client
	last    uint32              // the highest that the client has opened
	passed  uint32              // the highest that the server has seen
	going   bool                // GOAWAY was written, or is pending
	limit   uint32              // the highest that it lets live
	ended   bool                // by an error: nothing is written behind GOAWAY
	pending []byte              // frames of the layer's own that wait for their turn

	strikes  int       // PINGs in a row that came too early
	lastPing time.Time // zero: none, or a stream has moved since
}

// A half tells which sides of a stream have ended.
type half uint8

const (
	clientEnded half = 1 << iota
	serverEnded
)

// Streams is how many streams the client has open; 0 where they are not counted.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// GoAway announces that the connection takes no more streams. Those that the
// server has seen live on; what the client opens above them is ignored. The
// connection ends with the last of them. Without [Options.MaxStreams], or when
// it was called before, it does nothing.
func (c *Conn) GoAway() {
	c.mu.Lock()
	if c.opt.MaxStreams > 0 {
		c.leave()
	}
	c.mu.Unlock()
	c.flush()
	c.settle()
}

// leave is called with mu held.
func (c *Conn) leave() {
	if !c.going {
		c.going, c.limit = true, c.passed
		c.pending = appendGoAway(c.pending, c.limit, codeNo, "")
	}
}

// end ends the connection by GOAWAY; where streams are not counted, by cause
// alone. It returns the error that reading fails with.
func (c *Conn) end(code uint32, debug string, cause error) error {
	if c.opt.MaxStreams == 0 {
		return cause
	}
	c.mu.Lock()
	if !c.ended {
		c.ended, c.going, c.limit = true, true, c.passed
		c.pending = appendGoAway(c.pending, c.passed, code, debug)
	}
	c.mu.Unlock()
	c.flush()
	return errEnded
}

// drained reports whether nothing more is to be expected.
func (c *Conn) drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.going && len(c.open) == 0
}

// settle gives the client of a connection that is drained a last while to close
// it.
func (c *Conn) settle() {
	if c.drained() {
		_ = c.SetReadDeadline(time.Now().Add(goodbyeTime)) // of a dead connection, reads tell
	}
}

// dropped reports whether the server does not know a stream. Called with mu
// held.
func (c *Conn) dropped(id uint32) bool {
	if c.going && id > c.limit {
		return true
	}
	_, refused := c.refused[id]
	return refused
}

// clientHeaders decides about a header block.
func (c *Conn) clientHeaders(h frameHeader) (act, error) {
	c.mu.Lock()
	c.lastPing = time.Time{}
	switch {
	case h.stream%2 == 0: // the server will object
		c.mu.Unlock()
		return pass, nil
	case h.stream <= c.last: // trailers
		defer c.mu.Unlock()
		if c.dropped(h.stream) {
			c.forget(h)
			return drop, nil
		}
		c.clientEnds(h)
		return pass, nil
	}
	c.last = h.stream
	if c.going {
		c.mu.Unlock()
		return drop, nil
	}
	full := len(c.open) >= c.opt.MaxStreams
	c.mu.Unlock()
	if full {
		return drop, c.end(codeProtocol, "exceeded_max_concurrent_streams", errEnded)
	}
	verdict := Pass
	if c.opt.NewStream != nil {
		verdict = c.opt.NewStream()
	}

	c.mu.Lock()
	switch {
	case c.going: // since then
		c.mu.Unlock()
		return drop, nil
	case verdict == Pass:
		if c.open == nil {
			c.open = make(map[uint32]half)
		}
		c.open[h.stream] = 0
		c.passed = h.stream
		c.clientEnds(h)
		c.mu.Unlock()
		return pass, nil
	case verdict == GoAway:
		c.leave()
	default:
		c.pending = appendReset(c.pending, h.stream, codeRefusedStream)
		if c.refused == nil {
			c.refused = make(map[uint32]struct{})
		}
		c.refused[h.stream] = struct{}{}
		c.forget(h)
		full = len(c.refused) > maxRefused
	}
	deaf := len(c.pending) > maxPending
	c.mu.Unlock()
	switch {
	case deaf:
		return drop, errDeaf
	case full:
		return drop, c.end(codeEnhanceYourCalm, "too_many_refused_streams", errEnded)
	}
	c.flush()
	c.settle()
	return drop, nil
}

// clientEnds notes the end of a client's side. Called with mu held.
func (c *Conn) clientEnds(h frameHeader) {
	if h.has(flagEndStream) {
		c.ends(h.stream, clientEnded)
	}
}

// ends is called with mu held.
func (c *Conn) ends(id uint32, side half) {
	state, ok := c.open[id]
	switch {
	case !ok:
	case state|side == clientEnded|serverEnded:
		delete(c.open, id)
	default:
		c.open[id] = state | side
	}
}

// forget drops what is known of a refused stream that the client has ended.
// Called with mu held.
func (c *Conn) forget(h frameHeader) {
	if h.kind == frameRSTStream || h.has(flagEndStream) {
		delete(c.refused, h.stream)
	}
}

// clientFrame looks at a frame that is no part of a header block, or at one that
// is where blocks cannot be read.
func (c *Conn) clientFrame(h frameHeader) (act, error) {
	switch h.kind {
	case frameHeaders:
		what, err := c.clientHeaders(h)
		if err == nil && what == drop {
			// The server needs the block for its table.
			err = c.end(codeProtocol, "header block", errBlock)
		}
		return what, err
	case framePing:
		if h.has(flagAck) || !c.strike() {
			return pass, nil
		}
		return drop, c.end(codeEnhanceYourCalm, "too_many_pings", errEnded)
	}
	if h.stream == 0 {
		return pass, nil
	}
	c.mu.Lock()
	if h.kind == frameData || h.kind == frameRSTStream {
		c.lastPing = time.Time{}
	}
	if !c.dropped(h.stream) {
		switch h.kind {
		case frameData:
			c.clientEnds(h)
		case frameRSTStream:
			delete(c.open, h.stream)
		}
		c.mu.Unlock()
		c.settle()
		return pass, nil
	}
	if h.kind == frameData || h.kind == frameRSTStream {
		c.forget(h)
	}
	if h.kind == frameData && h.length > 0 {
		// The connection's window is for the streams that live, too.
		c.pending = appendWindow(c.pending, 0, h.length)
	}
	deaf := len(c.pending) > maxPending
	c.mu.Unlock()
	if deaf {
		return drop, errDeaf
	}
	c.flush()
	return drop, nil
}

// strike counts a PING, and reports whether there were too many.
func (c *Conn) strike() bool {
	if c.opt.PingEvery == 0 {
		return false
	}
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastPing.IsZero() || now.Sub(c.lastPing) >= c.opt.PingEvery {
		c.strikes = 0
	} else {
		c.strikes++
	}
	c.lastPing = now
	return c.strikes > c.opt.MaxPings
}
