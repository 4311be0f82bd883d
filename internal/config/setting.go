package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A setting is one entry of a section's table.
type setting struct {
	key string
	doc string // a sentence or two, for people
	// to is where the value goes: *string, *bool, *int, *time.Duration,
	// *[]string, *Secret or *URL; a section; or elements.
	to    any
	def   string   // the default, as it would be written; empty: the zero value
	words []string // the values that there are; nil: any
	path  bool     // a file or directory: in a file, relative to it
	given *bool    // of a section that may be absent: whether it is there
}

// A section is a group of settings.
type section interface{ settings() []setting }

// A part is some settings of a section.
type part []setting

func (p part) settings() []setting { return p }

// Elements are sections in a list. Each has a setting "name", by which the
// environment and messages call it.
type elements interface {
	what() string // one of them: "project"
	add() section
	all() []section
}

// list makes elements of a slice of pointers.
type list[T any, P interface {
	*T
	section
}] struct {
	one   string
	items *[]P
}

func (l list[T, P]) what() string { return l.one }

func (l list[T, P]) add() section {
	item := P(new(T))
	setDefaults(item)
	*l.items = append(*l.items, item)
	return item
}

func (l list[T, P]) all() []section {
	all := make([]section, len(*l.items))
	for i, item := range *l.items {
		all[i] = item
	}
	return all
}

// setDefaults gives every setting of s its default.
func setDefaults(s section) {
	for _, e := range s.settings() {
		if sub, ok := e.to.(section); ok {
			setDefaults(sub)
		} else if e.def != "" {
			if err := e.set(e.def); err != "" {
				panic("config: the default of " + e.key + " " + err)
			}
		}
	}
}

// set takes a value as text. It returns what is wrong with it, as the end of a
// sentence that begins with the key, or nothing.
func (e *setting) set(text string) (wrong string) {
	if e.words != nil {
		if _, isList := e.to.(*[]string); !isList && !slices.Contains(e.words, text) {
			return fmt.Sprintf("is %q: give %s", text, choice(e.words))
		}
	}
	switch to := e.to.(type) {
	case *string:
		*to = text
	case *Secret:
		*to = NewSecret(text)
	case *URL:
		*to = NewURL(text)
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Sprintf("is %q: give true or false", text)
		}
		*to = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Sprintf("is %q: give a whole number", text)
		}
		*to = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Sprintf("is %q: give a duration with its unit, such as 500ms, 12s or 1h30m", text)
		}
		*to = d
	case *[]string:
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return e.setList(items)
	}
	return ""
}

// secret reports whether the value is one, or holds one.
func (e *setting) secret() bool {
	switch to := e.to.(type) {
	case *Secret:
		return !to.IsEmpty()
	case *URL:
		return to.hasPassword()
	}
	return false
}

// setList takes several values.
func (e *setting) setList(items []string) (wrong string) {
	for _, item := range items {
		if e.words != nil && !slices.Contains(e.words, item) {
			return fmt.Sprintf("has %q: give %s", item, choice(e.words))
		}
	}
	*e.to.(*[]string) = items
	return ""
}

// text is the value as it would be written in one line; secrets are hidden, and
// so are those within URLs.
func (e *setting) text() string {
	switch to := e.to.(type) {
	case *string:
		return *to
	case *Secret:
		return to.String()
	case *URL:
		return to.String()
	case *bool:
		return strconv.FormatBool(*to)
	case *int:
		return strconv.Itoa(*to)
	case *time.Duration:
		return durationText(*to)
	case *[]string:
		return strings.Join(*to, ",")
	}
	return ""
}

// durationText writes 1m0s as 1m, and 1h0m0s as 1h.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// choice lists words for a sentence: a, b or c.
func choice(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// nameOf is what an element is called.
func nameOf(s section) string {
	for _, e := range s.settings() {
		if e.key == "name" {
			return *e.to.(*string)
		}
	}
	return ""
}

// join makes the path of a setting: keys with dots between them; elements
// appear by name.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// element is the path of an element of the list at path. Until names are checked
// one may hold a dot, which divides nothing.
func element(path, name string) string {
	return join(path, strings.ReplaceAll(name, ".", dotInName))
}

// dotInName stands in a path for a dot that belongs to a name.
const dotInName = "\x00"

// variable is the environment's name for the setting at path.
func variable(path string) string {
	return "PENSTOCK_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, path)
}
