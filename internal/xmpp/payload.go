package xmpp

// lenient reports whether a node is the payload of a message, whose writer may
// have forgotten to escape it. Programs on Smack paste JSON into <gcm> as it
// is; Google ended their streams for a bare "&" or "<", and we are kinder
// (docs/protocol.md, The JSON as XML text).
func (r *Reader) lenient(cur int32) bool {
	return r.nodes[cur].payload && !r.opt.StrictPayload
}

// inObject reports whether the text of a node so far ends inside a JSON
// object. Only then is a "<" that fits nowhere taken for text: elsewhere it
// has no business in a payload.
func (r *Reader) inObject(cur int32) bool {
	n := &r.nodes[cur]
	for {
		next := n.firstRun
		if n.fed != none {
			next = r.runs[n.fed].next
		}
		if next == none {
			return n.json.phase == jsonInside
		}
		n.fed = next
		run := r.runs[next]
		if run.kind == runPlain {
			n.json.feed(r.bytes(run.span))
			continue
		}
		s := r.decode(run.span, run.kind)
		n.json.feed(r.scratch[s.off:s.end])
		r.scratch = r.scratch[:s.off]
	}
}

// raw reads the rest of a payload whose JSON object is open, from a "<" that
// is text. The end of the object ends the text, as no XML can: "</gcm>" may
// stand in a JSON string. Then the closing tag must follow.
func (r *Reader) raw(cur int32) error {
	start, i := r.pos, r.pos
	js := r.nodes[cur].json
	for js.phase == jsonInside {
		c, err := r.at(i)
		if err != nil {
			return err
		}
		switch {
		case c == '&':
			n, err := r.rawReference(i, &js)
			if err != nil {
				return err
			}
			i += n
		case c >= 0x80:
			_, n, err := r.runeAt(i)
			if err != nil {
				return err
			}
			i += n
		case c < 0x20 && class[c]&isSpace == 0:
			return r.malformed("a control character")
		default:
			js.feedByte(c)
			i++
		}
	}
	r.addRun(cur, start, i, runRaw)
	r.pos = i
	c, err := r.skipSpace()
	if err != nil {
		return err
	}
	if c == '<' {
		if c, err = r.at(r.pos + 1); err != nil {
			return err
		}
		if c == '/' {
			if ok, err := r.closes(r.nodes[cur].name.span); ok || err != nil {
				return err
			}
		}
	}
	return r.malformed("no closing tag behind the JSON")
}

// rawReference goes over the "&" at offset i, and over the whole of a proper
// reference, which is decoded even here: those who escape some characters only
// meant it. It returns how far.
func (r *Reader) rawReference(i int, js *jsonState) (int, error) {
	end, err := r.refEnd(i)
	if err != nil {
		return 0, err
	}
	if end > 0 {
		if c, n := parseRef(r.w[i:end]); n > 0 {
			if c < 0x80 {
				js.feedByte(byte(c))
			}
			return n, nil
		}
	}
	js.feedByte('&')
	return 1, nil
}

// A jsonState follows JSON text just far enough to see where its object ends.
type jsonState struct {
	depth  int32
	phase  jsonPhase
	str    bool // inside a string
	escape bool // behind a backslash in it
}

type jsonPhase uint8

const (
	jsonBefore jsonPhase = iota // nothing but white space yet
	jsonInside                  // inside the object
	jsonAfter                   // behind it, or this is no object
)

func (j *jsonState) feed(s []byte) {
	for i := 0; i < len(s) && j.phase != jsonAfter; i++ {
		j.feedByte(s[i])
	}
}

func (j *jsonState) feedByte(c byte) {
	switch {
	case j.phase == jsonAfter:
	case j.phase == jsonBefore:
		if c == '{' {
			j.phase, j.depth = jsonInside, 1
		} else if class[c]&isSpace == 0 {
			j.phase = jsonAfter
		}
	case j.escape:
		j.escape = false
	case c == '"':
		j.str = !j.str
	case j.str:
		j.escape = c == '\\'
	case c == '{', c == '[':
		j.depth++
	case c == '}', c == ']':
		if j.depth--; j.depth == 0 {
			j.phase = jsonAfter
		}
	}
}
