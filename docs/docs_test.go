// Package docs_test keeps the documentation's references whole: from the
// comments of the code, and between the pages.
package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

// reference is a page, and what stands behind a comma: perhaps a heading.
var reference = regexp.MustCompile(`docs/([A-Za-z0-9/_-]+\.md)(?:, ([A-Z][A-Za-z ]*))?`)

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
