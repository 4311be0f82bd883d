package fcmsend

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxBlock bounds the compressed header of one answer, over all its frames
	// and with their own headers: there are frames without content.
	maxBlock    = 2 * maxHeader
	frameHeader = 9
)

// A head is what is wanted of an answer's header.
type head struct {
	id         uint32
	endStream  bool
	size       int // of all fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts
	block      int // compressed bytes, and those of the frames around them
	status     int // 0: none
	retryAfter string
	declared   int64 // -1: none
	bad        bool  // what HTTP/2 forbids
}

// onField takes one decoded field.
func (c *h2conn) onField(f hpack.HeaderField) {
	h := &c.head
	h.size += int(f.Size())
	switch f.Name {
	case ":status":
		h.bad = h.bad || h.status != 0 || len(f.Value) != 3
		h.status = max(0, int(decimal(f.Value)))
	case "retry-after":
		if h.retryAfter == "" {
			h.retryAfter = f.Value
		}
	case "content-length":
		n := decimal(f.Value)
		h.bad = h.bad || n < 0 || h.declared >= 0 && h.declared != n
		h.declared = n
	default:
		h.bad = h.bad || strings.HasPrefix(f.Name, ":")
	}
}

// decimal reads digits and nothing else; -1: they are none, or too many.
func decimal(text string) int64 {
	if text == "" || len(text) > 15 {
		return -1
	}
	var n int64
	for _, b := range []byte(text) {
		if b < '0' || b > '9' {
			return -1
		}
		n = n*10 + int64(b-'0')
	}
	return n
}

// read takes frames until the connection ends.
func (c *h2conn) read() {
	frames := 0
	var unreported int // bytes of DATA that the far end does not know we have read
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.shut(readError(err))
			return
		}
		if frames == 0 {
			if s, ok := frame.(*http2.SettingsFrame); !ok || s.IsAck() {
				c.shut(fmt.Errorf("%w: no SETTINGS in front", errProtocol))
				return
			}
		}
		frames++
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			c.head = head{id: f.StreamID, endStream: f.StreamEnded(), declared: -1}
			err = c.headerBlock(f.HeaderBlockFragment(), f.HeadersEnded())
		case *http2.ContinuationFrame:
			err = c.headerBlock(f.HeaderBlockFragment(), f.HeadersEnded())
		case *http2.DataFrame:
			unreported += int(f.Length)
			report := 0
			if unreported >= connWindow/2 {
				report, unreported = unreported, 0
			}
			err = c.data(f, report)
		case *http2.RSTStreamFrame:
			err = c.reset(f)
		case *http2.SettingsFrame:
			err = c.settings(f)
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.reply(append(appendFrameHeader(nil, 8, http2.FramePing, http2.FlagPingAck, 0), f.Data[:]...))
			}
		case *http2.GoAwayFrame:
			c.goAway(f)
		case *http2.WindowUpdateFrame:
			err = c.windowUpdate(f)
		case *http2.PushPromiseFrame:
			err = fmt.Errorf("%w: a push that we have forbidden", errProtocol)
		}
		if err != nil {
			c.shut(err)
			return
		}
	}
}

// readError keeps what the network said, and puts our words for the rest.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read: the far end has closed: %w", io.ErrUnexpectedEOF)
	}
	if _, ok := errors.AsType[http2.ConnectionError](err); ok || errors.Is(err, http2.ErrFrameTooLarge) {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	if s, ok := errors.AsType[http2.StreamError](err); ok {
		// A frame that is wrong in itself. What it says is lost, so is the rest.
		return fmt.Errorf("%w: %w", errProtocol, http2.ConnectionError(s.Code))
	}
	return fmt.Errorf("read: %w", err)
}

// headerBlock decodes a piece of header, for streams that are gone too: the
// table must stay in step.
func (c *h2conn) headerBlock(fragment []byte, ended bool) error {
	h := &c.head
	if h.block += len(fragment) + frameHeader; h.block > maxBlock {
		return fmt.Errorf("%w: a header of more than %d bytes", errProtocol, maxBlock)
	}
	if _, err := c.dec.Write(fragment); err != nil {
		return fmt.Errorf("%w: a header that cannot be decoded", errProtocol)
	}
	if h.size > maxHeader {
		return fmt.Errorf("%w: a header of more than %d bytes", errProtocol, maxHeader)
	}
	if !ended {
		return nil
	}
	if err := c.dec.Close(); err != nil {
		return fmt.Errorf("%w: a header that ends in a field", errProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(h.id)
	if k == nil {
		return err
	}
	s := &k.stream
	switch {
	case h.bad, !s.header && h.status < 100, s.header && (h.status != 0 || !h.endStream):
		c.spoil(k, fmt.Errorf("%w: a header that no answer has", errProtocol))
		return nil
	case s.header: // trailers
	case h.status < 200:
		if h.endStream {
			c.spoil(k, fmt.Errorf("%w: an interim answer and no other", errProtocol))
		}
		return nil
	default:
		s.header = true
		k.status, k.retryAfter, s.declared = h.status, h.retryAfter, h.declared
	}
	if h.endStream {
		c.complete(k)
	}
	return nil
}

// find returns the call of a stream, nil for one that is over. The lock is held.
func (c *h2conn) find(id uint32) (*call, error) {
	if id%2 == 0 || id >= c.nextID {
		return nil, fmt.Errorf("%w: a frame on stream %d, which is not open", errProtocol, id)
	}
	return c.streams[id], nil
}

func (c *h2conn) data(f *http2.DataFrame, report int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if report > 0 {
		c.control(appendWindowUpdate(nil, 0, uint32(report)))
		c.signal()
	}
	k, err := c.find(f.StreamID)
	if k == nil {
		return err
	}
	s := &k.stream
	if !s.header {
		c.spoil(k, fmt.Errorf("%w: a body without a header", errProtocol))
		return nil
	}
	piece := f.Data()
	s.got += int64(len(piece))
	k.reply = append(k.reply, piece[:min(len(piece), maxReply-len(k.reply))]...)
	switch {
	case s.got > maxReply:
		// The status is known, and more of the body is not wanted.
		c.forget(k)
		c.control(appendReset(nil, s.id, http2.ErrCodeCancel))
		c.signal()
		k.finish(answered, errTooLong)
	case f.StreamEnded():
		c.complete(k)
	}
	return nil
}

// complete ends a call whose answer has come to its end. The lock is held.
func (c *h2conn) complete(k *call) {
	s := &k.stream
	c.forget(k)
	if s.offset == 0 { // answered before it was asked: the rest is not sent
		c.control(appendReset(nil, s.id, http2.ErrCodeCancel))
		c.signal()
	}
	if s.declared >= 0 && s.declared != s.got {
		k.finish(answered, errCut)
		return
	}
	k.whole = true
	k.finish(answered, nil)
}

// spoil ends a call whose answer makes no sense. The lock is held.
func (c *h2conn) spoil(k *call, err error) {
	end := unknown // what waits in the buffer will be written all the same
	if k.stream.offset == 0 {
		end = unsent
	}
	c.forget(k)
	c.control(appendReset(nil, k.stream.id, http2.ErrCodeProtocol))
	c.signal()
	k.finish(end, err)
}

func (c *h2conn) reset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, err := c.find(f.StreamID)
	if k == nil {
		return err
	}
	c.forget(k)
	switch {
	case f.ErrCode == http2.ErrCodeRefusedStream:
		k.finish(elsewhere, errRefusal) // RFC 9113 8.7: not processed
	case k.stream.header:
		k.finish(answered, errCut)
	case !c.sent(k):
		k.finish(unsent, fmt.Errorf("the far end has reset the stream: %v", f.ErrCode))
	default:
		k.finish(unknown, fmt.Errorf("the far end has reset the stream: %v", f.ErrCode))
	}
	return nil
}

// reply sends a frame in answer to one. A far end that makes us answer without
// end and reads nothing loses its connection.
func (c *h2conn) reply(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > maxBuffered {
		return fmt.Errorf("%w: it asks and does not read the answers", errProtocol)
	}
	c.control(frame)
	c.signal()
	return nil
}

func (c *h2conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	limit, limited := uint32(0), false
	err := f.ForeachSetting(func(s http2.Setting) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := s.Valid(); err != nil {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		switch s.ID {
		case http2.SettingMaxConcurrentStreams:
			limit, limited = s.Val, true
		case http2.SettingHeaderTableSize:
			c.headers.resize(s.Val)
		case http2.SettingInitialWindowSize:
			grown := int64(s.Val) - c.initial
			c.initial = int64(s.Val)
			for _, k := range c.streams {
				k.stream.window += grown
			}
			c.pumpBlocked()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if limited {
		c.owner.limited(limit)
	}
	return c.reply(appendFrameHeader(nil, 0, http2.FrameSettings, http2.FlagSettingsAck, 0))
}

func (c *h2conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	const most = 1<<31 - 1
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > most {
			return fmt.Errorf("%w: a window beyond 2^31", errProtocol)
		}
	} else {
		k, err := c.find(f.StreamID)
		if k == nil {
			return err
		}
		if k.stream.window += int64(f.Increment); k.stream.window > most {
			c.spoil(k, fmt.Errorf("%w: a window beyond 2^31", errProtocol))
			return nil
		}
	}
	if len(c.blocked) > 0 {
		c.pumpBlocked()
		c.signal()
	}
	return nil
}

// goAway takes nothing new here, and hands back what the far end has not
// processed and will not. The others are awaited.
func (c *h2conn) goAway(f *http2.GoAwayFrame) {
	c.mu.Lock()
	c.leaving = true
	var back []*call
	for id, k := range c.streams {
		if id > f.LastStreamID {
			c.forget(k) // no end of the connection casts a doubt on it any more
			back = append(back, k)
		}
	}
	c.mu.Unlock()
	// The owner hears it first: where what is handed back goes, and how much of it
	// goes there at a time, depends on what was said here.
	c.owner.goingAway(f.ErrCode, line(f.DebugData()))
	for _, k := range back {
		k.finish(elsewhere, errGoAway)
	}
}

// line makes a peer's text fit for a log.
func line(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(text[:min(len(text), 120)]))
}
