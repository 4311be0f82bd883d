package ccs

import "fmt"

// A jsonKind is what sort of JSON value was read.
type jsonKind uint8

const (
	jsonAbsent jsonKind = iota // no value at all
	jsonNull
	jsonTrue
	jsonFalse
	jsonNumber
	jsonString
	jsonObject
	jsonArray
)

// A value is one JSON value by its place in the source: src[start:end], with
// the quotes or brackets.
type value struct {
	kind       jsonKind
	escaped    bool // a string that holds at least one backslash
	start, end int
}

// A syntaxError says where a payload stops being JSON.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.what, e.offset) }

// A scanner reads strict JSON: RFC 8259 in valid UTF-8, and nothing behind it.
// It allocates nothing unless values nest more than 64 deep.
//
// It is not encoding/json because that one decodes what we only want to look
// at, silently mends invalid UTF-8, and allocates for each answer a client
// reads. Depth is measured and not refused: what is too deep but well-formed
// still has a message id to answer to.
type scanner struct {
	src     []byte
	pos     int
	depth   int  // objects that were entered
	deepest int  // the deepest nesting seen so far
	begun   bool // the entered object has had a member
}

// enter steps into the object at pos. Its members are then read with member.
func (s *scanner) enter() error {
	s.space()
	if s.peek() != '{' {
		return s.unexpected("an object")
	}
	s.pos++
	s.depth++
	s.deepest = max(s.deepest, s.depth)
	s.begun = false
	return nil
}

// member reads the next member of the entered object. At the end of the object
// ok is false.
func (s *scanner) member() (key, val value, ok bool, err error) {
	if key, ok, err = s.memberKey(); !ok || err != nil {
		return key, val, false, err
	}
	if val, err = s.value(); err != nil {
		return key, val, false, err
	}
	return key, val, true, nil
}

// memberKey reads up to the next member's value.
func (s *scanner) memberKey() (key value, ok bool, err error) {
	s.space()
	switch c := s.peek(); {
	case c == '}':
		s.pos++
		return key, false, nil
	case s.begun && c != ',':
		return key, false, s.unexpected("a comma or the end of the object")
	case s.begun:
		s.pos++
		s.space()
	}
	s.begun = true
	if key, err = s.key(); err != nil {
		return key, false, err
	}
	return key, true, nil
}

// leave steps out of an object that was a member's value, at whose end the
// scanner is.
func (s *scanner) leave() {
	s.depth--
	s.begun = true
}

// end makes sure that only white space follows.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.src) {
		return s.unexpected("the end")
	}
	return nil
}

// key reads a member's name, the colon, and the white space around it.
func (s *scanner) key() (value, error) {
	if s.peek() != '"' {
		return value{}, s.unexpected("a member's name")
	}
	key := value{kind: jsonString, start: s.pos}
	escaped, err := s.str()
	if err != nil {
		return value{}, err
	}
	key.escaped, key.end = escaped, s.pos
	s.space()
	if s.peek() != ':' {
		return value{}, s.unexpected("a colon")
	}
	s.pos++
	s.space()
	return key, nil
}

// value reads the value at pos to its end, whatever is inside it.
func (s *scanner) value() (value, error) {
	s.space()
	v := value{start: s.pos}
	var err error
	switch s.peek() {
	case '{':
		v.kind, err = jsonObject, s.skip()
	case '[':
		v.kind, err = jsonArray, s.skip()
	default:
		v.kind, v.escaped, err = s.scalar()
	}
	v.end = s.pos
	return v, err
}

// skip reads an object or an array to its end. It keeps a stack of bits and
// does not recurse: a peer must not choose how deep our own stack gets.
func (s *scanner) skip() error {
	var open nesting
	for {
		closed := false
		switch s.peek() {
		case '{':
			s.pos++
			open.push(1)
			s.space()
			if s.peek() == '}' {
				closed = true
			} else if _, err := s.key(); err != nil {
				return err
			}
		case '[':
			s.pos++
			open.push(0)
			s.space()
			closed = s.peek() == ']'
		default:
			if _, _, err := s.scalar(); err != nil {
				return err
			}
			closed = true
			s.space()
		}
		s.deepest = max(s.deepest, s.depth+open.n)
		// A value, or the members of an empty container, have just ended.
		for closed {
			switch c := s.peek(); {
			case c == ',':
				s.pos++
				s.space()
				if open.object() {
					if _, err := s.key(); err != nil {
						return err
					}
				}
				closed = false
			case c == '}' && open.object(), c == ']' && !open.object():
				s.pos++
				open.pop()
				if open.n == 0 {
					return nil
				}
				s.space()
			default:
				return s.unexpected("a comma or a closing bracket")
			}
		}
	}
}

// scalar reads a string, a number or a literal.
func (s *scanner) scalar() (kind jsonKind, escaped bool, err error) {
	switch c := s.peek(); {
	case c == '"':
		escaped, err = s.str()
		return jsonString, escaped, err
	case c == '-' || '0' <= c && c <= '9':
		return jsonNumber, false, s.number()
	case c == 't':
		return jsonTrue, false, s.literal("true")
	case c == 'f':
		return jsonFalse, false, s.literal("false")
	case c == 'n':
		return jsonNull, false, s.literal("null")
	}
	return jsonAbsent, false, s.unexpected("a value")
}

func (s *scanner) literal(word string) error {
	end := s.pos + len(word)
	if end > len(s.src) || string(s.src[s.pos:end]) != word {
		return s.unexpected("a value")
	}
	s.pos = end
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.unexpected("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.unexpected("a digit")
		}
	}
	return nil
}

// digits reads as many digits as there are, and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek is the byte at pos. At the end it is 0, which no JSON has outside of
// strings.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func (s *scanner) unexpected(wanted string) error {
	if s.pos >= len(s.src) {
		return &syntaxError{len(s.src), "unexpected end, wanted " + wanted}
	}
	return &syntaxError{s.pos, "unexpected character, wanted " + wanted}
}

// A nesting is a stack of bits, one for each open object (1) or array (0). The
// first 64 cost no memory.
type nesting struct {
	n    int
	bits uint64   // the innermost ones
	rest []uint64 // full words, the outermost first
}

func (o *nesting) push(bit uint64) {
	if o.n > 0 && o.n%64 == 0 {
		o.rest = append(o.rest, o.bits)
		o.bits = 0
	}
	o.bits = o.bits<<1 | bit
	o.n++
}

func (o *nesting) pop() {
	o.bits >>= 1
	o.n--
	if o.n > 0 && o.n%64 == 0 {
		last := len(o.rest) - 1
		o.bits, o.rest = o.rest[last], o.rest[:last]
	}
}

func (o *nesting) object() bool { return o.bits&1 == 1 }
