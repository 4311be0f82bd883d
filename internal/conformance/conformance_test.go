package main

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPageIsFresh compares the page with the sources of all tests.
func TestPageIsFresh(t *testing.T) {
	root, err := findRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := findModules(root)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := readClaims(root, modules)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(pagePath)))
	if err != nil {
		t.Errorf("%v; run: go run ./internal/conformance", err)
		return
	}
	diffs := staleness(claims, page)
	slices.Sort(diffs)
	for _, diff := range diffs {
		t.Error(diff)
	}
	if got, want := len(parsePage(page)), len(items); got < want {
		t.Errorf("the page has %d rows; want one for each of %d items", got, want)
	}
	for i, r := range parsePage(page) {
		if i < len(items) && r.id != items[i].id {
			t.Errorf("row %d of the page is %s; want %s", i+1, r.id, items[i].id)
			break
		}
	}
	if t.Failed() {
		t.Log("run: go run ./internal/conformance (and with -extra, if it is about a module of its own)")
	}
}

func TestTheItemsAreComplete(t *testing.T) {
	var want []string
	for n := 1; n <= 54; n++ {
		want = append(want, fmt.Sprint("C", n))
	}
	for n := 1; n <= 77; n++ {
		want = append(want, fmt.Sprint("S", n))
	}
	for _, kind := range []struct {
		letter string
		last   int
	}{{"S", 54}, {"T", 54}, {"M", 54}, {"F", 10}} {
		for n := 1; n <= kind.last; n++ {
			want = append(want, fmt.Sprintf("%s-%02d", kind.letter, n))
		}
	}
	var got []string
	phrases := map[string]string{}
	for _, it := range items {
		got = append(got, it.id)
		if it.asks == "" || strings.ContainsAny(it.asks, "|\n") || phrases[it.asks] != "" {
			t.Errorf("%s asks %q; want words of its own that fit into a table", it.id, it.asks)
		}
		phrases[it.asks] = it.id
	}
	if !slices.Equal(got, want) {
		t.Errorf("items %v; want C1 to C54, S1 to S77, S-01 to S-54, T-01 to T-54, M-01 to M-54 and F-01 to F-10", got)
	}
	for id, reason := range reasons {
		if !slices.Contains(got, id) || reason == "" || strings.ContainsAny(reason, "|\n") {
			t.Errorf("reason %q for %s", reason, id)
		}
	}
}

func TestItemsOf(t *testing.T) {
	// One string, so that this file names none of these itself.
	const cases = `
C21_window_of_100: [C21]
C21 window: [C21]
C49_C50_S70_draining: [C49 C50 S70]
S72_: [S72]
R-A7_dtd: [R-A7]
R_F16_goaway: [R-F16]
C21: []
C21x_y: []
Window_C21: []
S-01_http: [S-01]
S_01_M_27_http: [S-01 M-27]
S_1_x: []
T-100_x: []
SC1_x: []
`
	for line := range strings.Lines(strings.TrimSpace(cases)) {
		element, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if got := fmt.Sprint(itemsOf(element)); got != want {
			t.Errorf("itemsOf(%q) = %s; want %s", element, got, want)
		}
	}
}

// A tree is a small repository in a temporary directory.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) *tree {
	tr := &tree{t, t.TempDir()}
	tr.write("go.mod", "module penstock\n\ngo 1.26\n")
	tr.write("docs/.keep", "")
	return tr
}

func (tr *tree) write(name, text string) {
	tr.t.Helper()
	file := filepath.Join(tr.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) page() string {
	text, _ := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(pagePath)))
	return string(text)
}

// run runs the program on the tree and returns its exit code and all its words.
func (tr *tree) run(stdin string, args ...string) (int, string) {
	var out bytes.Buffer
	code := run(append([]string{"-dir", tr.root}, args...), strings.NewReader(stdin), &out, &out)
	return code, out.String()
}

func (tr *tree) stale() []string {
	tr.t.Helper()
	modules, err := findModules(tr.root)
	if err != nil {
		tr.t.Fatal(err)
	}
	claims, err := readClaims(tr.root, modules)
	if err != nil {
		tr.t.Fatal(err)
	}
	diffs := staleness(claims, []byte(tr.page()))
	slices.Sort(diffs)
	return diffs
}

// event is one line of go test -json.
func event(action, pkg, test string) string {
	return fmt.Sprintf(`{"Time":"2026-01-01T00:00:00Z","Action":%q,"Package":%q,"Test":%q}`+"\n", action, pkg, test)
}

// testOf is the name of a test that shows one item.
func testOf(id string) string { return "Test" + strings.ReplaceAll(id, "-", "_") + "_x" }

// all are events of passed tests for all items that no reason excuses, but skip.
func all(skip ...string) string {
	var out strings.Builder
	for _, it := range items {
		if reasons[it.id] == "" && !slices.Contains(skip, it.id) {
			out.WriteString(event("run", "penstock/wire", testOf(it.id)))
			out.WriteString(event("pass", "penstock/wire", testOf(it.id)))
		}
	}
	return out.String()
}

// source is the test file that all's events might come from.
func source(skip ...string) string {
	var out strings.Builder
	out.WriteString("package wire\n\nimport \"testing\"\n")
	for _, it := range items {
		if reasons[it.id] == "" && !slices.Contains(skip, it.id) {
			fmt.Fprintf(&out, "func %s(*testing.T) {}\n", testOf(it.id))
		}
	}
	return out.String()
}

func TestThePageFollowsTheResults(t *testing.T) {
	tr := newTree(t)
	results := all() +
		event("pass", "penstock/ends/far", "TestWindow/C21_C22_full") +
		event("pass", "penstock/ends/far", "TestWindow/C21_C22_full/case|3") +
		event("pass", "penstock/ends/far", "TestWindow/a|b/C23_odd|name") +
		event("skip", "penstock/ends/far", "TestC24_skipped") +
		event("pass", "penstock/ends/far", "FuzzC17_text") +
		event("pass", "penstock", "TestR_A10_dtd") +
		event("pass", "penstock", "TestAttacks/R-A7_dtd") +
		event("pass", "penstock/ends/far", "")
	if code, out := tr.run(results, "-in", "-"); code != 0 || !strings.Contains(out, fmt.Sprintf("%d of 303", 303-len(reasons))) {
		t.Fatalf("exit %d: %s", code, out)
	}
	for _, line := range []string{
		"| C21 | leaves at most a window of messages unanswered on a connection | `ends/far TestWindow/C21_C22_full`<br>`wire TestC21_x` |",
		"| C22 | acks although the window is full | `ends/far TestWindow/C21_C22_full`<br>`wire TestC22_x` |",
		`| C23 | frees a slot for an answer, and for nothing else | ` + "`ends/far TestWindow/a\\|b/C23_odd\\|name`<br>`wire TestC23_x` |",
		"| C24 | pairs answers with messages by id, in any order | `wire TestC24_x` |",
		"| R-A7 | `. TestAttacks/R-A7_dtd` |\n| R-A10 | `. TestR_A10_dtd` |",
		"| S72 | serves fcmxmppserverv2 on Smack 4.3.4 from login to draining | no test: the interop run",
	} {
		if !strings.Contains(tr.page(), line) {
			t.Errorf("the page has no line %s", line)
		}
	}
	if got := len(parsePage([]byte(tr.page()))); got != len(items)+2 {
		t.Errorf("the page has %d rows; want one for each of %d items and two faults", got, len(items))
	}
	if code, out := tr.run(results, "-in", "-", "-check"); code != 0 || out != "" {
		t.Errorf("-check on a fresh page: exit %d: %s", code, out)
	}
}

func TestCheckNamesTheDifference(t *testing.T) {
	cases := map[string]struct{ before, after, want string }{
		"a test more":         {all(), all() + event("pass", "penstock/b", "TestC7_new"), "C7:\n\tthe page says  `wire TestC7_x`\n\tthe tests say  `b TestC7_new`<br>`wire TestC7_x`\n"},
		"a test renamed":      {all(), all("C7") + event("pass", "penstock/wire", "TestC7_y"), "C7:\n\tthe page says  `wire TestC7_x`\n\tthe tests say  `wire TestC7_y`\n"},
		"an attack gone":      {all() + event("pass", "penstock/b", "TestR_A7_x"), all(), "R-A7:\n\tthe page says  `b TestR_A7_x`\n\tthe tests say  nothing\n"},
		"an attack more":      {all(), all() + event("pass", "penstock/b", "TestR_A7_x"), "R-A7:\n\tthe page says  nothing\n"},
		"a reason superseded": {all(), all() + event("pass", "penstock/b", "TestS72_x"), "S72:\n\tthe page says  no test: the interop run"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			if code, out := tr.run(c.before, "-in", "-"); code != 0 {
				t.Fatal(out)
			}
			before := tr.page()
			code, out := tr.run(c.after, "-in", "-", "-check")
			if code != 1 || !strings.Contains(out, c.want) || !strings.Contains(out, "run: go run ./internal/conformance") {
				t.Errorf("exit %d: %s\nwant 1 and %s", code, out, c.want)
			}
			if tr.page() != before {
				t.Error("-check wrote the page")
			}
		})
	}
	t.Run("other words", func(t *testing.T) {
		tr := newTree(t)
		tr.run(all(), "-in", "-")
		tr.write(pagePath, "hello\n"+tr.page())
		if code, out := tr.run(all(), "-in", "-", "-check"); code != 1 || !strings.Contains(out, "other words") {
			t.Errorf("exit %d: %s", code, out)
		}
	})
	t.Run("no page", func(t *testing.T) {
		if code, out := newTree(t).run(all(), "-in", "-", "-check"); code != 1 || !strings.Contains(out, "conformance.md") {
			t.Errorf("exit %d: %s", code, out)
		}
	})
}

func TestNoPageIsMade(t *testing.T) {
	cases := map[string]struct {
		results string
		args    []string
		code    int
		want    string
	}{
		"from an item without test and reason": {all("C5", "S9"), nil, 1, "2 items have neither a test nor a reason (internal/conformance/items.go): C5 S9"},
		"from a failed test":                   {all() + event("fail", "penstock/b", "TestSome"), nil, 1, "1 tests failed, no page is made from that:\n\tpenstock/b TestSome"},
		"from a package that does not build":   {all() + event("fail", "penstock/b", ""), nil, 1, "\n\tpenstock/b\n"},
		"from an item that there is not":       {all() + event("pass", "penstock/b", "TestC55_x"), nil, 1, "b TestC55_x: there is no item C55"},
		"from a foreign package":               {event("pass", "other/b", "TestC5_x"), nil, 1, "no module of this repository"},
		"from words":                           {"ok  penstock/b 0.1s\n", nil, 1, "not the output of go test -json"},
		"from nothing":                         {"", nil, 1, "no output of go test -json"},
		"for wrong flags":                      {all(), []string{"-no-such"}, 2, "no-such"},
		"for stray arguments":                  {all(), []string{"stray"}, 2, "stray"},
		"from a file that is not there":        {all(), []string{"-extra", "/nowhere/x.json"}, 1, "/nowhere/x.json"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			if code, out := tr.run(c.results, append([]string{"-in", "-"}, c.args...)...); code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("exit %d: %s\nwant %d and %q", code, out, c.code, c.want)
			}
			if tr.page() != "" {
				t.Error("a page was written")
			}
		})
	}
}

func TestTheFreshnessTestsOwnFailureIsNoObstacle(t *testing.T) {
	results := all() + event("fail", "penstock/internal/conformance", freshnessTest) + event("fail", "penstock/internal/conformance", "")
	if code, out := newTree(t).run(results, "-in", "-"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	results = all() + event("fail", "penstock/internal/conformance", "TestOther") + event("fail", "penstock/internal/conformance", "")
	if code, out := newTree(t).run(results, "-in", "-"); code != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestModulesOfTheirOwnComeFromExtra(t *testing.T) {
	tr := newTree(t)
	tr.write("test/strangers/go.mod", "module example.org/strangers\n")
	tr.write("extra.json", event("pass", "example.org/strangers/xcs", "TestS75_runs"))
	extra := filepath.Join(tr.root, "extra.json")
	row := "| `test/strangers/xcs TestS75_runs` |"

	if code, out := tr.run(all(), "-in", "-", "-extra", extra); code != 0 || !strings.Contains(tr.page(), row) {
		t.Fatalf("exit %d: %s%s", code, out, tr.page())
	}
	if code, out := tr.run(all(), "-in", "-"); code != 0 || !strings.Contains(tr.page(), row) {
		t.Errorf("without -extra the row went: exit %d: %s", code, out)
	}
	tr.write("extra.json", event("pass", "example.org/strangers/xcs", "TestS74_runs"))
	if code, out := tr.run(all(), "-in", "-", "-extra", extra, "-check"); code != 1 || !strings.Contains(out, "S74:") || !strings.Contains(out, "S75:") {
		t.Errorf("exit %d: %s", code, out)
	}
	tr.write("extra.json", event("fail", "example.org/strangers/xcs", "TestS74_runs"))
	if code, out := tr.run(all(), "-in", "-", "-extra", extra); code != 1 || !strings.Contains(out, "TestS74_runs") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestStalenessIsSeenInTheSources(t *testing.T) {
	tr := newTree(t)
	tr.write("wire/wire_test.go", source())
	if code, out := tr.run(all(), "-in", "-"); code != 0 {
		t.Fatal(out)
	}
	if diffs := tr.stale(); len(diffs) > 0 {
		t.Fatalf("fresh page: %v", diffs)
	}

	tr.write("ends/ends_test.go", "package ends\n\nfunc TestC7_more() {}\n")
	tr.write("ends/testdata/x_test.go", "package ends\n\nfunc TestC8_more() {}\n")
	tr.write("ends/slow_test.go", "//go:build never\n\npackage ends\n\nfunc TestC8_more() {}\n")
	if diffs := fmt.Sprint(tr.stale()); diffs != "[C7: ends/ends_test.go:3 has a test, the page has none of ends]" {
		t.Errorf("a new test: %s", diffs)
	}
	os.RemoveAll(filepath.Join(tr.root, "ends"))

	tr.write("wire/wire_test.go", source("C9"))
	if diffs := fmt.Sprint(tr.stale()); diffs != "[C9: the page has a test of wire, which is in no test file there]" {
		t.Errorf("a test gone: %s", diffs)
	}
	tr.write("wire/wire_test.go", source())

	tr.write("test/strangers/go.mod", "module example.org/strangers\n")
	tr.write("test/strangers/s_test.go", "//go:build interop\n\npackage s\n\nfunc TestS75_runs() {}\n")
	if diffs := fmt.Sprint(tr.stale()); diffs != "[S75: test/strangers/s_test.go:5 has a test, the page has none of test/strangers]" {
		t.Errorf("a new test in a module of its own: %s", diffs)
	}
}

func TestWhereSourcesNameItems(t *testing.T) {
	// One string, so that this file names none of these itself.
	const text = `package x
//conformance:C1 C2
// A comment on C40 and "C41 x" tells nothing.
func TestC3_C4_x(t *testing.T) {
	t.Run("C5 x", f)
	t.Run("C6_x"+name, f)
	t.Run(fmt.Sprintf("C7 %d", n), f)
	bubble(t, "C8 x", func(t *testing.T) {})
	t.Error("C42 is wrong")
	want("C43 x")
}
func FuzzC9_x(f *testing.F) {}
func Example_c44() {}
func helperC45_x() {}
func (s suite) TestC46_x() {}
var table = []struct{ name, text string }{
	{name: "C10 x", text: "C47 x"},
	{"C11 x", "C48 x"},
}
var byName = map[string]func(){"C12 x": nil, ("S1_x"): nil}
var list = []string{"S2 x", "R-A7 x", "S3" + " x", "S4 " + x}
`
	tree, err := parser.ParseFile(token.NewFileSet(), "x_test.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	readFile(tree, func(_ token.Pos, ids []string) {
		for _, id := range ids {
			found[id] = true
		}
	})
	got := slices.Sorted(maps.Keys(found))
	want := strings.Fields("C1 C10 C11 C12 C2 C3 C4 C5 C6 C7 C8 C9 R-A7 S1 S2 S4")
	if !slices.Equal(got, want) {
		t.Errorf("found %v\nwant  %v", got, want)
	}
}

func TestOutsideTheRepositoryItSaysSo(t *testing.T) {
	var out bytes.Buffer
	if code := run([]string{"-dir", t.TempDir(), "-in", "-"}, strings.NewReader(all()), &out, &out); code != 1 || !strings.Contains(out.String(), "not inside the repository") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
