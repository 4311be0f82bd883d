package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/keys"
)

// list names what a directory holds, with modes.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, e.Name(), info.Mode(), info.Size(), info.ModTime())
	}
	return b.String()
}

// Whatever keeps a server from starting, a check says before, and makes nothing.
func TestCheckFindsWhatAServerWouldNotStartWith(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	const at = "penstock.yaml:"
	for _, tt := range []struct {
		name     string
		projects string // more than the first one
		spoil    func(dir string) error
		want     string // empty: nothing is wrong
	}{
		{"nothing is there", "", func(dir string) error { return os.RemoveAll(dir) }, ""},
		{"all is well", "", func(string) error { return nil }, ""},
		{"one key in two projects", "  - {name: other, sender_id: 2, keys: [{name: b, secret: psk_0123456789abcdef}], transport: {fcm: {application_default: true}}}\n",
			func(string) error { return nil }, "key b of project other (DIR/" + at + "7) is the same as key a of project shop (DIR/" + at + "6)"},
		{"one key twice in a project", "", func(string) error { return nil }, ""},
		{"a secret for all", "", func(dir string) error { return os.Chmod(filepath.Join(dir, "keys.secret"), 0o644) }, "chmod 600 DIR/data/keys.secret"},
		{"a secret that is none", "", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "keys.secret"), []byte("rubbish"), 0o600)
		}, "DIR/data/keys.secret: keys: the secret is not 64 hexadecimal digits"},
		{"a CA's key for all", "", func(dir string) error { return os.Chmod(filepath.Join(dir, "ca-key.pem"), 0o644) }, "chmod 600 DIR/data/ca-key.pem"},
		{"a CA that is none", "", func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("rubbish"), 0o600) }, "DIR/data/ca.pem cannot be used"},
		{"a server's key that is none", "", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "server-key.pem"), []byte("rubbish"), 0o600)
		}, "DIR/data/server-key.pem cannot be used"},
		{"a hash without its secret", "", func(dir string) error {
			return errors.Join(hashed(dir, keys.NewSecret().ID()), os.Remove(filepath.Join(dir, "keys.secret")))
		}, "DIR/data/keys.secret is missing, and without it no key works that was hashed with it (key default of project made)"},
		{"a hash of another secret", "", func(dir string) error { return hashed(dir, keys.NewSecret().ID()) },
			"key default of project made (DIR/data/projects.json:7): it was hashed with another secret ("},
		{"a hash of nobody knows which", "", func(dir string) error { return hashed(dir, "") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "penstock.yaml")
			text := "ccs: {listen: [\"127.0.0.1:0\"]}\nhttp: {listen: []}\nadmin: {listen: \"\"}\ndata_dir: data\nprojects:\n" +
				"  - {name: shop, sender_id: 1, keys: [{name: a, secret: psk_0123456789abcdef}, {name: c, secret: psk_0123456789abcdef}], transport: {ccs: {endpoint: \"" + sim.Addr() + "\", key: k}}}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			load := func() *config.Config {
				t.Helper()
				cfg, err := config.Load(config.Sources{File: file, Environ: []string{}})
				if err != nil {
					t.Fatal(err)
				}
				return cfg
			}
			if _, err := app.New(load(), app.Options{}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text+tt.projects), 0o600); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(dir, "data")
			if err := tt.spoil(data); err != nil {
				t.Fatal(err)
			}
			cfg := load()
			before := list(t, data)
			problems := app.Check(cfg)
			if after := list(t, data); after != before {
				t.Errorf("it has changed something: %s", after)
			}
			_, err := app.New(cfg, app.Options{})
			if tt.want == "" {
				if len(problems) > 0 || err != nil {
					t.Errorf("got %q, %v", problems, err)
				}
				return
			}
			if got := strings.ReplaceAll(problems.Error(), dir, "DIR"); len(problems) != 1 || !strings.Contains(got, tt.want) {
				t.Errorf("check says %q", got)
			}
			if _, is := errors.AsType[*app.ConfigError](err); !is || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), tt.want) {
				t.Errorf("a server says %v", err)
			}
		})
	}
}

// hashed puts a project into the book whose key was hashed with the secret of that
// id.
func hashed(dir, id string) error {
	p := config.NewProject("made")
	p.Keys = []*config.Key{{Name: "default", Hash: "hmac-sha256:" + strings.Repeat("0", 64), SecretID: id}}
	p.SenderID, p.Transport.HasFCM, p.Transport.FCM.ApplicationDefault = "3", true, true
	return (&config.Book{Projects: []*config.Project{p}}).Write(dir)
}
