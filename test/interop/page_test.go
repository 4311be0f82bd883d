package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The page shows what the programs did. UPDATE_DOCS=1 writes it.
const (
	begin = "<!-- tables: made by UPDATE_DOCS=1 test/interop/run -->\n"
	end   = "<!-- end of tables -->\n"
)

var pagePath = filepath.Join("..", "..", "docs", "interop.md")

// matrix are the columns of the first table.
var matrix = []string{"login", "1,000 sends", "acks", "upstream", "receipt", "drain", "cut"}

// required are the notes that every program has; it may have more.
var required = []string{
	"login",
	"unknown certificate authority",
	"wrong key",
	"1,000 messages",
	"nack",
	"upstream",
	"receipt",
	"draining announced by control",
	"draining announced by nacks",
	"connection cut",
	"sent while it is away",
}

// Facts are what a program did, in few words for the matrix and at length for
// its own table.
type facts struct {
	program string
	shorts  map[string]string
	notes   []note
}

type note struct{ row, text string }

// pageFacts are those of all programs. Tests do not run at the same time.
var pageFacts []*facts

// programs are those that the page has to show.
var programs = []string{"slixmpp", "node-xcs", "aiofcm", "Smack 4.3", "Smack 4.4"}

func factsOf(program string) *facts {
	f := &facts{program: program, shorts: map[string]string{}}
	pageFacts = append(pageFacts, f)
	return f
}

func (f *facts) short(column, text string) { f.shorts[column] = text }
func (f *facts) note(row, text string)     { f.notes = append(f.notes, note{row, text}) }

// noted reports whether there is a note.
func (f *facts) noted(row string) bool {
	return slices.ContainsFunc(f.notes, func(n note) bool { return n.row == row })
}

// legacyPrograms are the senders of legacy HTTP that the page has to show.
var legacyPrograms = []string{"gorush", "node-gcm", "fcm-push", "pyfcm", "python-gcm", "gcm-server", "gcm-server of 2012", "go-fcm"}

// writeLegacy writes the table of the senders of legacy HTTP.
func writeLegacy(t *testing.T, b *strings.Builder) {
	b.WriteString("\n## Senders of legacy HTTP\n\n" +
		"| | posts to | says of a dead, a foreign and a malformed token | wrong key | a 503 | one of many `Unavailable` |\n" +
		"|---|---|---|---|---|---|\n")
	var shown []string
	for _, r := range legacyRows {
		shown = append(shown, r.name)
		b.WriteString("| **" + r.name + "**")
		for _, cell := range []string{r.posts, r.words, r.key, r.retry, r.one} {
			if cell == "" {
				t.Errorf("%s: something is not known; was its test run?", r.name)
			}
			b.WriteString(" | " + cell)
		}
		b.WriteString(" |\n")
	}
	if !slices.Equal(shown, legacyPrograms) {
		t.Errorf("the page would show %v; want %v", shown, legacyPrograms)
	}
}

// TestThePageTellsWhatHappened runs after all others.
func TestThePageTellsWhatHappened(t *testing.T) {
	var b strings.Builder
	b.WriteString("| | " + strings.Join(matrix, " | ") + " |\n|---|" + strings.Repeat("---|", len(matrix)) + "\n")
	var shown []string
	for _, f := range pageFacts {
		shown = append(shown, f.program)
		b.WriteString("| **" + f.program + "**")
		for _, c := range matrix {
			if f.shorts[c] == "" {
				t.Errorf("%s: nothing is known of %q; was its test run?", f.program, c)
			}
			b.WriteString(" | " + f.shorts[c])
		}
		b.WriteString(" |\n")
	}
	if !slices.Equal(shown, programs) {
		t.Errorf("the page would show %v; want %v", shown, programs)
	}
	for _, f := range pageFacts {
		b.WriteString("\n## " + f.program + "\n\n| | |\n|---|---|\n")
		for _, n := range f.notes {
			b.WriteString("| " + n.row + " | " + n.text + " |\n")
		}
		for _, row := range required {
			if !f.noted(row) {
				t.Errorf("%s: nothing is known of %q; was its test run?", f.program, row)
			}
		}
	}
	writeLegacy(t, &b)
	if t.Failed() {
		return
	}
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(page), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	switch {
	case !ok1 || !ok2:
		t.Fatalf("docs/interop.md lacks the marks of its tables")
	case strings.TrimSpace(table) == strings.TrimSpace(b.String()):
	case os.Getenv("UPDATE_DOCS") != "":
		if err := os.WriteFile(pagePath, []byte(head+begin+"\n"+b.String()+"\n"+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/interop.md is not what happened; run UPDATE_DOCS=1 test/interop/run. It would be:\n%s", b.String())
	}
}
