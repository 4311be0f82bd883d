package fcmsim

import (
	"strconv"
	"strings"
)

// Bounds of what is told about a request.
const (
	// maxViolations is how many faults of one request are told.
	maxViolations = 100
	// maxQuoted is how much of a wrong name or value stands in the text about it.
	maxQuoted = 256
)

// faults collects violations.
type faults struct {
	found  []violation
	broken bool
}

// A step is one part of the way to where the parser is.
type step struct {
	field *fieldType
	index int // in a list or map; -1: not in one
}

// place is the way to where the parser is, as errors name it; up leaves out so
// many steps.
func (p *protoParser) place(up int) string {
	var b strings.Builder
	for i, at := range p.path[:len(p.path)-up] {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(at.field.name)
		if at.index >= 0 {
			b.WriteString("[" + strconv.Itoa(at.index) + "]")
			if at.field.kind == kindStringMap {
				b.WriteString(".value")
			}
		}
	}
	return b.String()
}

func (f *faults) report(field, text string) {
	if !f.broken && len(f.found) < maxViolations {
		f.found = append(f.found, violation{field, text})
	}
}

// fail reports broken JSON at the parser's place, with what stands around it.
// Whatever was reported before is forgotten, since nothing was understood.
func (p *protoParser) fail() {
	if p.broken {
		return
	}
	const around = 20
	from, to := max(0, p.i-around), min(len(p.s), p.i+around)
	excerpt := strings.ToValidUTF8(p.s[from:to], "?")
	p.giveUp("Unexpected token.\n" + excerpt + "\n" + strings.Repeat(" ", p.i-from) + "^")
}

// giveUp reports JSON of which nothing else is looked at.
func (p *protoParser) giveUp(why string) {
	p.broken = true
	p.found = []violation{{"", "Invalid JSON payload received. " + why}}
	p.i = len(p.s)
}

// invalid reports a value of the field that the parser is at.
func (p *protoParser) invalid(value string) {
	field, at := p.place(0), p.path[len(p.path)-1]
	name := at.field.typeName()
	if at.field.kind == kindStringMap && at.index >= 0 {
		name = "TYPE_STRING"
	}
	p.report(field, "Invalid value at '"+field+"' ("+name+"), "+value)
}

// unknown reports a name below where the parser is, or up steps above it.
func (p *protoParser) unknown(name string, up int, why string) {
	text := "Invalid JSON payload received. Unknown name " + quoted(name)
	where := p.place(up)
	if where != "" {
		text += " at '" + where + "'"
	}
	p.report(where, text+": "+why)
}

// quoted puts a name between quotes as it was written, cut where it is long.
func quoted(name string) string {
	if len(name) > maxQuoted {
		name = strings.ToValidUTF8(name[:maxQuoted], "")
	}
	return `"` + name + `"`
}

// wrong reports the value that comes next as one of the wrong type.
func (p *protoParser) wrong() {
	from := p.i
	p.skip()
	if p.broken {
		return
	}
	switch p.s[from] {
	case '{':
		p.invalid("Starting an object on a scalar field")
	case '[':
		p.unknown(p.path[len(p.path)-1].field.name, 1, "Proto field is not repeating, cannot start list.")
	default:
		value := p.s[from:p.i]
		if len(value) > maxQuoted {
			value = strings.ToValidUTF8(value[:maxQuoted], "")
		}
		p.invalid(value)
	}
}
