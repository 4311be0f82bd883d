package config_test

import (
	"path/filepath"
	"slices"
	"testing"

	"penstock/internal/config"
)

// A key counts as being there only if it opens the same doors.
func TestHasKeyKnowsAKeyByItsTextAndItsFronts(t *testing.T) {
	const other = "hmac-sha256:ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, tt := range []struct {
		name string
		key  config.Key
		want bool
	}{
		{"the same hash", config.Key{Name: "a", Hash: hash, Fronts: []string{"ccs", "v1"}}, true},
		{"by another name", config.Key{Name: "b", Hash: hash, Fronts: []string{"ccs", "v1"}}, true},
		{"another hash", config.Key{Name: "a", Hash: other, Fronts: []string{"ccs", "v1"}}, false},
		{"for other fronts", config.Key{Name: "a", Hash: hash, Fronts: []string{"v1"}}, false},
		{"for all fronts", config.Key{Name: "a", Hash: hash}, false},
		{"the same text", config.Key{Name: "c", Secret: config.NewSecret("psk_0123456789abcdef")}, true},
		{"another text", config.Key{Name: "c", Secret: config.NewSecret("psk_fedcba9876543210")}, false},
		{"no text, and no hash", config.Key{Name: "a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := config.Project{Keys: []*config.Key{
				{Name: "a", Hash: hash, Fronts: []string{"ccs", "v1"}},
				{Name: "c", Secret: config.NewSecret("psk_0123456789abcdef")},
			}}
			if got := p.HasKey(&tt.key); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// What a broken configuration tells of a key in a file counts for the very key:
// another one in its place, for other fronts say, takes it away and is not there
// before the rest is mended.
func TestKeysLeftAreTheSameKeys(t *testing.T) {
	const other = "hmac-sha256:ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	file := config.Key{Name: "a", Fronts: []string{"v1"}, SecretFile: "key"}
	for _, tt := range []struct {
		name         string
		before, next config.Key
		want         []string
	}{
		{"rotated", file, file, []string{"psk_fedcba9876543210"}},
		{"of another name", file, config.Key{Name: "b", Fronts: []string{"v1"}, SecretFile: "key"}, nil},
		{"for other fronts", file, config.Key{Name: "a", Fronts: []string{"v1", "ccs"}, SecretFile: "key"}, nil},
		{"another file", file, config.Key{Name: "a", Fronts: []string{"v1"}, SecretFile: "far-key"}, nil},
		{"another hash", config.Key{Name: "a", Hash: hash}, config.Key{Name: "a", Hash: other}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := write(t, shop)
			book := func(k config.Key) *config.Book {
				if k.SecretFile != "" {
					k.SecretFile = filepath.Join(p.dir, k.SecretFile)
				}
				news := madeProject("news", "99")
				news.Keys = []*config.Key{&k}
				return &config.Book{Projects: []*config.Project{news}}
			}
			before, err := p.good().WithBook(book(tt.before))
			if err != nil {
				t.Fatal(err)
			}
			p.put("key", "psk_fedcba9876543210", 0o600)
			next, err := before.WithBook(book(tt.next))
			if err != nil {
				t.Fatal(err)
			}
			left := before.WithKeysLeft(next, func(*config.Config) bool { return true })
			var got []string
			for _, k := range left.Book.Project("news").Keys {
				got = append(got, k.Text().Reveal())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("left are %q, want %q", got, tt.want)
			}
		})
	}
}

// A running project goes on only if the new one goes the same way, to the last
// secret; its keys are no part of that.
func TestSameWayIsAllButTheKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *config.Project)
		same   bool
	}{
		{"nothing", func(*config.Project) {}, true},
		{"the keys", func(p *config.Project) { p.Keys = nil }, true},
		{"the sender id", func(p *config.Project) { p.SenderID = "2" }, false},
		{"a quota", func(p *config.Project) { p.Quotas.PerMinute = 1 }, false},
		{"the credentials", func(p *config.Project) { p.Transport.FCM.Credentials = config.NewSecret(`{"type":"b"}`) }, false},
		{"the proxy's password", func(p *config.Project) { p.Transport.FCM.Proxy = config.NewURL("http://user:other@h") }, false},
		{"the far end's key", func(p *config.Project) { p.Transport.CCS.Key = config.NewSecret("other") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			project := func() *config.Project {
				p := madeProject("shop", "1")
				p.Transport.FCM.Credentials = config.NewSecret(`{"type":"a"}`)
				p.Transport.FCM.Proxy = config.NewURL("http://user:password@h")
				p.Transport.HasCCS, p.Transport.CCS.Key = true, config.NewSecret("key")
				return p
			}
			p := project()
			tt.change(p)
			if got := p.SameWay(project()); got != tt.same {
				t.Errorf("got %t", got)
			}
		})
	}
}
