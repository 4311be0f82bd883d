package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	attackRow    = regexp.MustCompile(`(?m)^\| (A\d+) \|.*\| ([^|]*) \|$`)
	testOnPage   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	attackNumber = regexp.MustCompile(`R_(A\d+)_`)
)

func TestThePageOfAttacksIsWhatIsTested(t *testing.T) {
	page := readFile(t, "attacks.md")
	told := map[string][]string{} // number → tests
	for _, row := range attackRow.FindAllStringSubmatch(page, -1) {
		for _, name := range testOnPage.FindAllStringSubmatch(row[2], -1) {
			told[row[1]] = append(told[row[1]], name[1])
		}
	}
	tested := map[string][]string{}
	var files []string
	for _, room := range []string{"ccsserver", "internal/front", "internal/linger"} {
		found, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			for _, m := range attackNumber.FindAllStringSubmatch(f.Name.Name, -1) {
				tested[m[1]] = append(tested[m[1]], f.Name.Name)
			}
		}
	}
	for i := 1; i <= 37; i++ {
		number := fmt.Sprint("A", i)
		if len(told[number]) == 0 {
			t.Errorf("docs/attacks.md names no test of %s", number)
		}
		if slices.Sort(told[number]); !slices.Equal(told[number], slices.Sorted(slices.Values(tested[number]))) {
			t.Errorf("%s: docs/attacks.md names %v, the tests are %v", number, told[number], tested[number])
		}
		delete(told, number)
		delete(tested, number)
	}
	if len(told)+len(tested) > 0 {
		t.Errorf("there are attacks that have no number up to 37: %v, %v", told, tested)
	}
}
