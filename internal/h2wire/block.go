package h2wire

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// tableSize is HPACK's dynamic table as Go's server announces it, which is what
// HTTP/2 begins with.
const tableSize = 4096

// A block is the header block that is being read, and the HPACK state of its
// connection.
type block struct {
	open     bool
	blind    bool   // blocks cannot be read any more: they pass as they come
	frames   []byte // as they came
	fragment []byte // what is in them
	head     frameHeader
	priority [5]byte

	dec    *hpack.Decoder
	fields []hpack.HeaderField
	size   int  // of the fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts
	mend   bool // :scheme has to be mended

	// enc writes blocks anew; nil: they pass as they came, and the server's
	// table is the client's. Once there is one it stays: its first block
	// empties the server's table, and nothing is put there again.
	enc *hpack.Encoder
	buf bytes.Buffer
}

var errBlock = errors.New("h2wire: a header block cannot be read, or is too large")

// blockFrame takes a HEADERS or CONTINUATION frame, whose header is the next in
// the buffer.
func (c *Conn) blockFrame(h frameHeader) {
	in, b := &c.in, &c.block
	if b.open != (h.kind == frameContinuation) || b.open && h.stream != b.head.stream {
		c.abandon(codeProtocol) // the server will not have it either
		return
	}
	if !b.open {
		b.open, b.head = true, h
		b.frames, b.fragment = b.frames[:0], b.fragment[:0]
	}
	if len(b.frames)+headerLen+int(h.length) > maxBlock {
		c.abandon(codeEnhanceYourCalm)
		return
	}
	b.frames = append(b.frames, in.buf[in.r:in.r+headerLen]...)
	in.r += headerLen
	from := len(b.frames)
	for left := int(h.length); left > 0; {
		if in.r == in.w && !c.fill(1) {
			return
		}
		n := min(left, in.w-in.r)
		b.frames = append(b.frames, in.buf[in.r:in.r+n]...)
		in.r += n
		left -= n
	}
	if !b.add(h, b.frames[from:]) {
		c.abandon(codeProtocol)
		return
	}
	if h.has(flagEndHeaders) {
		c.endBlock()
	}
}

// add takes the fragment out of a payload.
func (b *block) add(h frameHeader, payload []byte) bool {
	if h.kind == frameHeaders {
		pad := 0
		if h.has(flagPadded) {
			if len(payload) == 0 {
				return false
			}
			pad, payload = int(payload[0]), payload[1:]
		}
		if h.has(flagPriority) {
			if len(payload) < len(b.priority) {
				return false
			}
			payload = payload[copy(b.priority[:], payload):]
		}
		if pad > len(payload) {
			return false
		}
		payload = payload[:len(payload)-pad]
	}
	b.fragment = append(b.fragment, payload...)
	return true
}

// abandon passes on what was held back, and leaves the connection's blocks to
// the server from here on. Where its table is no longer the client's it could
// not read them: then the connection ends with the code.
func (c *Conn) abandon(code uint32) {
	in, b := &c.in, &c.block
	if b.enc != nil {
		c.refuseBlock(code)
		return
	}
	if b.open {
		in.ready = b.frames
	}
	b.open, b.blind = false, true
	b.dec, b.fields, b.fragment = nil, nil, nil
}

// refuseBlock ends a connection on which a block can be neither passed on nor
// written anew.
func (c *Conn) refuseBlock(code uint32) { c.in.err = c.end(code, "header block", errBlock) }

// endBlock handles a whole block.
func (c *Conn) endBlock() {
	in, b := &c.in, &c.block
	switch {
	case !b.decode():
		c.abandon(codeProtocol)
		return
	case b.size > maxBlock && (b.mend || b.enc != nil):
		c.refuseBlock(codeEnhanceYourCalm)
		return
	}
	if c.opt.MaxStreams > 0 {
		act, err := c.clientHeaders(b.head)
		if err != nil {
			in.err = err
			return
		}
		if act == drop {
			// The server does not see this block, and its table would differ.
			b.open = false
			b.rewrite()
			return
		}
	}
	if b.mend {
		b.rewrite()
	}
	if b.enc == nil {
		b.open = false
		in.ready = b.frames
		return
	}
	b.open = false
	in.ready = b.encode()
}

// decode reads the block's fields, as many as are bounded.
func (b *block) decode() bool {
	if b.dec == nil {
		b.dec = hpack.NewDecoder(tableSize, b.field)
		b.dec.SetMaxStringLength(maxBlock)
	}
	if cap(b.fields) > 128 {
		b.fields = nil
	}
	b.fields, b.size, b.mend = b.fields[:0], 0, false
	_, err := b.dec.Write(b.fragment)
	return err == nil && b.dec.Close() == nil
}

// field is called for each field of a block.
func (b *block) field(f hpack.HeaderField) {
	b.size += int(f.Size())
	if b.size > maxBlock {
		return
	}
	if f.Name == ":scheme" && strings.HasSuffix(f.Value, ":") {
		f.Value = strings.TrimSuffix(f.Value, ":")
		b.mend = true
	}
	b.fields = append(b.fields, f)
}

// rewrite begins to write blocks anew.
func (b *block) rewrite() {
	if b.enc == nil {
		b.enc = hpack.NewEncoder(&b.buf)
		b.enc.SetMaxDynamicTableSize(0)
	}
}

// encode writes the block anew, in frames of the least size that every receiver
// takes.
func (b *block) encode() []byte {
	b.buf.Reset()
	for _, f := range b.fields {
		_ = b.enc.WriteField(f) // a bytes.Buffer takes everything
	}
	rest := b.buf.Bytes()
	flags := b.head.flags & (flagEndStream | flagPriority)
	kind, prefix := byte(frameHeaders), 0
	if b.head.has(flagPriority) {
		prefix = len(b.priority)
	}
	b.frames = b.frames[:0]
	for {
		part := rest[:min(len(rest), maxFrameLen-prefix)]
		if rest = rest[len(part):]; len(rest) == 0 {
			flags |= flagEndHeaders
		}
		b.frames = appendHeader(b.frames, prefix+len(part), kind, flags, b.head.stream)
		b.frames = append(b.frames, b.priority[:prefix]...)
		b.frames = append(b.frames, part...)
		if len(rest) == 0 {
			return b.frames
		}
		kind, flags, prefix = frameContinuation, 0, 0
	}
}
