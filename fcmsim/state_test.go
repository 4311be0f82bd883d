package fcmsim_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"penstock/fcmsim"
)

// identity is what a directory must give again.
func identity(s *fcmsim.Sim) []any {
	return []any{s.SenderID(), s.ServerKey(), s.Tokens(), s.DeadTokens(), s.ForeignTokens(), s.CAFile()}
}

func TestDir(t *testing.T) {
	open := func(t *testing.T, opt fcmsim.Options) *fcmsim.Sim {
		t.Helper()
		s, err := fcmsim.New(&opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("the same directory gives the same identity", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "made", "here")
		first := open(t, fcmsim.Options{Dir: dir})
		ca, err := os.ReadFile(first.CAFile())
		if err != nil {
			t.Fatal(err)
		}
		again := open(t, fcmsim.Options{Dir: dir})
		if !reflect.DeepEqual(identity(first), identity(again)) {
			t.Errorf("got  %v\nwant %v", identity(again), identity(first))
		}
		if now, err := os.ReadFile(again.CAFile()); err != nil || string(now) != string(ca) {
			t.Errorf("another CA, %v", err)
		}
		info, err := os.Stat(filepath.Join(dir, "sim.json"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("sim.json: %v, %v", info, err)
		}
		if other := open(t, fcmsim.Options{Dir: t.TempDir()}); reflect.DeepEqual(identity(first)[:2], identity(other)[:2]) {
			t.Error("another directory has the same identity")
		}
	})
	t.Run("more tokens are added to those it has", func(t *testing.T) {
		dir := t.TempDir()
		first := open(t, fcmsim.Options{Dir: dir, LiveDevices: 3})
		more := open(t, fcmsim.Options{Dir: dir, LiveDevices: 5, ServerKey: "mine", SenderID: "77"})
		if len(more.Tokens()) != 5 || !reflect.DeepEqual(more.Tokens()[:3], first.Tokens()) {
			t.Errorf("got %d tokens", len(more.Tokens()))
		}
		again := open(t, fcmsim.Options{Dir: dir, LiveDevices: 1})
		if again.ServerKey() != "mine" || again.SenderID() != "77" || len(again.Tokens()) != 5 {
			t.Error("what was given was not kept")
		}
	})
	t.Run("a damaged file is named", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "sim.json")
		for _, text := range []string{"{", `{"tokens":["/topics/x"]}`, `{"tokens":["a","a"]}`} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := fcmsim.New(&fcmsim.Options{Dir: dir}); err == nil {
				t.Errorf("%s was taken", text)
			} else if text == "{" && !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
		}
		if _, err := fcmsim.New(&fcmsim.Options{Dir: path}); err == nil {
			t.Error("a file was taken for a directory")
		}
	})
	t.Run("the file has what it should", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, fcmsim.Options{Dir: dir})
		text, err := os.ReadFile(filepath.Join(dir, "sim.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got["server_key"] != s.ServerKey() || len(got["tokens"].([]any)) != 10 {
			t.Errorf("got %v", got)
		}
	})
}
