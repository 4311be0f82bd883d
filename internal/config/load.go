package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Sources are where settings come from.
type Sources struct {
	// File is a YAML file; empty: none.
	File string
	// Environ is the environment; nil: the process's, as [os.Environ] gives it.
	Environ []string
	// Flags are values given on the command line: texts by path, such as
	// "log.level". Several values have commas between them.
	Flags map[string]string
	// Variables are those of the environment that begin with PENSTOCK_ and count
	// elsewhere, such as for flags. One that is neither here nor a setting's is a
	// problem. Nil: it is passed over.
	Variables []string
	// DataDir is the data directory where nothing else says which; empty: the
	// default of its setting.
	DataDir string
	// Coming is the name of a project that is about to be made: its variables may be
	// there before it.
	Coming string
}

// maxFile is how large a file of settings may be: 4 MiB.
const maxFile = 4 << 20

// Load reads, merges and checks all settings, and the projects of the data
// directory. Its error is [Problems].
func Load(src Sources) (*Config, error) {
	c := &Config{places: make(map[string]string), Book: &Book{}}
	setDefaults(c)
	if src.DataDir != "" {
		c.DataDir = src.DataDir
	}
	l := loader{places: c.places, book: c.Book}
	if src.File != "" {
		l.file(src.File, c)
	}
	allRead := len(l.problems) == 0
	if src.Environ == nil {
		src.Environ = os.Environ()
	}
	for _, e := range src.Environ {
		// Google's libraries then trust whoever answers there, and skip checks.
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "FIREBASE_") && strings.Contains(name, "EMULATOR") && value != "" {
			l.problems.add("%s is set, which is for tests with Firebase's emulators: unset it", name)
		}
	}
	variables := environment(src.Environ)
	c.env = func(name string) string { return variables[name] }
	projects, general := c.apart()
	l.variables(general, "", c.env)
	for _, path := range slices.Sorted(maps.Keys(src.Flags)) {
		l.flag(c, path, path, src.Flags[path])
	}
	if allRead {
		book, err := c.ReadBook()
		if bad, is := errors.AsType[Problems](err); is {
			l.problems = append(l.problems, bad...)
			allRead = false
		} else {
			l.book = book
		}
	}
	l.variables(projects, "", c.env)
	var over *loader
	c.Book, over = l.book.under(c.env)
	l.problems = append(l.problems, over.problems...)
	if src.Variables != nil {
		if src.Coming != "" {
			_, coming := (&Book{Projects: []*Project{NewProject(src.Coming)}}).under(c.env)
			l.known = append(l.known, coming.known...)
		}
		l.strays(variables, slices.Concat(src.Variables, over.known), allRead)
	}
	// What could not be read would only be complained of twice.
	if len(l.problems) == 0 {
		if l.secretAt != "" {
			if err := c.Private(src.File); err != nil {
				l.problems.add("the secret at %s is in %v", l.secretAt, err)
			}
		}
		c.check(&l.problems)
	}
	return c, l.problems.err()
}

// A loader fills sections and gathers what is wrong.
type loader struct {
	problems Problems
	places   map[string]string
	name     string   // of the file
	dir      string   // paths in the file are relative to it
	empty    bool     // nothing stands in the file
	secretAt string   // where the first secret stands in the file; empty: there is none
	known    []string // the variables of all settings that were there to be set
	book     *Book    // projects that the environment need not make
}

// file reads a file of settings into s.
func (l *loader) file(name string, s section) {
	f, err := os.Open(name)
	if err != nil {
		l.problems.add("%v: give an existing file, or none", err)
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		l.problems.add("%v", err)
		return
	}
	if len(text) > maxFile {
		l.problems.add("%s has more than %d bytes: that is no configuration", name, maxFile)
		return
	}
	l.text(name, text, s)
}

// text reads settings, as YAML, into s.
func (l *loader) text(name string, text []byte, s section) {
	l.name, l.dir = name, filepath.Dir(name)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		l.empty = true
		return
	case err != nil:
		l.problems.add("%s is neither YAML nor JSON: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.problems.add("%s has more than one document: keep the first, without a line ---", name)
		return
	}
	l.section(doc.Content[0], s, "")
}

func (l *loader) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.name, n.Line) }

// section reads a mapping into s.
func (l *loader) section(n *yaml.Node, s section, path string) {
	n = follow(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.problems.add("%s at %s is no mapping: write its settings below it, as key: value", called(path), l.at(n))
		return
	}
	table := s.settings()
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if first, twice := seen[key.Value]; twice {
			l.problems.add("key `%s`%s stands at %s and again at %s: keep one", key.Value, inside(path), fmt.Sprintf("%s:%d", l.name, first), l.at(key))
			continue
		}
		seen[key.Value] = key.Line
		j := slices.IndexFunc(table, func(e setting) bool { return e.key == key.Value })
		if j < 0 {
			l.problems.add("unknown key `%s`%s at %s: %s", key.Value, inside(path), l.at(key), meant(key.Value, table))
			continue
		}
		l.value(value, &table[j], join(path, key.Value))
	}
}

// meant says what to write in place of an unknown key.
func meant(key string, table []setting) string {
	known := make([]string, len(table))
	for i, e := range table {
		known[i] = e.key
	}
	if near := nearest(key, known); near != "" {
		return "did you mean `" + near + "`?"
	}
	for _, d := range Settings() {
		if d.Key == key {
			return "it belongs in " + parent(d.Path)
		}
	}
	return "known here are " + strings.Join(known, ", ")
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return "the file itself, at the margin"
}

// value reads one value.
func (l *loader) value(n *yaml.Node, e *setting, path string) {
	n = follow(n)
	switch to := e.to.(type) {
	case section:
		if e.given != nil {
			*e.given = true
		}
		l.places[path] = l.at(n)
		l.section(n, to, path)
		return
	case elements:
		l.elements(n, to, path)
		return
	}
	if isNull(n) {
		return // as if the key were not there
	}
	wrong := ""
	switch to, isList := e.to.(*[]string); {
	case n.Kind == yaml.ScalarNode:
		wrong = e.set(n.Value)
	case isList && n.Kind == yaml.SequenceNode:
		items := []string{}
		for _, item := range n.Content {
			if item = follow(item); item.Kind != yaml.ScalarNode {
				wrong = "is no list of plain values"
				break
			}
			items = append(items, item.Value)
		}
		if wrong == "" {
			wrong = e.setList(items)
		}
	case to != nil:
		wrong = "is no list: write [a, b]"
	default:
		wrong = "is no single value: write it behind the key"
	}
	if wrong != "" {
		l.problems.add("`%s`%s at %s %s", e.key, inside(above(path)), l.at(n), hide(e, wrong))
		return
	}
	if p, isText := e.to.(*string); isText && e.path && *p != "" && !filepath.IsAbs(*p) {
		*p = filepath.Join(l.dir, *p)
	}
	l.places[path] = l.at(n)
	if e.secret() && l.secretAt == "" {
		l.secretAt = l.at(n)
	}
}

// hide keeps a secret out of a complaint about it.
func hide(e *setting, wrong string) string {
	if _, secret := e.to.(*Secret); secret {
		return "cannot be read as text"
	}
	return wrong
}

// elements reads a list of sections.
func (l *loader) elements(n *yaml.Node, to elements, path string) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		l.problems.add("`%s` at %s is no list: begin each %s with \"- name: …\"", path, l.at(n), to.what())
		return
	}
	for i, item := range n.Content {
		name := elementName(follow(item))
		if name == "" {
			name = fmt.Sprintf("%d", i+1)
		}
		if slices.ContainsFunc(to.all(), func(s section) bool { return nameOf(s) == name }) {
			l.problems.add("%s %s at %s: there is one of that name already: give it another name", to.what(), name+inside(above(path)), l.at(item))
			continue
		}
		s := to.add()
		l.places[element(path, name)] = l.at(item)
		l.section(item, s, element(path, name))
	}
}

func elementName(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "name" {
				return follow(n.Content[i+1]).Value
			}
		}
	}
	return ""
}

// follow goes from an alias to what it stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// inside says in words where the settings at path are: " in project shop".
func inside(path string) string {
	if path == "" {
		return ""
	}
	return " in " + called(path)
}

// called names the section at path in words: transport.fcm of project shop.
func called(path string) string {
	if path == "" {
		return "the configuration"
	}
	words := strings.Split(path, ".")
	var parts []string
	var rest []string
	for i := 0; i < len(words); i++ {
		if one := map[string]string{"projects": "project", "keys": "key"}[words[i]]; one != "" && i+1 < len(words) {
			parts = append(parts, one+" "+strings.ReplaceAll(words[i+1], dotInName, "."))
			rest = nil
			i++
			continue
		}
		rest = append(rest, words[i])
	}
	if len(rest) > 0 {
		parts = append(parts, strings.Join(rest, "."))
	}
	slices.Reverse(parts)
	return strings.Join(parts, " of ")
}

// above is the path without its last part.
func above(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// byDefault is the place of what nobody has set.
const byDefault = "default"

// Place says where the value at path comes from: file and line, a variable, a
// flag, or the default.
func (c *Config) Place(path string) string {
	for _, places := range []map[string]string{c.places, c.Book.places} {
		if at := places[path]; at != "" {
			return at
		}
	}
	return byDefault
}

// missing explains a file that is not there or may not be read.
func missing(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return err.Error() + ": give the path of an existing file"
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ": let the user that Penstock runs as read it"
	}
	return err.Error()
}
