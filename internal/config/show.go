package config

import (
	"bytes"
	"encoding/json"
	"io"

	"go.yaml.in/yaml/v3"
)

type showOptions struct {
	secrets   bool                     // in clear
	givenOnly bool                     // leave out what has its default
	place     func(path string) string // written beside values that are no defaults; nil: nothing is
}

// WriteYAML writes the effective configuration in the form of its file, with
// the place of each value that is no default behind it. Secrets are hidden.
func (c *Config) WriteYAML(w io.Writer) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(tree(c.whole(), showOptions{place: c.Place})); err != nil {
		return err
	}
	return enc.Close()
}

// MarshalJSON is the same as JSON, without the places.
func (c *Config) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := writeJSON(&b, tree(c.whole(), showOptions{}))
	return b.Bytes(), err
}

// whole is the configuration with the projects of the book among its own.
func (c *Config) whole() *Config {
	n := *c
	n.Projects = c.AllProjects()
	return &n
}

// tree writes a section as YAML.
func tree(s section, opt showOptions) *yaml.Node { return branch(s, "", opt) }

func branch(s section, path string, opt showOptions) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range s.settings() {
		at := join(path, e.key)
		var value *yaml.Node
		switch to := e.to.(type) {
		case section:
			if e.given != nil && !*e.given {
				continue
			}
			value = branch(to, at, opt)
			if opt.givenOnly && len(value.Content) == 0 && e.given == nil {
				continue
			}
		case elements:
			value = &yaml.Node{Kind: yaml.SequenceNode}
			for _, item := range to.all() {
				value.Content = append(value.Content, branch(item, element(at, nameOf(item)), opt))
			}
		default:
			if e.text() == "" && e.def == "" || opt.givenOnly && e.text() == e.def {
				continue
			}
			value = leaf(&e, opt.secrets)
			if opt.place != nil && opt.place(at) != byDefault {
				value.LineComment = opt.place(at)
			}
		}
		n.Content = append(n.Content, text(e.key), value)
	}
	return n
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func leaf(e *setting, secrets bool) *yaml.Node {
	n := text(e.text())
	switch to := e.to.(type) {
	case *bool:
		n.Tag = "!!bool"
	case *int:
		n.Tag = "!!int"
	case *Secret:
		if secrets {
			n.Value = to.Reveal()
		}
	case *URL:
		if secrets {
			n.Value = to.Reveal()
		}
	case *[]string:
		n = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range *to {
			n.Content = append(n.Content, text(item))
		}
	}
	return n
}

// writeJSON writes what tree made as JSON, keys in their order.
func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, n.Content[i]); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeJSON(b, n.Content[i+1]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	default:
		if n.Tag == "!!bool" || n.Tag == "!!int" {
			b.WriteString(n.Value)
			return nil
		}
		quoted, err := json.Marshal(n.Value)
		if err != nil {
			return err
		}
		b.Write(quoted)
	}
	return nil
}

// A Setting describes one setting, for pages and for people.
type Setting struct {
	Path     string // projects[].keys[].secret_file
	Key      string
	Variable string // of the environment
	Default  string
	Words    []string // the values that there are; nil: any
	Doc      string
	Section  bool // it holds others
}

// Settings lists every setting, a section before what it holds.
func Settings() []Setting {
	var all []Setting
	var walk func(s section, path, env string)
	walk = func(s section, path, env string) {
		for _, e := range s.settings() {
			d := Setting{Path: join(path, e.key), Key: e.key, Variable: env + variable(e.key)[len("PENSTOCK"):], Default: e.def, Words: e.words, Doc: e.doc}
			switch to := e.to.(type) {
			case section:
				d.Section = true
				all = append(all, d)
				walk(to, d.Path, d.Variable)
			case elements:
				d.Section = true
				all = append(all, d)
				walk(to.add(), d.Path+"[]", d.Variable+"_<NAME>")
			default:
				all = append(all, d)
			}
		}
	}
	walk(&Config{Book: &Book{}}, "", "PENSTOCK")
	return all
}
