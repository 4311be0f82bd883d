package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	mainModule    = "penstock"
	freshnessTest = "TestPageIsFresh"
)

// A test is one that shows an item: the directory of its package, slashed and
// relative to the repository, and its name up to the element with the number.
type test struct{ dir, name string }

// A coverage says which tests show which item.
type coverage map[string]map[test]bool

func (c coverage) add(id string, t test) {
	if c[id] == nil {
		c[id] = map[test]bool{}
	}
	c[id][t] = true
}

var itemPrefix = regexp.MustCompile(`^(R[-_][A-Z]\d+|[STMF][-_]\d\d|[CS]\d+)[ _]`)

// itemsOf returns the items that one element of a test's name begins with.
// Blanks and underscores are alike, since go test turns one into the other;
// R_A7 is R-A7 and S_01 is S-01, since the name of a function has no hyphen.
func itemsOf(element string) (ids []string) {
	for {
		m := itemPrefix.FindStringSubmatch(element)
		if m == nil {
			return ids
		}
		ids = append(ids, strings.Replace(m[1], "_", "-", 1))
		element = element[len(m[0]):]
	}
}

var testPrefix = regexp.MustCompile(`^(Test|Fuzz|Example)_?`)

// collect reads the output of go test -json. Tests that failed are an error: a
// page must not be made from a broken tree.
func collect(output []byte, modules modules) (coverage, error) {
	found := coverage{}
	var failed []string
	explained := map[string]bool{} // packages of which a failed test is known
	lines := 0
	for line := range bytes.Lines(output) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var event struct{ Action, Package, ImportPath, Test string }
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("not the output of go test -json: %.80q", line)
		}
		lines++
		switch event.Action {
		case "fail":
			switch {
			case strings.HasSuffix(event.Package, "internal/conformance") && event.Test == freshnessTest:
				explained[event.Package] = true // what we are here to mend
			case event.Test != "":
				explained[event.Package] = true
				failed = append(failed, event.Package+" "+event.Test)
			case !explained[event.Package]:
				failed = append(failed, event.Package)
			}
		case "pass":
			dir, ok := modules.dir(event.Package)
			if event.Test == "" {
				continue
			}
			elements := strings.Split(event.Test, "/")
			last := len(elements) - 1
			name := elements[last]
			if last == 0 {
				name = testPrefix.ReplaceAllString(name, "")
			}
			// Only the element with the number counts, not the cases below it.
			for _, id := range itemsOf(name) {
				if !ok {
					return nil, fmt.Errorf("%s: no module of this repository has that package", event.Package)
				}
				found.add(id, test{dir, event.Test})
			}
		}
	}
	if lines == 0 {
		return nil, errors.New("no output of go test -json")
	}
	if len(failed) > 0 {
		return nil, fmt.Errorf("%d tests failed, no page is made from that:\n\t%s", len(failed), strings.Join(failed, "\n\t"))
	}
	known := map[string]bool{}
	for _, it := range items {
		known[it.id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if !known[id] && !strings.HasPrefix(id, "R-") {
			for t := range found[id] {
				return nil, fmt.Errorf("%s %s: there is no item %s", t.dir, t.name, id)
			}
		}
	}
	return found, nil
}

// modules are the modules of the repository: import path → directory.
type modules map[string]string

// dir returns the directory of a package.
func (m modules) dir(pkg string) (string, bool) {
	for at := pkg; ; at = path.Dir(at) {
		if dir, ok := m[at]; ok {
			return path.Join(dir, strings.TrimPrefix(pkg, at)), true
		}
		if at == "." || at == "/" {
			return "", false
		}
	}
}

// nested reports whether dir is in a module of its own.
func (m modules) nested(dir string) bool {
	for name, at := range m {
		if name != mainModule && (dir == at || strings.HasPrefix(dir, at+"/")) {
			return true
		}
	}
	return false
}

func findModules(root string) (modules, error) {
	found := modules{}
	err := walk(root, func(rel string) error {
		if path.Base(rel) != "go.mod" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err == nil {
			found[modulePath(text)] = path.Dir(rel)
		}
		return err
	})
	return found, err
}

func modulePath(goMod []byte) string {
	for line := range strings.Lines(string(goMod)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return ""
}

// walk visits the files of the repository, by slashed relative paths.
func walk(root string, visit func(rel string) error) error {
	return fs.WalkDir(os.DirFS(root), ".", func(rel string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
				slices.Contains([]string{"testdata", "vendor", "node_modules"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		return visit(rel)
	})
}
