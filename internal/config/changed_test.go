package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAChangedKeyFileIsSeen(t *testing.T) {
	for name, text := range map[string]string{
		"key":     "{projects: [{name: shop, sender_id: '1', project_id: shop-1, keys: [{name: a, secret_file: key}], transport: {fcm: {credentials_file: sa.json}}}]}",
		"far-key": "{projects: [{name: shop, sender_id: '1', keys: [{name: a, secret_file: key}], transport: {ccs: {endpoint: 'h:1', key_file: far-key}}}]}",
	} {
		t.Run(name, func(t *testing.T) {
			p := write(t, text)
			c := p.good()
			if c.Changed() {
				t.Fatal("nothing has changed yet")
			}
			p.put("sa.json", `{"type":"external_account"}`, 0o600)
			if c.Changed() {
				t.Error("a sender follows its credentials itself")
			}
			path := filepath.Join(p.dir, name)
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if c.Changed() {
				t.Error("a file that is being replaced is a change")
			}
			p.put(name, "psk_another-one-of-another-length", 0o600)
			if !c.Changed() {
				t.Error("a new file is none")
			}
			again, err := c.WithBook(c.Book)
			if err != nil || again.Changed() || !c.Changed() {
				t.Errorf("read again: %v", err)
			}
			p.put(name, "", 0o600)
			if !again.Changed() {
				t.Error("an emptied file is none")
			}
			if broken, err := c.WithBook(c.Book); err == nil || broken.Changed() {
				t.Errorf("an empty key was taken: %v", err)
			}
		})
	}
}

// Whoever writes a file may keep its length, its date or the file itself.
func TestAChangeIsSeenWhateverStaysTheSame(t *testing.T) {
	date := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		change func(p place)
		want   bool
	}{
		{"nothing", func(place) {}, false},
		{"the date alone", func(p place) { p.date("key", date.Add(time.Nanosecond)) }, true},
		{"the length alone", func(p place) { p.put("key", "psk_another-one-of-another-length", 0o600); p.date("key", date) }, true},
		{"another file, of the same length and date", func(p place) {
			p.put("new", "psk_fedcba9876543210\n", 0o600)
			p.date("new", date)
			p.rename("new", "key")
		}, true},
		{"a file that cannot be looked at", func(p place) { p.circle("key") }, true},
		{"the book is gone", func(p place) { p.rename("data/projects.json", "old") }, true},
		{"the book cannot be looked at", func(p place) { p.circle("data/projects.json") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := write(t, shop)
			if err := os.Mkdir(filepath.Join(p.dir, "data"), 0o700); err != nil {
				t.Fatal(err)
			}
			p.put("data/projects.json", "{}", 0o600)
			p.date("key", date)
			c := p.good()
			tt.change(p)
			if c.Changed() != tt.want {
				t.Errorf("changed: %t, want %t", c.Changed(), tt.want)
			}
		})
	}
	t.Run("there was no book", func(t *testing.T) {
		p := write(t, shop)
		if err := os.Mkdir(filepath.Join(p.dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		c := p.good()
		p.circle("data/projects.json")
		if !c.Changed() {
			t.Error("a book that cannot be looked at is none")
		}
		if b, err := c.ReadBook(); err == nil {
			t.Errorf("it was read, and has %d projects", len(b.Projects))
		}
	})
}

func (p place) date(name string, date time.Time) {
	p.t.Helper()
	if err := os.Chtimes(filepath.Join(p.dir, name), date, date); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) rename(from, to string) {
	p.t.Helper()
	if err := os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to)); err != nil {
		p.t.Fatal(err)
	}
}

// circle puts a link to itself in a file's place: nobody can look at that.
func (p place) circle(name string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.RemoveAll(path); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(path), path); err != nil {
		p.t.Fatal(err)
	}
}
