package fcmsim

import "unicode/utf8"

// maxDepth is how deeply JSON may nest, as in Google's own parsers.
const maxDepth = 100

// A node is one value of a request. Nodes live in the slice of their parser;
// 0, the root, stands for none where another one is meant.
type node struct {
	field *fieldType
	key   string // of an entry of a map
	text  string // of strings and enums, decoded; of other scalars, and of free objects, as they were written
	index int    // of an entry, in the order of the request

	first, last, next int32
}

// A protoParser reads a request as strictly as Google's front does, by the
// schema. It reports every fault that it finds, but ends at broken JSON. Strings
// it returns are parts of the request wherever they need no decoding.
type protoParser struct {
	s     string
	i     int
	depth int
	nodes []node
	path  []step
	faults
}

// parse reads a SendMessageRequest. It returns what is wrong; nil: nothing.
func (p *protoParser) parse(text string) *apiError {
	*p = protoParser{s: text, nodes: append(p.nodes[:0], node{}), path: p.path[:0]}
	p.space()
	switch {
	case p.i == len(p.s):
		return nil // an empty body is an empty request
	case !utf8.ValidString(text):
		p.giveUp("Encountered non UTF-8 code points.")
	case p.s[p.i] == '{':
		p.object(sendRequestType, 0)
	default:
		p.skip()
		p.report("", `Invalid JSON payload received. Unknown name "": Root element must be a message.`)
	}
	if p.space(); p.i < len(p.s) {
		p.fail()
	}
	if p.found == nil {
		return nil
	}
	return errJSON(p.found)
}

// get is the child of n with that name; 0: it is absent.
func (p *protoParser) get(n int32, name string) int32 {
	for c := p.nodes[n].first; c != 0; c = p.nodes[c].next {
		if p.nodes[c].field.name == name {
			return c
		}
	}
	return 0
}

// in is get, for a node that may itself be absent.
func (p *protoParser) in(n int32, name string) int32 {
	if n == 0 {
		return 0
	}
	return p.get(n, name)
}

// str is the text of a child; empty if it is absent.
func (p *protoParser) str(n int32, name string) string {
	if c := p.in(n, name); c != 0 {
		return p.nodes[c].text
	}
	return ""
}

// object reads an object that is the message n. Its brace comes next.
func (p *protoParser) object(m *messageType, n int32) {
	p.entries(func(key string) {
		f := m.lookup[key]
		if f == nil {
			p.unknown(key, 0, "Cannot find field.")
			p.skip()
			return
		}
		p.path = append(p.path, step{f, -1})
		p.value(f, n)
		p.path = p.path[:len(p.path)-1]
	})
}

// entries reads an object whose brace comes next, and calls f at each value.
func (p *protoParser) entries(f func(key string)) {
	if !p.enter() {
		return
	}
	defer p.leave()
	if p.space(); p.take('}') {
		return
	}
	for !p.broken {
		if p.space(); !p.at('"') {
			p.fail()
			return
		}
		key := p.string()
		if p.space(); !p.take(':') {
			p.fail()
			return
		}
		p.space()
		f(key)
		if p.space(); p.take('}') {
			return
		}
		if !p.take(',') {
			p.fail()
			return
		}
	}
}

// elements reads a list whose bracket comes next, and calls f at each value.
func (p *protoParser) elements(f func(i int)) {
	if !p.enter() {
		return
	}
	defer p.leave()
	if p.space(); p.take(']') {
		return
	}
	for i := 0; !p.broken; i++ {
		p.space()
		f(i)
		if p.space(); p.take(']') {
			return
		}
		if !p.take(',') {
			p.fail()
			return
		}
	}
}

// enter passes over a brace or bracket.
func (p *protoParser) enter() bool {
	p.i++
	p.depth++
	if p.depth > maxDepth {
		p.giveUp("Message too deep.")
		return false
	}
	return true
}

func (p *protoParser) leave() { p.depth-- }

// value reads the value of a field of n. Of a field that comes twice, in
// whatever spelling, the last value counts; null makes it absent.
func (p *protoParser) value(f *fieldType, n int32) {
	if p.literal("null") {
		p.drop(n, f)
		return
	}
	if f.oneof != "" {
		for c := p.nodes[n].first; c != 0; c = p.nodes[c].next {
			if o := p.nodes[c].field; o != f && o.oneof == f.oneof {
				p.report(p.place(1), "Invalid value (oneof), oneof field '"+f.oneof+"' is already set. Cannot set '"+f.name+"'")
				p.skip()
				return
			}
		}
	}
	p.drop(n, f)
	c := p.add(n, node{field: f})
	from := p.i
	switch {
	case f.list:
		p.list(c)
	case f.kind == kindStringMap:
		p.stringMap(c)
	case f.kind != kindMessage && f.kind != kindStruct:
		p.scalar(c)
	case !p.at('{'):
		p.wrong()
	case f.kind == kindMessage:
		p.object(f.sub, c)
		p.nodes[c].text = p.s[from:p.i]
	default:
		p.skip()
		p.nodes[c].text = p.s[from:p.i]
	}
}

// list reads the list n.
func (p *protoParser) list(n int32) {
	if !p.at('[') {
		p.wrong()
		return
	}
	at := &p.path[len(p.path)-1]
	p.elements(func(i int) {
		at.index = i
		p.scalar(p.add(n, node{field: at.field, index: i}))
	})
}

// largeMap is how many entries of a map are searched one by one.
const largeMap = 32

// stringMap reads the map n. Of equal keys the last value counts.
func (p *protoParser) stringMap(n int32) {
	at := &p.path[len(p.path)-1]
	if !p.at('{') {
		if p.at('[') {
			p.skip()
			p.invalid("Cannot bind a list to map for field '" + at.field.name + "'.")
			return
		}
		p.wrong()
		return
	}
	i := 0
	var large map[string]int32 // the entries, once there are many
	p.entries(func(key string) {
		var c int32
		if large == nil {
			c = p.entry(n, key)
		} else {
			c = large[key]
		}
		if c == 0 {
			c = p.add(n, node{field: at.field, key: key})
		}
		p.nodes[c].index = i
		at.index = i
		p.scalar(c)
		i++
		if i == largeMap {
			large = make(map[string]int32)
			for c := p.nodes[n].first; c != 0; c = p.nodes[c].next {
				large[p.nodes[c].key] = c
			}
		} else if large != nil {
			large[key] = c
		}
	})
}

// entry is the entry of a map with that key; 0: there is none.
func (p *protoParser) entry(n int32, key string) int32 {
	for c := p.nodes[n].first; c != 0; c = p.nodes[c].next {
		if p.nodes[c].key == key {
			return c
		}
	}
	return 0
}

// add appends a child to n.
func (p *protoParser) add(n int32, v node) int32 {
	c := int32(len(p.nodes))
	p.nodes = append(p.nodes, v)
	parent := &p.nodes[n]
	if parent.first == 0 {
		parent.first = c
	} else {
		p.nodes[parent.last].next = c
	}
	parent.last = c
	return c
}

// drop takes the field f out of n.
func (p *protoParser) drop(n int32, f *fieldType) {
	parent := &p.nodes[n]
	var before int32
	for c := parent.first; c != 0; before, c = c, p.nodes[c].next {
		if p.nodes[c].field != f {
			continue
		}
		next := p.nodes[c].next
		if before == 0 {
			parent.first = next
		} else {
			p.nodes[before].next = next
		}
		if parent.last == c {
			parent.last = before
		}
		return
	}
}

// scalar reads the value of the node c.
func (p *protoParser) scalar(c int32) {
	f, from := p.nodes[c].field, p.i
	var value, fault string
	var ok bool
	if p.at('"') {
		if text := p.string(); !p.broken {
			value, ok, fault = stringScalar(f, text)
		}
	} else {
		if p.skip(); !p.broken {
			value, ok, fault = bareScalar(f, p.s[from:p.i])
		}
	}
	switch {
	case p.broken:
	case ok:
		p.nodes[c].text = value
	case fault != "":
		p.invalid(fault)
	default:
		p.i = from
		p.wrong()
	}
}
