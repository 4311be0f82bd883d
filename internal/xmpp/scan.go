package xmpp

import (
	"bytes"
	"unicode/utf8"
)

// element scans one first-level element, at whose "<" the window begins.
func (r *Reader) element() error {
	r.reset()
	if err := r.special(r.w[1]); err != nil {
		return err
	}
	cur, empty, err := r.startTag(none)
	if err != nil || empty {
		return err
	}
	for {
		m, err := r.content(cur)
		if err != nil {
			return err
		}
		if m == markupEnd {
			if cur = r.nodes[cur].parent; cur == none {
				return nil
			}
			continue
		}
		r.pos++
		child, empty, err := r.startTag(cur)
		if err != nil {
			return err
		}
		if !empty {
			cur = child
		}
	}
}

// reset forgets the last element.
func (r *Reader) reset() {
	r.nodes, r.attrs, r.binds, r.runs = r.nodes[:0], r.attrs[:0], r.binds[:0], r.runs[:0]
	r.scratch = r.scratch[:0]
}

// special refuses what may follow a "<" in XML but not in a stream (RFC 6120,
// section 11.1).
func (r *Reader) special(c byte) error {
	switch c {
	case '!':
		return restricted("comments and document type declarations are not allowed")
	case '?':
		return restricted("processing instructions are not allowed")
	}
	return nil
}

// The markup that ends a run of text.
type markup uint8

const (
	markupStart markup = iota // "<" of a child
	markupEnd                 // the closing tag, which has been read
	markupCDATA               // the opening of a CDATA section, which has been read
	markupOther               // "<" of what is not allowed here
)

// content scans the text of a node up to the start of a child, at whose "<"
// it stops, or to the end of the node's closing tag.
func (r *Reader) content(cur int32) (markup, error) {
	start := r.pos
	kind, err := r.text(cur, runPlain)
	for err == nil {
		stop := r.pos
		var m markup
		if m, err = r.markup(cur); err != nil {
			break
		}
		if m == markupCDATA {
			if err = r.cdata(); err == nil {
				kind, err = r.text(cur, runCoded)
			}
			continue
		}
		r.addRun(cur, start, stop, kind)
		if m != markupEnd && r.lenient(cur) && r.inObject(cur) {
			return markupEnd, r.raw(cur)
		}
		if m == markupOther {
			return m, r.refuse()
		}
		return m, nil
	}
	return 0, err
}

// markup tells what the "<" begins at which the scanner stands. A closing tag
// and the opening of a CDATA section are read; from anything else, the scanner
// stays where it is.
func (r *Reader) markup(cur int32) (markup, error) {
	c, err := r.at(r.pos + 1)
	if err != nil {
		return 0, err
	}
	switch c {
	case '/':
		ok, err := r.closes(r.nodes[cur].name.span)
		if !ok {
			return markupOther, err
		}
		return markupEnd, nil
	case '!':
		const open = "<![CDATA["
		for i := 2; i < len(open); i++ {
			if c, err = r.at(r.pos + i); err != nil {
				return 0, err
			}
			if c != open[i] {
				return markupOther, nil
			}
		}
		r.pos += len(open)
		return markupCDATA, nil
	case '?':
		return markupOther, nil
	}
	return markupStart, nil
}

// refuse says what is wrong with the markup at which the scanner stands.
func (r *Reader) refuse() error {
	if err := r.special(r.w[r.pos+1]); err != nil {
		return err
	}
	return r.malformed("a closing tag does not match its opening tag")
}

// closes reads the closing tag of a node and reports whether it is there; else
// the scanner stays where it is.
func (r *Reader) closes(name span) (bool, error) {
	i, size := r.pos+2, int(name.end-name.off)
	if end := i + size; end < len(r.w) && r.w[end] == '>' {
		if !bytes.Equal(r.w[i:end], r.bytes(name)) {
			return false, nil
		}
		r.pos = end + 1
		return true, nil
	}
	for j := range size {
		c, err := r.at(i + j)
		if err != nil || c != r.b[int(name.off)+j] {
			return false, err
		}
	}
	return r.tagEnd(i + size)
}

// tagEnd reads white space and ">" at offset i, and reports whether that is
// what is there.
func (r *Reader) tagEnd(i int) (bool, error) {
	for {
		c, err := r.at(i)
		if err != nil {
			return false, err
		}
		i++
		if c == '>' {
			r.pos = i
			return true, nil
		}
		if class[c]&isSpace == 0 {
			return false, nil
		}
	}
}

// text scans character data up to a "<". It returns the kind, which becomes
// runCoded where the text needs decoding.
func (r *Reader) text(cur int32, kind runKind) (runKind, error) {
	i, start := r.pos, r.pos
	for {
		w := r.w
		i = plain(w, i)
		if i == len(w) {
			if err := r.more(); err != nil {
				return 0, err
			}
			continue
		}
		switch c := w[i]; {
		case c == '<':
			r.pos = i
			return kind, nil
		case c == '>':
			if i >= start+2 && w[i-1] == ']' && w[i-2] == ']' {
				return 0, r.malformed("\"]]>\" in text")
			}
			i++
		case c == '&':
			kind = runCoded
			n, err := r.reference(i, r.lenient(cur))
			if err != nil {
				return 0, err
			}
			i += n
		case c == '\r':
			kind = runCoded
			i++
		case c == '\t', c == '\n':
			i++
		case c < 0x80:
			return 0, r.malformed("a control character")
		default:
			_, n, err := r.runeAt(i)
			if err != nil {
				return 0, err
			}
			i += n
		}
	}
}

// cdata scans the rest of a CDATA section.
func (r *Reader) cdata() error {
	i := r.pos
	for {
		w := r.w
		i = plain(w, i)
		if i == len(w) {
			if err := r.more(); err != nil {
				return err
			}
			continue
		}
		switch c := w[i]; {
		case c == '>':
			i++
			if w[i-2] == ']' && w[i-3] == ']' { // the opening ends in "["
				r.pos = i
				return nil
			}
		case c >= 0x80:
			_, n, err := r.runeAt(i)
			if err != nil {
				return err
			}
			i += n
		case c < 0x20 && class[c]&isSpace == 0:
			return r.malformed("a control character")
		default:
			i++
		}
	}
}

// reference checks the reference that the "&" at offset i begins, and returns
// its length. A "&" that begins no complete reference counts for itself if
// bare ones are tolerated.
func (r *Reader) reference(i int, bare bool) (int, error) {
	end, err := r.refEnd(i)
	if err != nil {
		return 0, err
	}
	if end == 0 {
		if bare {
			return 1, nil
		}
		return 0, r.malformed("a \"&\" that begins no reference")
	}
	if _, n := parseRef(r.w[i:end]); n == 0 {
		if r.w[i+1] == '#' {
			return 0, r.malformed("a reference to a character that XML does not allow")
		}
		return 0, restricted("only the five predefined entities are allowed")
	}
	return end - i, nil
}

// refEnd returns the offset behind the complete reference, "&name;" or
// "&#number;", that the "&" at offset i begins; 0 if it begins none.
func (r *Reader) refEnd(i int) (int, error) {
	i++
	start := i
	c, err := r.at(i)
	if err == nil && c == '#' {
		i++
		start = i
		hex := false
		if c, err = r.at(i); err == nil && c == 'x' {
			hex = true
			i++
			start = i
			c, err = r.at(i)
		}
		for err == nil && (c >= '0' && c <= '9' || hex && (c|0x20) >= 'a' && (c|0x20) <= 'f') {
			i++
			c, err = r.at(i)
		}
	} else {
		for err == nil {
			n := 1
			if c >= utf8.RuneSelf {
				var ch rune
				if ch, n, err = r.runeAt(i); err != nil {
					break
				}
				if !nameChar(ch) || i == start && !nameStart(ch) {
					break
				}
			} else if class[c]&isName == 0 && c != ':' || i == start && class[c]&isStart == 0 && c != ':' {
				break
			}
			i += n
			c, err = r.at(i)
		}
	}
	if err != nil || c != ';' || i == start {
		return 0, err
	}
	return i + 1, nil
}

// addRun notes that w[start:stop] is text of a node.
func (r *Reader) addRun(cur int32, start, stop int, kind runKind) {
	if start == stop {
		return
	}
	i := int32(len(r.runs))
	r.runs = append(r.runs, run{span{int32(start), int32(stop)}, none, kind})
	n := &r.nodes[cur]
	if n.lastRun == none {
		n.firstRun = i
	} else {
		r.runs[n.lastRun].next = i
	}
	n.lastRun = i
}

// bytes returns a part of the current element.
func (r *Reader) bytes(s span) []byte { return r.b[s.off:s.end:s.end] }

// equal reports whether two parts of the current element are the same bytes.
func (r *Reader) equal(a, b span) bool { return bytes.Equal(r.bytes(a), r.bytes(b)) }
