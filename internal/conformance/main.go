package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const pagePath = "docs/conformance.md"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns 0 when the page was written or is as it should be, 1 when it is
// not or tests failed, 2 for wrong use.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	in := flags.String("in", "", "read the output of go test -json from this `file`, - for stdin, instead of running the tests")
	extra := flags.String("extra", "", "add the go test -json output in this `file`, of modules of their own")
	check := flags.Bool("check", false, "write nothing; exit 1 if the page differs")
	dir := flags.String("dir", ".", "a `directory` in the repository")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if err == nil {
			fmt.Fprintln(stderr, "conformance: unexpected arguments:", strings.Join(flags.Args(), " "))
		}
		return 2
	}
	same, err := generate(*dir, *in, *extra, *check, stdin, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "conformance:", err)
		return 1
	case !same:
		return 1
	}
	return 0
}

func generate(dir, in, extra string, check bool, stdin io.Reader, stdout, stderr io.Writer) (same bool, err error) {
	root, err := findRoot(dir)
	if err != nil {
		return false, err
	}
	modules, err := findModules(root)
	if err != nil {
		return false, err
	}
	tests, err := results(root, in, stdin, stderr)
	if err != nil {
		return false, err
	}
	found, err := collect(tests, modules)
	if err != nil {
		return false, err
	}
	file := filepath.Join(root, filepath.FromSlash(pagePath))
	old, err := os.ReadFile(file)
	if err != nil && (check || !errors.Is(err, os.ErrNotExist)) {
		return false, err
	}
	if extra == "" {
		for _, row := range parsePage(old) {
			for _, t := range row.tests {
				if modules.nested(t.dir) {
					found.add(row.id, t)
				}
			}
		}
	} else {
		text, err := os.ReadFile(extra)
		if err != nil {
			return false, err
		}
		more, err := collect(text, modules)
		if err != nil {
			return false, fmt.Errorf("%s: %w", extra, err)
		}
		for id, tests := range more {
			for t := range tests {
				found.add(id, t)
			}
		}
	}
	page, err := writePage(found)
	if err != nil {
		return false, err
	}
	if check {
		return compare(old, page, stdout), nil
	}
	if err := os.WriteFile(file, page, 0o644); err != nil {
		return false, err
	}
	fmt.Fprintf(stdout, "%s: %d of %d items have tests\n", pagePath, tested(found), len(items))
	return true, nil
}

// results returns the output of go test -json.
func results(root, in string, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	switch in {
	case "":
		// The one test that asks for this very run must not stop it.
		cmd := exec.Command("go", "test", "-json", "-skip", "^"+freshnessTest+"$", "./...")
		cmd.Dir = root
		cmd.Stderr = stderr
		var out bytes.Buffer
		cmd.Stdout = &out
		err := cmd.Run()
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			err = nil // collect names what failed
		}
		return out.Bytes(), err
	case "-":
		return io.ReadAll(stdin)
	default:
		return os.ReadFile(in)
	}
}

// findRoot returns the directory, at or above dir, of the module penstock.
func findRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && modulePath(text) == mainModule {
			return at, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", fmt.Errorf("%s is not inside the repository: no go.mod of module %s above it", dir, mainModule)
		}
		at = up
	}
}
