package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

// made is a project as a command makes it: its key is there as a hash.
func made(t *testing.T, cfg *config.Config, key string, p *config.Project) *config.Project {
	t.Helper()
	p.Keys = []*config.Key{madeKey(t, cfg, "default", key)}
	return p
}

func madeKey(t *testing.T, cfg *config.Config, name, key string) *config.Key {
	t.Helper()
	secret, err := app.KeySecret(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := secret.Hash(key).MarshalText()
	return &config.Key{Name: name, Hash: string(hash), SecretID: secret.ID()}
}

func edit(t *testing.T, cfg *config.Config, change func(*config.Book)) {
	t.Helper()
	if err := cfg.EditBook(func(b *config.Book) error { change(b); return nil }); err != nil {
		t.Fatal(err)
	}
}

// watched tells what becomes of a client's streams.
func watched() (*ccsclient.Options, func() (opened, drained int, refused bool)) {
	var mu sync.Mutex
	opened, drained, refused := 0, 0, false
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	return &ccsclient.Options{Events: &ccsclient.Events{
			Authenticated:   func(ccsclient.Stream) { note(func() { opened++ }) },
			Draining:        func(ccsclient.Stream) { note(func() { drained++ }) },
			ReconnectFailed: func(err error) { note(func() { refused = errors.As(err, new(*ccsclient.CredentialsError)) }) },
		}}, func() (int, int, bool) {
			mu.Lock()
			defer mu.Unlock()
			return opened, drained, refused
		}
}

func TestARunningServerTakesChangesOver(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	live := string(sim.Tokens()[0])
	const firstKey, secondKey, newsKey = "psk_firstfirstfirst", "psk_secondsecondsec", "psk_newsnewsnewsnew"
	r := run(t, settings(t, nil))
	dir := r.cfg.DataDir
	if status, _ := r.post(firstKey, live); status != 401 {
		t.Fatalf("before: %d", status)
	}

	edit(t, r.cfg, func(b *config.Book) { b.Projects = append(b.Projects, made(t, r.cfg, firstKey, overFCM(sim))) })
	until(t, "the new project sends", func() bool { status, _ := r.post(firstKey, live); return status == 200 })
	opt, state := watched()
	pool := r.client(sim.SenderID(), firstKey, opt)
	if code := send(t, pool, ccs.RegistrationToken(live)); code != "" {
		t.Fatalf("over CCS: %s", code)
	}

	// Another project and another key change nothing for the first one's streams.
	edit(t, r.cfg, func(b *config.Book) {
		p := made(t, r.cfg, newsKey, overCCS("127.0.0.1:1", "", "key", ""))
		p.Name, p.SenderID, p.Transport.CCS.KeyFile, p.Transport.CCS.Key = "news", "99", filepath.Join(dir, "far-key"), config.Secret{}
		b.Projects = append(b.Projects, p)
		b.Project("shop").Keys = append(b.Project("shop").Keys, madeKey(t, r.cfg, "second", secondKey))
	})
	until(t, "the complaint about the missing key file", func() bool { return strings.Contains(r.log.String(), "far-key") })
	if status, _ := r.post(newsKey, live); status != 401 {
		t.Errorf("a project that cannot be opened: %d", status)
	}
	if err := os.WriteFile(filepath.Join(dir, "far-key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the second key counts", func() bool { status, _ := r.post(secondKey, live); return status == 200 })
	if n := r.metric(`penstock_token_refreshes_total{outcome="ok",project="shop"}`); n != "1" {
		t.Errorf("a new key made a new sender: %s tokens were fetched", n)
	}
	if status, body := r.get("/readyz"); status != 200 || !strings.Contains(body, `"project":"news"`) {
		t.Errorf("%d %s", status, body)
	}
	if n := strings.Count(r.log.String(), "not all of it can be used"); n != 1 {
		t.Errorf("it complained %d times about one thing", n)
	}
	if code := send(t, pool, ccs.RegistrationToken(live)); code != "" {
		t.Errorf("over CCS: %s", code)
	}
	// Neither does a project without streams that loses a key.
	inUse := func() int { return strings.Count(r.log.String(), "the changed projects are in use") }
	before := inUse()
	edit(t, r.cfg, func(b *config.Book) { b.Project("news").Keys = nil })
	until(t, "that is in use", func() bool { return inUse() > before })
	if code := send(t, pool, ccs.RegistrationToken(live)); code != "" {
		t.Errorf("over CCS: %s", code)
	}
	if opened, drained, _ := state(); opened != 1 || drained != 0 {
		t.Errorf("the stream was disturbed: %d opened, %d drained", opened, drained)
	}

	// A key that is taken away opens nothing, and its streams end; the other
	// key's come back.
	opt2, state2 := watched()
	other := r.client(sim.SenderID(), secondKey, opt2)
	if code := send(t, other, ccs.RegistrationToken(live)); code != "" {
		t.Errorf("over CCS, second key: %s", code)
	}
	edit(t, r.cfg, func(b *config.Book) { b.Project("shop").Keys = b.Project("shop").Keys[1:] })
	until(t, "the revoked key is refused", func() bool { _, _, refused := state(); return refused })
	until(t, "the other key logs in again", func() bool { opened, drained, _ := state2(); return opened == 2 && drained == 1 })
	if code := send(t, other, ccs.RegistrationToken(live)); code != "" {
		t.Errorf("over CCS, second key: %s", code)
	}
	if status, _ := r.post(firstKey, live); status != 401 {
		t.Errorf("the revoked key: %d", status)
	}

	// Another way to go, for a project that exists.
	edit(t, r.cfg, func(b *config.Book) {
		p := overCCS(sim.Addr(), sim.CAFile(), "", sim.SenderID())
		p.Transport.CCS.Key, p.Transport.CCS.KeyFile = config.Secret{}, filepath.Join(dir, "sim-key")
		b.Project("shop").Transport = p.Transport
	})
	if err := os.WriteFile(filepath.Join(dir, "sim-key"), []byte(sim.ServerKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "messages go by CCS", func() bool { return r.metric(`penstock_far_streams{project="shop"}`) == "1" })
	if status, _ := r.post(secondKey, live); status != 200 {
		t.Errorf("the other way: %d", status)
	}

	// A project that is gone is gone everywhere.
	edit(t, r.cfg, func(b *config.Book) { b.Projects = nil })
	until(t, "the project is gone", func() bool { status, _ := r.post(secondKey, live); return status == 401 })
	until(t, "its streams are gone", func() bool { _, _, refused := state2(); return refused })
	until(t, "its figures are gone", func() bool { _, body := r.get("/metrics"); return !strings.Contains(body, `project="shop"`) })
}

// keysInFiles is a configuration whose project has a key of its own and one of the
// far end in files, which put writes anew: key and far-key.
func keysInFiles(t *testing.T, sim *fcmsim.Sim, key, farKey string) (cfg *config.Config, put func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	put = func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("key", key)
	put("far-key", farKey)
	put("penstock.yaml", fmt.Sprintf(`
ccs: {listen: ["127.0.0.1:0"]}
http: {listen: ["127.0.0.1:0"]}
admin: {listen: "127.0.0.1:0"}
data_dir: data
projects:
  - name: shop
    sender_id: %s
    keys: [{name: a, secret_file: key}]
    transport: {ccs: {endpoint: %q, ca_file: %q, key_file: far-key, sender_id: %s}}
`, sender, sim.Addr(), sim.CAFile(), sim.SenderID()))
	cfg, err := config.Load(config.Sources{File: filepath.Join(dir, "penstock.yaml"), Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, put
}

func TestRotatedKeyFilesAreTakenOver(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	live := string(sim.Tokens()[0])
	const oldKey, newKey = "psk_oldoldoldoldoldo", "psk_newnewnewnewnewn"
	cfg, put := keysInFiles(t, sim, oldKey, "wrong")
	r := run(t, cfg)
	opt, state := watched()
	r.client(sender, oldKey, opt)
	until(t, "it is logged in", func() bool { opened, _, _ := state(); return opened == 1 })

	put("key", newKey)
	put("far-key", sim.ServerKey())
	until(t, "the old key is refused, and its stream drained", func() bool { _, drained, refused := state(); return drained == 1 && refused })
	until(t, "the far end takes the login", func() bool { return r.metric(`penstock_far_streams{project="shop"}`) == "1" })
	if status, body := r.post(newKey, live); status != 200 {
		t.Errorf("the new key: %d %s", status, body)
	}
	if status, _ := r.post(oldKey, live); status != 401 {
		t.Errorf("the old key: %d", status)
	}
}

// A change between reading the configuration and serving is not overlooked.
func TestChangesWhileItStartsAreSeen(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	cfg := settings(t, nil)
	const key = "psk_quickquickquickq"
	edit(t, cfg, func(b *config.Book) { b.Projects = append(b.Projects, made(t, cfg, key, overFCM(sim))) })
	r := run(t, cfg)
	until(t, "the project sends", func() bool { status, _ := r.post(key, string(sim.Tokens()[0])); return status == 200 })
}

// What else is wrong with the file keeps no stolen key alive.
func TestRevokedKeysGoThoughTheRestIsBroken(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	live := string(sim.Tokens()[0])
	r := run(t, settings(t, nil))
	dir := r.cfg.DataDir
	const good, stolen = "psk_goodgoodgoodgood", "psk_stolenstolenstol"
	edit(t, r.cfg, func(b *config.Book) {
		p := made(t, r.cfg, good, overFCM(sim))
		p.Keys = append(p.Keys, madeKey(t, r.cfg, "stolen", stolen))
		b.Projects = append(b.Projects, p)
	})
	until(t, "both keys count", func() bool {
		status, _ := r.post(good, live)
		status2, _ := r.post(stolen, live)
		return status == 200 && status2 == 200
	})
	opt, state := watched()
	pool := r.client(sim.SenderID(), good, opt)
	if code := send(t, pool, ccs.RegistrationToken(live)); code != "" {
		t.Fatal(code)
	}
	edit(t, r.cfg, func(b *config.Book) {
		b.Project("shop").Keys = b.Project("shop").Keys[:1]
		b.Project("shop").Transport.FCM.CAFile = filepath.Join(dir, "nowhere")
	})
	until(t, "the stolen key is refused", func() bool { status, _ := r.post(stolen, live); return status == 401 })
	if status, _ := r.post(good, live); status != 200 {
		t.Errorf("the good key: %d", status)
	}
	// It is looked at again and again, and that disturbs nobody.
	until(t, "the stream is back", func() bool { opened, _, _ := state(); return opened == 2 })
	for _, name := range []string{"nowhere-1", "nowhere-2", "nowhere-3"} {
		edit(t, r.cfg, func(b *config.Book) { b.Project("shop").Transport.FCM.CAFile = filepath.Join(dir, name) })
		until(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), name) })
	}
	if opened, drained, _ := state(); opened != 2 || drained != 1 {
		t.Errorf("%d streams were opened, %d drained", opened, drained)
	}
	// The same goes for keys that cannot be used.
	edit(t, r.cfg, func(b *config.Book) {
		p := b.Project("shop")
		p.Transport.FCM.CAFile = sim.CAFile()
		p.Keys = []*config.Key{madeKey(t, r.cfg, "other", "psk_otherotherothero")}
		p.Keys[0].SecretID = "00000000"
	})
	until(t, "the key that is gone is refused", func() bool { status, _ := r.post(good, live); return status == 401 })
	until(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), "hashed with another secret (00000000)") })
}

// A key whose file holds another one counts no more, whatever else is wrong.
func TestRotatedKeysGoThoughTheRestIsBroken(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	live := string(sim.Tokens()[0])
	keys := []string{"psk_firstfirstfirst", "psk_secondsecondsec", "psk_thirdthirdthird", "psk_fourthfourthfour"}
	cfg, put := keysInFiles(t, sim, keys[0], sim.ServerKey())
	r := run(t, cfg)
	rotated := func(to int) {
		t.Helper()
		until(t, fmt.Sprint("key ", to, " counts, and no other"), func() bool {
			for i, key := range keys {
				if status, _ := r.post(key, live); (status == 200) != (i == to) {
					return false
				}
			}
			return true
		})
	}
	rotated(0)

	put("far-key", "") // another file
	until(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), "far-key, which is empty") })
	put("key", keys[1])
	rotated(1)

	put("data/projects.json", "")
	until(t, "the operator is told", func() bool { return strings.Contains(r.log.String(), "projects.json is empty") })
	put("key", keys[2])
	rotated(2)

	put("key", "short") // is no key: the one that was there goes on
	put("data/projects.json", "{")
	until(t, "it was looked at", func() bool { return strings.Contains(r.log.String(), "projects.json is neither") })
	rotated(2)

	if err := os.Remove(config.BookPath(r.cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	put("far-key", sim.ServerKey())
	put("key", keys[3])
	until(t, "all is well", func() bool { return strings.Contains(r.log.String(), "the changed projects are in use") })
	rotated(3)
}

func TestKeySecretIsMadeOnce(t *testing.T) {
	t.Parallel()
	cfg := settings(t, nil)
	dir := cfg.DataDir
	secrets := make(chan string, 8)
	for range cap(secrets) {
		go func() {
			s, err := app.KeySecret(cfg)
			if err != nil {
				t.Error(err)
			}
			secrets <- s.Reveal()
		}()
	}
	first := <-secrets
	for range cap(secrets) - 1 {
		if s := <-secrets; s != first {
			t.Error("two processes have two secrets")
		}
	}
	path := filepath.Join(dir, "keys.secret")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("there are %d files", len(entries))
	}
	// Who may read it is said as for every file with secrets.
	for _, mode := range []os.FileMode{0o600, 0o640, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for by, most := range map[string]os.FileMode{"owner": 0o600, "group": 0o640, "everyone": 0o644} {
			cfg.KeyFilesReadableBy = by
			_, err := app.KeySecret(cfg)
			if mode <= most && err != nil {
				t.Errorf("mode %o for %s: %v", mode, by, err)
			}
			if mode > most && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("run chmod %o %s", most, path))) {
				t.Errorf("mode %o for %s: %v", mode, by, err)
			}
		}
	}
	cfg.KeyFilesReadableBy = "owner"
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.KeySecret(cfg); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("damaged: %v", err)
	}
}

// A project that goes need not wait for app servers that are not there: what
// nobody has is left to the far end at once.
func TestAProjectThatGoesWaitsForNobody(t *testing.T) {
	t.Parallel()
	sim := simulator(t)
	r := run(t, settings(t, nil))
	key := filepath.Join(r.cfg.DataDir, "far-key")
	if err := os.WriteFile(key, []byte(sim.ServerKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, r.cfg, func(b *config.Book) {
		p := made(t, r.cfg, serverKey, overCCS(sim.Addr(), sim.CAFile(), "", sim.SenderID()))
		p.Transport.CCS.KeyFile, p.Transport.CCS.Key = key, config.Secret{}
		b.Projects = append(b.Projects, p)
	})
	until(t, "the stream to the far end", func() bool { return len(sim.Streams()) == 1 })
	device := sim.Tokens()[0]
	id, err := sim.Upstream(device, fcmsim.Upstream{Data: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		st, err := sim.UpstreamState(device, id)
		if err != nil {
			t.Fatal(err)
		}
		return st.State
	}
	until(t, "the message is there", func() bool { return state() == "offered" })
	edit(t, r.cfg, func(b *config.Book) { b.Projects = nil })
	until(t, "the project is gone", func() bool { _, body := r.get("/readyz"); return !strings.Contains(body, "shop") })
	began := time.Now()
	until(t, "its stream is gone", func() bool { return len(sim.Streams()) == 0 })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	until(t, "the far end keeps the message", func() bool { return state() == "waiting" })
}
