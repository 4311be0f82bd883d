package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const pageHead = "# Conformance\n\n" +
	"<!-- made by go run ./internal/conformance: do not edit -->\n\n" +
	"Which test shows that which requirement of the wire is met. Only tests that\n" +
	"passed are here. `go run ./internal/conformance` makes this page, and a test\n" +
	"fails when it is stale.\n"

var sections = []struct {
	kind  *regexp.Regexp
	title string
}{
	{regexp.MustCompile(`^C\d`), "The app server's end"},
	{regexp.MustCompile(`^S\d`), "The connection server's end"},
	{regexp.MustCompile(`^S-`), "The sender of HTTP v1"},
	{regexp.MustCompile(`^T-`), "The translator"},
	{regexp.MustCompile(`^M-`), "The simulator's HTTP faces"},
	{regexp.MustCompile(`^F-`), "The HTTP fronts"},
}

// writePage fails if an item has neither a test nor a reason.
func writePage(found coverage) ([]byte, error) {
	var page bytes.Buffer
	page.WriteString(pageHead)
	fmt.Fprintf(&page, "\n%d of %d items have tests.\n", tested(found), len(items))
	var bare []string
	for _, section := range sections {
		fmt.Fprintf(&page, "\n## %s\n\n| item | it | shown by |\n|---|---|---|\n", section.title)
		for _, it := range items {
			if !section.kind.MatchString(it.id) {
				continue
			}
			cell := testsCell(found[it.id])
			if cell == "" && reasons[it.id] != "" {
				cell = "no test: " + reasons[it.id]
			}
			if cell == "" {
				bare = append(bare, it.id)
			}
			fmt.Fprintf(&page, "| %s | %s | %s |\n", it.id, it.asks, cell)
		}
	}
	if len(bare) > 0 {
		return nil, fmt.Errorf("%d items have neither a test nor a reason (internal/conformance/items.go): %s", len(bare), strings.Join(bare, " "))
	}

	var faults []string
	for id := range found {
		if strings.HasPrefix(id, "R-") {
			faults = append(faults, id)
		}
	}
	slices.SortFunc(faults, byNumber)
	if len(faults) > 0 {
		page.WriteString("\n## Faults and attacks\n\n| item | shown by |\n|---|---|\n")
		for _, id := range faults {
			fmt.Fprintf(&page, "| %s | %s |\n", id, testsCell(found[id]))
		}
	}
	return page.Bytes(), nil
}

func tested(found coverage) (n int) {
	for _, it := range items {
		if len(found[it.id]) > 0 {
			n++
		}
	}
	return n
}

// byNumber orders R-A7 before R-A10, and both before R-F1.
func byNumber(a, b string) int {
	number := func(id string) int { n, _ := strconv.Atoi(id[3:]); return n }
	return cmp.Or(cmp.Compare(a[:3], b[:3]), cmp.Compare(number(a), number(b)))
}

func testsCell(tests map[test]bool) string {
	var out []string
	for t := range maps.Keys(tests) {
		name := strings.NewReplacer("|", `\|`, "`", "'").Replace(t.name)
		out = append(out, "`"+t.dir+" "+name+"`")
	}
	slices.Sort(out)
	return strings.Join(out, "<br>")
}

// A row is one item of a page. Its text is the last cell.
type row struct {
	id, text string
	tests    []test
}

var (
	rowLine  = regexp.MustCompile(`^\| ([CS]\d+|[STMF]-\d\d|R-[A-Z]\d+) \|(.*)\|$`)
	testCode = regexp.MustCompile("`([^` ]+) ([^`]+)`")
	cellEnd  = regexp.MustCompile(`(^|[^\\])\| `)
)

func parsePage(page []byte) (rows []row) {
	for line := range strings.Lines(string(page)) {
		m := rowLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			continue
		}
		cells := m[2]
		if !strings.HasPrefix(m[1], "R-") {
			// The phrase in the middle may have code too.
			end := cellEnd.FindStringIndex(cells)
			if end == nil {
				continue
			}
			cells = cells[end[1]:]
		}
		r := row{id: m[1], text: strings.TrimSpace(cells)}
		if !strings.HasPrefix(r.text, "no test: ") {
			for _, code := range testCode.FindAllStringSubmatch(r.text, -1) {
				r.tests = append(r.tests, test{code[1], strings.ReplaceAll(code[2], `\|`, "|")})
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// compare reports whether the page is what it should be, and says what is not.
func compare(old, fresh []byte, out io.Writer) bool {
	if bytes.Equal(old, fresh) {
		return true
	}
	was, is := map[string]string{}, map[string]string{}
	for _, r := range parsePage(old) {
		was[r.id] = r.text
	}
	named := false
	say := func(id, was, is string) {
		named = true
		fmt.Fprintf(out, "%s:\n\tthe page says  %s\n\tthe tests say  %s\n", id, cmp.Or(was, "nothing"), cmp.Or(is, "nothing"))
	}
	for _, r := range parsePage(fresh) {
		is[r.id] = r.text
		if was[r.id] != r.text {
			say(r.id, was[r.id], r.text)
		}
	}
	for _, r := range parsePage(old) {
		if _, ok := is[r.id]; !ok {
			say(r.id, r.text, "")
		}
	}
	if !named {
		fmt.Fprintln(out, "the tests are the same, but other words of the page differ")
	}
	fmt.Fprintf(out, "%s is stale; run: go run ./internal/conformance\n", pagePath)
	return false
}
