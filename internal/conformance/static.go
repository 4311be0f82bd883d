package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// A claim is as much as the source tells: some test in dir shows the item.
type claim struct{ dir, id string }

// readClaims reads the tests below root without running them. The value says
// where a claim was found.
func readClaims(root string, modules modules) (map[claim]string, error) {
	claims := map[claim]string{}
	err := walk(root, func(rel string) error {
		if !strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		dir, base := path.Split(rel)
		dir = path.Clean(dir)
		file := filepath.Join(root, filepath.FromSlash(rel))
		// In the main module only what plain `go test` compiles counts.
		if ok, err := build.Default.MatchFile(filepath.Dir(file), base); err != nil || !ok && !modules.nested(dir) {
			return err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		readFile(tree, func(pos token.Pos, ids []string) {
			for _, id := range ids {
				c := claim{dir, id}
				if claims[c] == "" {
					claims[c] = rel + ":" + strconv.Itoa(fset.Position(pos).Line)
				}
			}
		})
		return nil
	})
	return claims, err
}

// readFile calls found for each place of a test file that names items.
func readFile(file *ast.File, found func(token.Pos, []string)) {
	literal := func(e ast.Expr) {
		if text, ok := leftmost(e); ok {
			found(e.Pos(), itemsOf(text))
		}
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if text, ok := strings.CutPrefix(comment.Text, "//conformance:"); ok {
				found(comment.Pos(), itemsOf(strings.TrimSpace(text)+" "))
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && testPrefix.MatchString(n.Name.Name) {
				found(n.Pos(), itemsOf(testPrefix.ReplaceAllString(n.Name.Name, "")))
			}
		case *ast.CallExpr: // t.Run("C21 …", f), bubble(t, "C21 …", func…)
			method, _ := n.Fun.(*ast.SelectorExpr)
			if method != nil && method.Sel.Name == "Run" && len(n.Args) > 0 {
				literal(n.Args[0])
				break
			}
			if len(n.Args) > 1 {
				if _, body := n.Args[len(n.Args)-1].(*ast.FuncLit); body {
					for _, arg := range n.Args[:len(n.Args)-1] {
						literal(arg)
					}
				}
			}
		case *ast.CompositeLit:
			_, list := n.Type.(*ast.ArrayType)
			for i, element := range n.Elts {
				pair, keyed := element.(*ast.KeyValueExpr)
				if !keyed {
					if i == 0 || list { // {"C21 …", …}, []string{"C21 …", "C22 …"}
						literal(element)
					}
					continue
				}
				if field, ok := pair.Key.(*ast.Ident); !ok {
					literal(pair.Key) // map[string]…{"C21 …": …}
				} else if strings.EqualFold(field.Name, "name") {
					literal(pair.Value) // {name: "C21 …", …}
				}
			}
		}
		return true
	})
}

// leftmost returns what a string expression begins with: of "C21 " + name and
// fmt.Sprintf("C21 %s", name), the literal.
func leftmost(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		return leftmost(e.X)
	case *ast.ParenExpr:
		return leftmost(e.X)
	case *ast.CallExpr:
		if method, ok := e.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return leftmost(e.Args[0])
		}
	}
	return "", false
}

// staleness returns what differs between the claims and a page.
func staleness(claims map[claim]string, page []byte) (diffs []string) {
	shown := map[claim]bool{}
	for _, r := range parsePage(page) {
		for _, t := range r.tests {
			shown[claim{t.dir, r.id}] = true
		}
	}
	for c, where := range claims {
		if !shown[c] {
			diffs = append(diffs, c.id+": "+where+" has a test, the page has none of "+c.dir)
		}
	}
	for c := range shown {
		if claims[c] == "" {
			diffs = append(diffs, c.id+": the page has a test of "+c.dir+", which is in no test file there")
		}
	}
	return diffs
}
