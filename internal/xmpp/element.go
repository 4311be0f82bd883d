package xmpp

import (
	"iter"

	"penstock/ccs"
)

// A span is a part of the current element, as offsets from its start.
type span struct{ off, end int32 }

// A qname is a qualified name. colon is the offset of its colon, 0 if it has
// none: the first name of an element is behind its "<".
type qname struct {
	span
	colon int32
}

func (q qname) prefix() span {
	if q.colon == 0 {
		return span{}
	}
	return span{q.off, q.colon}
}

func (q qname) local() span {
	if q.colon == 0 {
		return q.span
	}
	return span{q.colon + 1, q.end}
}

// A node is an element of the current stanza. Nodes and runs are linked by
// their indices, none being no link.
type node struct {
	name              qname
	ns                int32 // place of its namespace
	attrs, binds      span  // in Reader.attrs, Reader.binds
	parent            int32
	depth             int32
	first, last, next int32 // children, sibling
	firstRun, lastRun int32
	fed               int32 // the last run that json has seen
	json              jsonState
	payload           bool // the element that carries JSON
	textKnown         bool
	text              span // in Reader.scratch, if textKnown
}

type attr struct {
	name      qname
	value     span
	ns        int32 // place of its namespace; none without a prefix
	coded     bool  // value needs decoding
	inScratch bool  // value is in Reader.scratch, decoded
}

type binding struct {
	prefix    span
	uri       span
	inScratch bool
}

// A run is the text between two tags.
type run struct {
	span
	next int32
	kind runKind
}

// An Element is a handle of an element that a [Reader] has read. It, and all
// that its methods return, is valid until the next call of [Reader.Next]. The
// zero Element has no name, no attribute, no text and no child.
type Element struct {
	r *Reader
	i int32
}

// Is reports whether the element has that name in that namespace, whatever
// prefix stands for it.
func (e Element) Is(space, local string) bool {
	return string(e.Local()) == local && string(e.Space()) == space
}

// Space returns the element's namespace.
func (e Element) Space() []byte {
	if e.r == nil {
		return nil
	}
	return e.r.space(e.r.nodes[e.i].ns)
}

// Local returns the element's name without prefix.
func (e Element) Local() []byte {
	if e.r == nil {
		return nil
	}
	return e.r.bytes(e.r.nodes[e.i].name.local())
}

// Attr returns the value of an attribute without prefix, decoded, and whether
// the element has it.
func (e Element) Attr(name string) ([]byte, bool) { return e.attr("", name) }

func (e Element) attr(space, local string) ([]byte, bool) {
	if e.r == nil {
		return nil, false
	}
	r := e.r
	n := &r.nodes[e.i]
	for i := n.attrs.off; i < n.attrs.end; i++ {
		a := &r.attrs[i]
		if string(r.bytes(a.name.local())) != local || string(r.space(a.ns)) != space {
			continue
		}
		if a.coded {
			a.value, a.coded, a.inScratch = r.decode(a.value, runValue), false, true
		}
		if a.inScratch {
			return r.scratch[a.value.off:a.value.end:a.value.end], true
		}
		return r.bytes(a.value), true
	}
	return nil, false
}

// Text returns the character data directly inside the element, decoded and
// concatenated.
func (e Element) Text() []byte {
	if e.r == nil {
		return nil
	}
	r := e.r
	n := &r.nodes[e.i]
	if n.firstRun == none {
		return nil
	}
	if first := &r.runs[n.firstRun]; first.next == none && first.kind == runPlain {
		return r.bytes(first.span)
	}
	if !n.textKnown {
		off := len(r.scratch)
		for i := n.firstRun; i != none; i = r.runs[i].next {
			r.decode(r.runs[i].span, r.runs[i].kind)
		}
		n.text, n.textKnown = span{int32(off), int32(len(r.scratch))}, true
	}
	return r.scratch[n.text.off:n.text.end:n.text.end]
}

// Child returns the first child of that name, and whether there is one.
func (e Element) Child(space, local string) (Element, bool) {
	for c := range e.Children() {
		if c.Is(space, local) {
			return c, true
		}
	}
	return Element{}, false
}

// Children ranges over the elements directly inside the element.
func (e Element) Children() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		if e.r == nil {
			return
		}
		for i := e.r.nodes[e.i].first; i != none; i = e.r.nodes[i].next {
			if !yield(Element{e.r, i}) {
				return
			}
		}
	}
}

// Payload returns the JSON of a message: the text of its first <gcm>, and
// whether it has one. Which prefix the element has makes no difference
// (docs/protocol.md, The JSON as XML text).
func (e Element) Payload() ([]byte, bool) {
	if e.r == nil {
		return nil, false
	}
	for i := e.r.nodes[e.i].first; i != none; i = e.r.nodes[i].next {
		if e.r.nodes[i].payload {
			return Element{e.r, i}.Text(), true
		}
	}
	return nil, false
}

// StreamError returns what a <stream:error> says, and whether the element is
// one.
func (e Element) StreamError() (*ccs.StreamError, bool) {
	if !e.Is(NSStream, "error") {
		return nil, false
	}
	s := &ccs.StreamError{Condition: ccs.ConditionUndefinedCondition}
	for c := range e.Children() {
		switch {
		case c.Is(NSStreamErrors, "text"):
			s.Text = string(c.Text())
		case string(c.Space()) == NSStreamErrors:
			s.Condition = ccs.Condition(c.Local())
		case string(c.Space()) == NSErrors:
			s.App = string(c.Local())
		}
	}
	return s, true
}
