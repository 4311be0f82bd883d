// Package docs_test keeps the documentation's references whole: from the
// comments of the code, and between the pages.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = ".."

// A place is a line of a file, for the reader of a failure.
type place struct {
	file string
	text string
}

// files are the repository's files with that ending, those of test data left out.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "testdata", "node_modules", "vendor":
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ending) {
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// comments are the comments of all Go files, each on one line: a reference may
// be broken over two.
func comments(t *testing.T) []place {
	t.Helper()
	var list []place
	for _, name := range files(t, ".go") {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			list = append(list, place{name, strings.Join(strings.Fields(group.Text()), " ")})
		}
	}
	return list
}

var heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)

// headings are the headings of a page, without its code.
func headings(t *testing.T, page string) map[string]bool {
	t.Helper()
	set := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(withoutCode(readFile(t, page)), -1) {
		set[m[1]] = true
	}
	return set
}

var fence = regexp.MustCompile("(?ms)^```.*?^```")

func withoutCode(page string) string { return fence.ReplaceAllString(page, "") }

// reference is a page, and what stands behind a comma: perhaps a heading, such
// as HTTP/2.
var reference = regexp.MustCompile(`docs/([A-Za-z0-9/_-]+\.md)(?:, ([A-Z][A-Za-z0-9/ ]*))?`)

func TestCommentsReferToHeadingsThatExist(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, c := range comments(t) {
		for _, m := range reference.FindAllStringSubmatch(c.text, -1) {
			page, words := filepath.Join(root, "docs", m[1]), m[2]
			if _, err := os.Stat(page); err != nil {
				t.Errorf("%s: a comment refers to docs/%s, which does not exist", c.file, m[1])
				continue
			}
			if words == "" {
				continue
			}
			seen++
			if !beginsWithOne(words, headings(t, page)) {
				t.Errorf("%s: docs/%s has no heading with which %q begins", c.file, m[1], words)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d references to headings were found: is the search broken?", seen)
	}
}

// beginsWithOne reports whether words are a heading, with the rest of the
// sentence behind it or not.
func beginsWithOne(words string, headings map[string]bool) bool {
	words = strings.TrimSpace(words)
	for h := range headings {
		if rest, ok := strings.CutPrefix(words, h); ok && (rest == "" || rest[0] == ' ') {
			return true
		}
	}
	return false
}

func TestProtocolHasTheHeadingsThatCodeRefersTo(t *testing.T) {
	t.Parallel()
	have := headings(t, "protocol.md")
	for _, h := range []string{
		"Endpoints", "Stream", "SASL", "Bind", "The JSON as XML text", "Keepalive", "End of the stream", "Messages",
		"Upstream", "Message ids", "Flow control", "Limits", "Nack codes", "Errors", "Draining", "Reconnecting", "Doubts",
	} {
		if !have[h] {
			t.Errorf("docs/protocol.md lacks the heading %q", h)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(withoutCode(readFile(t, page)), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if name != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(name))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if anchor != "" && strings.HasSuffix(target, ".md") && !hasAnchor(headings(t, target), anchor) {
				t.Errorf("%s links to %s, and there is no such heading", page, m[1])
			}
		}
	}
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// hasAnchor makes anchors of headings as the usual renderers do.
func hasAnchor(headings map[string]bool, anchor string) bool {
	for h := range headings {
		a := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h), ""), " ", "-")
		if a == anchor {
			return true
		}
	}
	return false
}

var goFence = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// TestSnippetsAreTakenFromExamples keeps the page's Go from rotting: each
// snippet stands, line by line, in an example that runs with the tests.
func TestSnippetsAreTakenFromExamples(t *testing.T) {
	t.Parallel()
	source := trimmed(readFile(t, filepath.Join(root, "ccsclient", "seed_example_test.go")))
	snippets := goFence.FindAllStringSubmatch(readFile(t, "from-fcmxmppserver.md"), -1)
	if len(snippets) < 6 {
		t.Errorf("only %d snippets were found: is the search broken?", len(snippets))
	}
	for _, m := range snippets {
		if !strings.Contains(source, trimmed(m[1])) {
			t.Errorf("this snippet of docs/from-fcmxmppserver.md stands in no example:\n%s", m[1])
		}
	}
}

// trimmed is text without its indentation.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// errorHeading is a heading of docs/troubleshooting.md that quotes an error
// text of ours; an ellipsis stands for what differs each time.
var errorHeading = regexp.MustCompile("(?m)^### `(.+)`$")

// verb is what fmt fills in.
var verb = regexp.MustCompile(`%[-+#0]*[0-9.]*[a-zA-Z]`)

// literals are the string constants of the code, tests apart, with ellipses for
// what fmt fills in.
func literals(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range files(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, err := strconv.Unquote(l.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, verb.ReplaceAllString(text, "…"))
			}
			return true
		})
	}
	return all
}

// TestErrorTextsExist fails when a text that the page explains has changed in
// the code: each piece of it must stand in one string there.
func TestErrorTextsExist(t *testing.T) {
	t.Parallel()
	quoted := errorHeading.FindAllStringSubmatch(readFile(t, "troubleshooting.md"), -1)
	if len(quoted) < 60 {
		t.Errorf("only %d error texts were found: is the search broken?", len(quoted))
	}
	code := literals(t)
	for _, m := range quoted {
		for _, piece := range strings.Split(m[1], "…") {
			if piece = strings.Trim(piece, " :()"); piece == "" {
				continue
			}
			if !slices.ContainsFunc(code, func(text string) bool { return strings.Contains(text, piece) }) {
				t.Errorf("docs/troubleshooting.md explains %q, and no code says %q", m[1], piece)
			}
		}
	}
}

// TestErrorsOfTheClientAreExplained fails when an error of the client's has no
// place on the page.
func TestErrorsOfTheClientAreExplained(t *testing.T) {
	t.Parallel()
	page := readFile(t, "troubleshooting.md")
	seen := 0
	for _, name := range files(t, ".go") {
		if filepath.Dir(name) != filepath.Join(root, "ccsclient") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			l, isText := call.Args[0].(*ast.BasicLit)
			if !ok || !isText || fun.Sel.Name != "New" {
				return true
			}
			text, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if text != "try again" && !strings.Contains(page, "`"+text+"`") { // that one is the program's own
				t.Errorf("docs/troubleshooting.md does not explain %q", text)
			}
			return true
		})
	}
	if seen < 15 {
		t.Errorf("only %d errors were found: is the search broken?", seen)
	}
}
