package config

import (
	"slices"
	"strings"
)

// environment makes a map of PENSTOCK_ variables.
func environment(environ []string) map[string]string {
	env := make(map[string]string)
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, "PENSTOCK_") {
			env[name] = value
		}
	}
	return env
}

// variables reads the environment into s. An empty variable counts as none.
func (l *loader) variables(s section, path string, env map[string]string) (any bool) {
	for _, e := range s.settings() {
		at := join(path, e.key)
		switch to := e.to.(type) {
		case section:
			if l.variables(to, at, env) {
				any = true
				if e.given != nil {
					*e.given = true
				}
			}
			continue
		case elements:
			for name := range strings.SplitSeq(env[variable(at)], ",") {
				name = strings.TrimSpace(name)
				if name == "" || slices.ContainsFunc(to.all(), func(s section) bool { return nameOf(s) == name }) {
					continue
				}
				item := to.add()
				for _, e := range item.settings() {
					if e.key == "name" {
						e.set(name)
					}
				}
				l.places[at+"."+name] = variable(at)
			}
			for _, item := range to.all() {
				any = l.variables(item, at+"."+nameOf(item), env) || any
			}
			continue
		}
		text := env[variable(at)]
		if text == "" {
			continue
		}
		any = true
		if wrong := e.set(text); wrong != "" {
			l.problems.add("%s %s", variable(at), hide(&e, wrong))
			continue
		}
		l.places[at] = variable(at)
	}
	return any
}

// flag sets what one flag says; rest is what is left of its path within s.
func (l *loader) flag(s section, path, rest, text string) {
	key, deeper, _ := strings.Cut(rest, ".")
	for _, e := range s.settings() {
		if e.key != key {
			continue
		}
		if sub, ok := e.to.(section); ok {
			l.flag(sub, path, deeper, text)
			return
		}
		name := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(path)
		if wrong := e.set(text); wrong != "" {
			l.problems.add("%s %s", name, wrong)
			return
		}
		l.places[path] = name
		return
	}
	panic("config: there is no setting " + path)
}
