package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which rooms of ours each room may import, tests apart. The
// reasons stand in ARCHITECTURE.md.
var mayImport = map[string][]string{
	"ccs":                      {},
	"internal/xmpp":            {"ccs"},
	"internal/localca":         {},
	"ccsclient":                {"ccs", "internal/xmpp"},
	"ccsserver":                {"ccs", "internal/xmpp"},
	"fcmsim":                   {"ccs", "ccsserver", "internal/h2wire", "internal/linger", "internal/localca"},
	"fcm":                      {},
	"internal/h2wire":          {},
	"internal/linger":          {},
	"internal/keys":            {"ccs"},
	"internal/translate":       {"ccs", "fcm"},
	"internal/pace":            {"fcm"},
	"internal/config":          {"ccs", "fcm"},
	"fcmsend":                  {"fcm"},
	"internal/downstream":      {"ccs", "fcm", "internal/pace", "internal/translate"},
	"internal/transport/tofcm": {"ccs", "fcm", "fcmsend", "internal/downstream", "internal/translate"},
	"internal/transport/toccs": {"ccs", "fcm", "ccsclient", "internal/downstream", "internal/translate"},
	"internal/front/ccs":       {"ccs", "fcm", "ccsserver", "internal/downstream", "internal/keys", "internal/translate"},
	"internal/front/legacy":    {"ccs", "fcm", "internal/downstream", "internal/keys", "internal/translate"},
	"internal/front/v1":        {"ccs", "fcm", "internal/downstream", "internal/keys", "internal/translate"},
	"internal/observe":         {"ccs", "fcm", "ccsclient", "ccsserver", "fcmsend", "internal/downstream", "internal/front/legacy", "internal/front/v1", "internal/pace"},
	"internal/doctor":          {"fcm", "ccsclient", "fcmsend", "internal/app", "internal/config", "internal/keys", "internal/localca"},
	"internal/app":             {"ccs", "fcm", "ccsclient", "ccsserver", "fcmsend", "fcmsim", "internal/config", "internal/downstream", "internal/front/ccs", "internal/front/legacy", "internal/front/v1", "internal/h2wire", "internal/keys", "internal/linger", "internal/localca", "internal/observe", "internal/pace", "internal/translate", "internal/transport/toccs", "internal/transport/tofcm"},
	"internal/bench":           {"ccs", "ccsclient", "ccsserver", "fcm", "fcmsend", "fcmsim", "internal/app", "internal/config", "internal/localca", "internal/xmpp"},
	"internal/cli":             {"ccs", "ccsclient", "ccsserver", "fcm", "fcmsim", "internal/app", "internal/bench", "internal/config", "internal/doctor", "internal/keys", "internal/localca"},
	"cmd/penstock":             {"internal/bench", "internal/cli"},
	"examples/echo":            {"ccs", "ccsclient"},
	"examples/http-front":      {"ccs", "ccsclient"},
	"internal/ccstest":         {"ccs", "internal/xmpp"},
	"internal/conformance":     {},
	"internal/faultproxy":      {},
}

// TestArrowsPointOneWay reads the import graph. It fails when a room imports
// one that it must not know.
func TestArrowsPointOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		room := filepath.ToSlash(filepath.Dir(rel))
		switch {
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || rel == "test"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		seen[room] = true
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("the room %s is new: say in mayImport what it may import, and in ARCHITECTURE.md what it is for", room)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range file.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if target, ours := strings.CutPrefix(name, "penstock/"); ours && !slices.Contains(allowed, target) {
				t.Errorf("%s imports %s: %s may know %v and nothing else of ours. "+
					"If it needs something of the other room, let it declare a small interface in the words' types, "+
					"or move what both need into a tool (ARCHITECTURE.md, Who imports whom)", rel, target, room, allowed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range mayImport {
		if !seen[room] {
			t.Errorf("mayImport names %s, which has no code", room)
		}
	}
}
