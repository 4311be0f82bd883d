package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// injected are variables that Kubernetes gives every pod for each service called
// penstock or penstock-something, and that Docker makes of links by such a name.
// Nobody has chosen them, and they mean nothing here.
var injected = regexp.MustCompile(`^PENSTOCK_([A-Z0-9_.]+_)?(` +
	`SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|` +
	`PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END|PORT_START|PORT_END))?|` +
	`ENV_.+)$`)

// linkName is the value of PENSTOCK_NAME and its like that Docker makes: the
// names of both ends of a link.
var linkName = regexp.MustCompile(`^(/[^/]+){2}$`)

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
func (l *loader) variables(s section, path string, env func(name string) string) (any bool) {
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
			l.known = append(l.known, variable(at))
			for name := range strings.SplitSeq(env(variable(at)), ",") {
				name = strings.TrimSpace(name)
				if name == "" || slices.ContainsFunc(to.all(), func(s section) bool { return nameOf(s) == name }) {
					continue
				}
				if at == projectsPath && l.book.Project(name) != nil {
					continue
				}
				item := to.add()
				for _, e := range item.settings() {
					if e.key == "name" {
						e.set(name)
					}
				}
				l.places[element(at, name)] = variable(at)
			}
			for _, item := range to.all() {
				any = l.variables(item, element(at, nameOf(item)), env) || any
			}
			continue
		}
		l.known = append(l.known, variable(at))
		text := env(variable(at))
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

// strays complains of variables that neither a setting nor anything else knows: a
// misspelt one would silently do nothing. Where the file or the book could not be
// read, nobody can tell which projects have variables.
func (l *loader) strays(env map[string]string, others []string, allRead bool) {
	known := make(map[string]bool)
	for _, name := range slices.Concat(l.known, others) {
		known[name] = true
	}
	all := slices.Sorted(maps.Keys(known))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		ofProject := strings.HasPrefix(name, projectsVariable)
		switch {
		case env[name] == "" || known[name] || injected.MatchString(name):
		case strings.HasSuffix(name, "_NAME") && linkName.MatchString(env[name]):
		case ofProject && !allRead:
		case ofProject:
			l.problems.add("unknown variable `%s` in the environment: %s", name, meantOfProject(name, all))
		default:
			l.problems.add("unknown variable `%s` in the environment: %s", name, meantVariable(name, all))
		}
	}
}

// projectsVariable begins the variables of projects.
const projectsVariable = "PENSTOCK_PROJECTS_"

// meantVariable says what to write in place of an unknown variable: one that is
// written alike, or else one that has it as a part.
func meantVariable(name string, known []string) string {
	bare := make([]string, len(known))
	for i, k := range known {
		bare[i] = strings.TrimPrefix(k, "PENSTOCK_")
	}
	typed := strings.TrimPrefix(name, "PENSTOCK_")
	near := nearest(typed, bare)
	if i := slices.IndexFunc(bare, func(k string) bool { return strings.Contains("_"+k+"_", "_"+typed+"_") }); near == "" && i >= 0 {
		near = bare[i]
	}
	if near == "" {
		return "it is no setting's and no flag's: unset it"
	}
	return "did you mean `PENSTOCK_" + near + "`?"
}

// meantOfProject is the same for a variable of a project. Names of projects are
// often alike, so that only a slip of the pen counts as one.
func meantOfProject(name string, known []string) string {
	var of []string
	for _, k := range known {
		if rest, ok := strings.CutPrefix(k, projectsVariable); ok {
			of = append(of, rest)
		}
	}
	typed := strings.TrimPrefix(name, projectsVariable)
	if near := nearest(typed, of); near != "" && changes(typed, near) <= 2 {
		return "did you mean `" + projectsVariable + near + "`?"
	}
	return "no project of the file, of projects.json or of PENSTOCK_PROJECTS has such a setting"
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
