package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page shows in a table what the programs did. UPDATE_DOCS=1 writes it.
const (
	begin = "<!-- table: made by UPDATE_DOCS=1 test/interop/run -->\n"
	end   = "<!-- end of table -->\n"
)

var pagePath = filepath.Join("..", "..", "docs", "interop.md")

var rows = []string{
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

// columns are the facts, by program. Tests do not run at the same time.
var columns = map[string]map[string]string{}

func column(program string) map[string]string {
	columns[program] = map[string]string{}
	return columns[program]
}

// TestThePageTellsWhatHappened runs after all others.
func TestThePageTellsWhatHappened(t *testing.T) {
	programs := []string{"slixmpp", "node-xcs"}
	var b strings.Builder
	b.WriteString("| | " + strings.Join(programs, " | ") + " |\n|---|" + strings.Repeat("---|", len(programs)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + row)
		for _, program := range programs {
			fact := columns[program][row]
			if fact == "" {
				t.Errorf("%s: nothing is known of %q; was its test run?", program, row)
			}
			b.WriteString(" | " + fact)
		}
		b.WriteString(" |\n")
	}
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
		t.Fatalf("docs/interop.md lacks the marks of its table")
	case strings.TrimSpace(table) == strings.TrimSpace(b.String()):
	case os.Getenv("UPDATE_DOCS") != "":
		if err := os.WriteFile(pagePath, []byte(head+begin+"\n"+b.String()+"\n"+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/interop.md is not what happened; run UPDATE_DOCS=1 test/interop/run. It would be:\n%s", b.String())
	}
}
