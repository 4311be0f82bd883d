package xmpp

import (
	"errors"
	"fmt"
	"io"

	"penstock/ccs"
)

// ErrClosed is what [Reader.Next] returns when the peer has ended its stream
// in order, by its closing tag.
var ErrClosed = errors.New("stream closed by its closing tag")

// bufSize is what a reader holds while it waits for a peer that says nothing.
const bufSize = 4 << 10

// A Reader reads one XML stream: its header, then its first-level elements.
// It belongs to one goroutine.
//
// An element is scanned once, as its bytes come: when the buffer runs dry in
// the middle of a tag, the scanner asks for more and goes on where it stands.
// What it finds is kept as offsets from the start of the element, so that the
// buffer may move and grow meanwhile. Only an error of the source, such as a
// read deadline, makes it leave; then the bytes stay, and the next call scans
// the element again from its start. That needs no state machine, and
// deadlines pass rarely.
type Reader struct {
	src io.Reader
	opt ReaderOptions
	err error // a violation, or ErrClosed: final

	mem  []byte // the buffer, at its full length
	lo   int    // where b begins in mem
	b    []byte // what is buffered, from the start of the current element on
	w    []byte // b up to the limit: all that the scanner may see
	pos  int    // where in w the scanner stands
	done int    // how much of b the last element used

	begun    bool // the first byte of this document has been seen
	declared bool // its XML declaration has been read
	opened   bool // so has its header

	streamName string       // qualified name in the header, which the closing tag repeats
	document   []docBinding // namespaces that the header declares

	// The current element.
	nodes   []node
	attrs   []attr
	binds   []binding
	runs    []run
	scratch []byte // decoded text
}

type docBinding struct {
	prefix string
	uri    []byte
}

// NewReader returns a reader whose first thing is a header.
func NewReader(src io.Reader, opt ReaderOptions) *Reader {
	return &Reader{src: src, opt: opt.withDefaults()}
}

// Configure sets other options, from the next element on.
func (r *Reader) Configure(opt ReaderOptions) { r.opt = opt.withDefaults() }

// Restart makes the reader expect the header of a fresh document. Bytes that
// are already buffered are kept: a peer may have written on at once, and some
// write a newline behind </auth> (docs/protocol.md, Stream).
func (r *Reader) Restart() {
	r.begun, r.declared, r.opened = false, false, false
	r.streamName, r.document = "", r.document[:0]
}

// Next returns the next first-level element, which stays valid until the next
// call. White space between elements is skipped, however much it is.
//
// It returns [ErrClosed] when the peer has written its closing tag, [io.EOF]
// when the transport ended between elements, [io.ErrUnexpectedEOF] when it
// ended inside one, and a *ccs.StreamError for what the peer must not write;
// then the stream is over. Other errors come from the source and are wrapped.
// After one of those, such as a read deadline, Next may be called again and
// goes on where it was.
func (r *Reader) Next() (Element, error) {
	if r.err != nil {
		return Element{}, r.err
	}
	if !r.opened {
		return Element{}, errors.New("xmpp: Next before Header")
	}
	if err := r.next(); err != nil {
		return Element{}, r.fail(err)
	}
	return Element{r, 0}, nil
}

func (r *Reader) next() error {
	if err := r.gap(); err != nil {
		return err
	}
	c, err := r.at(1)
	if err != nil {
		return err
	}
	r.pos = 1
	if c == '/' {
		return r.streamEnd()
	}
	if err := r.element(); err != nil {
		return err
	}
	r.done = r.pos
	return nil
}

// fail remembers what ends the stream for good. Errors of the source do not:
// the source itself will repeat those that stay.
func (r *Reader) fail(err error) error {
	if _, ok := errors.AsType[*ccs.StreamError](err); ok || errors.Is(err, ErrClosed) {
		r.err = err
	}
	return err
}

// streamEnd reads the closing tag of the stream.
func (r *Reader) streamEnd() error {
	ok := true
	for i := range len(r.streamName) {
		c, err := r.at(2 + i)
		if err != nil {
			return err
		}
		if ok = c == r.streamName[i]; !ok {
			break
		}
	}
	if ok {
		var err error
		if ok, err = r.tagEnd(2 + len(r.streamName)); err != nil {
			return err
		}
	}
	if !ok {
		return r.malformed("a closing tag without its opening tag")
	}
	r.done = r.pos
	return ErrClosed
}

// gap goes to the next "<", over white space only, and makes it the start of
// the buffer. White space takes no room there, so it needs no limit.
func (r *Reader) gap() error {
	r.advance(r.done)
	for {
		i := 0
		for i < len(r.b) && class[r.b[i]]&isSpace != 0 {
			i++
		}
		r.advance(i)
		if len(r.b) > 0 {
			break
		}
		r.shrink()
		if err := r.fill(); err != nil {
			return err
		}
	}
	r.window()
	if c := r.w[0]; c == '<' {
		return nil
	} else if c >= 0x80 {
		if _, _, err := r.runeAt(0); err != nil {
			return err
		}
	}
	return r.malformed("text outside of any stanza")
}

// advance gives up the first n bytes of the buffer.
func (r *Reader) advance(n int) {
	r.lo += n
	r.b = r.b[n:]
	r.done = 0
}

// window lets the scanner see what is buffered, up to the limit. Whether the
// bytes beyond it are there already must make no difference.
func (r *Reader) window() {
	r.w = r.b[:min(len(r.b), r.opt.Limits.Bytes)]
}

// at returns the byte of the current element at offset i, which is at most
// one behind what has come.
func (r *Reader) at(i int) (byte, error) {
	if i < len(r.w) {
		return r.w[i], nil
	}
	return r.moreAt(i)
}

// moreAt is the rare part of at, which is thereby small enough to be inlined.
//
//go:noinline
func (r *Reader) moreAt(i int) (byte, error) {
	if err := r.more(); err != nil {
		return 0, err
	}
	return r.w[i], nil
}

// more gets at least one more byte of the current element.
func (r *Reader) more() error {
	if len(r.w) >= r.opt.Limits.Bytes {
		return policy("an element is too long", stanzaTooBig)
	}
	if err := r.fill(); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	r.window()
	return nil
}

// fill reads once from the source, into the room behind b. The buffer grows
// only when an element fills it, hence never beyond the limit of an element,
// and shrinks when little is left in it: ten thousand idle streams must be
// cheap.
func (r *Reader) fill() error {
	switch {
	case len(r.mem) == 0, len(r.mem) > bufSize && len(r.b) <= bufSize/2:
		r.move(bufSize)
	case len(r.b) == len(r.mem):
		r.move(max(bufSize, min(2*len(r.mem), r.opt.Limits.Bytes)))
	case r.lo > 0:
		r.b = r.mem[:copy(r.mem, r.b)]
		r.lo = 0
	}
	for range 100 {
		n, err := r.src.Read(r.mem[len(r.b):])
		if n > 0 {
			// An error beside bytes comes again with the next call.
			r.b = r.mem[:len(r.b)+n]
			return nil
		}
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return fmt.Errorf("xmpp: read: %w", err)
		}
	}
	return fmt.Errorf("xmpp: read: %w", io.ErrNoProgress)
}

// move takes a buffer of another size.
func (r *Reader) move(size int) {
	mem := make([]byte, size)
	r.b = mem[:copy(mem, r.b)]
	r.mem, r.lo = mem, 0
}

// shrink drops what an unusual element made large, before a wait that may be
// long.
func (r *Reader) shrink() {
	if cap(r.nodes) > 16 {
		r.nodes = nil
	}
	if cap(r.attrs) > 32 {
		r.attrs = nil
	}
	if cap(r.binds) > 16 {
		r.binds = nil
	}
	if cap(r.runs) > 32 {
		r.runs = nil
	}
	if cap(r.scratch) > bufSize/4 {
		r.scratch = nil
	}
}
