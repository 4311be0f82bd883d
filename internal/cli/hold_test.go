package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// contents are all files below a directory, with what is in them and when they
// were written.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano())
		if !e.IsDir() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] += string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// takes is how long a command takes that should end by itself; what does not is
// ended after 20 s.
func takes(t *testing.T, args ...string) (result, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := command(t, nil, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	return result{exitCode(t, err), out.String(), errOut.String()}, time.Since(began)
}

// free are flags of serve for free ports on loopback.
var free = []string{"--ccs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}

func TestR_F42_SecondServerOnADataDirectoryEndsAtOnceAndChangesNothing(t *testing.T) {
	t.Parallel()
	serve := append([]string{"serve", "--json"}, free...)
	servers := map[string][]string{
		"serve":       serve,
		"serve --sim": append([]string{"serve", "--sim", "--json"}, free...),
		"sim":         {"sim", "--json", "--ccs-listen", "127.0.0.1:0"},
	}
	_, any := takes(t, "version")
	for name, first := range servers {
		t.Run("beside "+name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			p := start(t, append(first, "--data-dir", dir)...)
			p.line()
			// What a server would make anew if it were not refused before.
			for _, made := range []string{"ca.pem", "keys.secret", "sim.json"} {
				if err := os.Rename(filepath.Join(dir, made), filepath.Join(t.TempDir(), made)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			before := contents(t, dir)
			for second, args := range servers {
				r, took := takes(t, append(args, "--data-dir", dir)...)
				if r.code != 1 || r.out != "" {
					t.Errorf("%s beside it: exit %d\n%s%s", second, r.code, r.out, r.errOut)
				}
				r.wantErr(t, fmt.Sprintf("another Penstock (process %d) serves from the data directory %s: ", p.cmd.Process.Pid, dir))
				if took > any+time.Second {
					t.Errorf("%s took %v to be refused, and a command that does nothing %v", second, took, any)
				}
			}
			after := contents(t, dir)
			if fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("the directory was\n%q\nand is\n%q", before, after)
			}
			// A killed process holds nothing.
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = p.cmd.Wait() // killed
			next := start(t, append(first, "--data-dir", dir)...)
			next.line()
			next.terminate().want(t, 0)
			// Nor does one that has ended in order.
			last := start(t, append(first, "--data-dir", dir)...)
			last.line()
			last.terminate().want(t, 0)
		})
	}
}

func TestCommandsWorkBesideAServerOfTheSameDataDirectory(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, append([]string{"serve", "--json", "--data-dir", dir}, free...)...)
	p.line()
	addProject(t, dir, "shop", "123", "--project-id", "my-shop-1")
	run("project", "key", "shop", "--data-dir", dir).want(t, 0)
	run("project", "key", "shop", "--revoke", "default", "--data-dir", dir).want(t, 0)
	if list := listProjects(t, dir); len(list) != 1 || len(list[0].Keys) != 1 {
		t.Errorf("got %+v", list)
	}
	run("config", "check", "--data-dir", dir).want(t, 0)
	if r := run("ca", "--data-dir", dir); r.code != 0 || !strings.Contains(r.out, "CERTIFICATE") {
		t.Errorf("got %+v", r)
	}
	p.terminate().want(t, 0)
}
