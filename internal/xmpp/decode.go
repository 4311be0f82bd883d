package xmpp

import (
	"bytes"
	"unicode/utf8"
)

// A runKind says how a piece of the stream becomes text.
type runKind uint8

const (
	runPlain runKind = iota // as it is
	runCoded                // with references, CDATA sections or carriage returns
	runRaw                  // likewise, but every "<" is text
	runValue                // an attribute value: white space becomes spaces too
)

// decode appends the text that a part of the current element stands for to
// the scratch buffer, and returns where. It is done late, and into another
// buffer: most texts need none, nobody asks for some of those that do, and the
// raw bytes must stay as they are until the element is complete.
func (r *Reader) decode(s span, kind runKind) span {
	off := len(r.scratch)
	r.scratch = appendDecoded(r.scratch, r.bytes(s), kind)
	return span{int32(off), int32(len(r.scratch))}
}

// appendDecoded appends the text that s stands for. The scanner has checked s,
// so that a "&" without a proper reference can only be a tolerated one, and a
// "<" in runCoded only that of a CDATA section.
func appendDecoded(dst, s []byte, kind runKind) []byte {
	if kind == runPlain {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		from := i
		i = plain(s, i)
		if dst = append(dst, s[from:i]...); i == len(s) {
			break
		}
		c := s[i]
		switch {
		case c == '&':
			if ch, n := parseRef(s[i:]); n > 0 {
				dst = utf8.AppendRune(dst, ch)
				i += n
				continue
			}
		case c == '<' && kind == runCoded:
			const open, end = "<![CDATA[", "]]>"
			i += len(open)
			n := bytes.Index(s[i:], []byte(end))
			dst = appendLines(dst, s[i:i+n])
			i += n + len(end)
			continue
		case c == '\r':
			// A line may end in CR LF, CR or LF; all of them mean LF (XML
			// 1.0, section 2.11).
			if i+1 < len(s) && s[i+1] == '\n' {
				i++
			}
			c = '\n'
		}
		if kind == runValue && class[c]&isSpace != 0 {
			c = ' '
		}
		dst = append(dst, c)
		i++
	}
	return dst
}

// appendLines appends s with its line ends made LF.
func appendLines(dst, s []byte) []byte {
	for i, c := range s {
		if c == '\r' {
			if i+1 < len(s) && s[i+1] == '\n' {
				continue
			}
			c = '\n'
		}
		dst = append(dst, c)
	}
	return dst
}

// parseRef returns the character for which the reference at the start of s
// stands, and the length of the reference; 0 if that is none, or neither one
// of the five predefined entities nor a legal character's number.
func parseRef(s []byte) (rune, int) {
	for _, e := range predefined {
		if len(s) >= len(e.ref) && string(s[:len(e.ref)]) == e.ref {
			return e.char, len(e.ref)
		}
	}
	if len(s) < 3 || s[1] != '#' {
		return 0, 0
	}
	i, base := 2, rune(10)
	if s[2] == 'x' {
		i, base = 3, 16
	}
	var v rune
	for start := i; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			v = v*base + rune(c-'0')
		case base == 16 && (c|0x20) >= 'a' && (c|0x20) <= 'f':
			v = v*base + rune(c|0x20-'a') + 10
		case c == ';' && i > start && legal(v):
			return v, i + 1
		default:
			return 0, 0
		}
		v = min(v, utf8.MaxRune+1) // lest it overflows
	}
	return 0, 0
}

var predefined = [...]struct {
	ref  string
	char rune
}{{"&quot;", '"'}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&apos;", '\''}}
