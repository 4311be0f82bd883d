package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/internal/config"
)

const hash = "hmac-sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// in is a configuration with that data directory.
func in(dataDir string) *config.Config { return &config.Config{DataDir: dataDir} }

// madeProject is one as a command makes it.
func madeProject(name, sender string) *config.Project {
	p := config.NewProject(name)
	p.SenderID = sender
	p.Keys = []*config.Key{{Name: "default", Hash: hash, Fronts: []string{"ccs", "v1"}, Created: "2026-11-22T00:00:00Z"}}
	p.Transport.HasFCM = true
	p.Transport.FCM.ApplicationDefault = true
	return p
}

func TestBookSurvivesItsFile(t *testing.T) {
	dir := t.TempDir()
	b, err := in(dir).ReadBook()
	if err != nil || len(b.Projects) != 0 {
		t.Fatalf("got %v, %v", b, err)
	}
	b.Projects = append(b.Projects, madeProject("shop", "123"))
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(config.BookPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "projects": [
    {
      "name": "shop",
      "sender_id": "123",
      "keys": [
        {
          "name": "default",
          "hash": "` + hash + `",
          "fronts": [
            "ccs",
            "v1"
          ],
          "created": "2026-11-22T00:00:00Z"
        }
      ],
      "transport": {
        "fcm": {
          "application_default": true
        }
      }
    }
  ]
}
`
	if string(text) != want {
		t.Errorf("got %s", text)
	}
	if info, err := os.Stat(config.BookPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	again, err := in(dir).ReadBook()
	if err != nil {
		t.Fatal(err)
	}
	p := again.Project("shop")
	if p == nil || p.SenderID != "123" || len(p.Keys) != 1 || p.Keys[0].Hash != hash || !p.Transport.FCM.ApplicationDefault || p.Quotas.PerMinute != 600_000 {
		t.Errorf("got %+v", p)
	}
	if again.Project("news") != nil {
		t.Error("a project that is not there was found")
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("there are %d files", len(entries))
	}
}

func TestBookKeepsSecretsAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	b := &config.Book{Projects: []*config.Project{madeProject("a", "1")}}
	b.Projects[0].Transport.FCM.Credentials = config.NewSecret("{}")
	b.Projects[0].Transport.FCM.Proxy = config.NewURL("http://user:pw@host")
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := in(dir).ReadBook()
	if err != nil || again.Projects[0].Transport.FCM.Credentials.Reveal() != "{}" || again.Projects[0].Transport.FCM.Proxy.Reveal() != "http://user:pw@host" {
		t.Errorf("got %v, %v", again, err)
	}
}

func TestBookThatCannotBeWritten(t *testing.T) {
	if err := (&config.Book{}).Write(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(config.BookPath(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&config.Book{}).Write(dir); err == nil {
		t.Error("it has taken a directory's place")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("a copy with secrets is left: there are %d files", len(entries))
	}
}

func TestProjectsOfTheBookJoinThoseOfTheFile(t *testing.T) {
	p := write(t, shop)
	data := filepath.Join(p.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&config.Book{Projects: []*config.Project{madeProject("news", "99")}}).Write(data); err != nil {
		t.Fatal(err)
	}
	c := p.good()
	if all := c.AllProjects(); len(all) != 2 || all[0].Name != "shop" || all[1].Name != "news" || len(c.Projects) != 1 {
		t.Fatalf("got %v", all)
	}
	if got, want := c.Place("projects.news.sender_id"), config.BookPath(data)+":5"; got != want {
		t.Errorf("the project comes from %s, want %s", got, want)
	}

	book, err := in(data).ReadBook()
	if err != nil {
		t.Fatal(err)
	}
	book.Projects = append(book.Projects, madeProject("blog", "100"))
	d, err := c.WithBook(book)
	if err != nil || len(d.AllProjects()) != 3 || len(c.AllProjects()) != 2 {
		t.Errorf("got %d and %d projects, %v", len(d.AllProjects()), len(c.AllProjects()), err)
	}
	// Again, since a key's file was read already.
	if _, err := d.WithBook(book); err != nil {
		t.Errorf("a second time: %v", err)
	}
	book.Projects[1].Keys = nil
	if _, err := c.WithBook(book); err != nil {
		t.Errorf("without its last key: %v", err)
	}
	book.Projects = []*config.Project{madeProject("shop", "101")}
	if _, err := c.WithBook(book); err == nil || !strings.Contains(err.Error(), `"shop", which project shop at `+p.file+":3 has already") {
		t.Errorf("got %v", err)
	}
	book.Projects = []*config.Project{madeProject("other", "1234567890")}
	if _, err := c.WithBook(book); err == nil || !strings.Contains(err.Error(), `"1234567890", which project shop`) {
		t.Errorf("got %v", err)
	}
}

func TestVariablesCountForProjectsOfTheBook(t *testing.T) {
	p := write(t, shop)
	data := filepath.Join(p.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	const news = "PENSTOCK_PROJECTS_MY_NEWS_"
	environ := []string{
		"PENSTOCK_DATA_DIR=" + data, "PENSTOCK_PROJECTS=my-news", news + "TRANSPORT_FCM_ENDPOINT=https://localhost:1",
		news + "QUOTAS_RAMP=5s", news + "KEYS=extra", news + "KEYS_EXTRA_SECRET_FILE=" + filepath.Join(p.dir, "key"),
	}
	load := func(more ...string) (*config.Config, error) {
		return config.Load(config.Sources{File: p.file, Environ: append(environ, more...), Variables: []string{}})
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "`sender_id` in project my-news at PENSTOCK_PROJECTS is \"\"") {
		t.Errorf("without a book: %v", err)
	}
	if err := (&config.Book{Projects: []*config.Project{madeProject("my-news", "99")}}).Write(data); err != nil {
		t.Fatal(err)
	}
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	check := func(c *config.Config) {
		t.Helper()
		n := c.Book.Project("my-news")
		if len(c.Projects) != 1 || n == nil || n.SenderID != "99" || n.Transport.FCM.Endpoint != "https://localhost:1" || n.Quotas.Ramp != 5*time.Second ||
			len(n.Keys) != 2 || n.Keys[0].Hash != hash || n.Keys[1].Text().Reveal() != "psk_0123456789abcdef" {
			t.Errorf("got %+v", n)
		}
		if got := c.Place("projects.my-news.transport.fcm.endpoint"); got != news+"TRANSPORT_FCM_ENDPOINT" {
			t.Errorf("the endpoint comes from %s", got)
		}
		if got, want := c.Place("projects.my-news.sender_id"), config.BookPath(data)+":5"; got != want {
			t.Errorf("the sender id comes from %s, want %s", got, want)
		}
	}
	check(c)
	book, err := in(data).ReadBook()
	if err != nil || len(book.Projects[0].Keys) != 1 || book.Projects[0].Transport.FCM.Endpoint != "https://fcm.googleapis.com" {
		t.Errorf("the file has what stands in the environment: %+v, %v", book.Projects[0], err)
	}
	again, err := c.WithBook(book)
	if err != nil {
		t.Fatal(err)
	}
	check(again)
	if !again.Book.Projects[0].SameWay(c.Book.Projects[0]) {
		t.Error("the way has changed")
	}

	for _, tt := range []struct{ variable, want string }{
		{news + "SENDER_ID=x", "`sender_id` in project my-news at " + news + "SENDER_ID is \"x\": give the project's number, digits only, as Firebase's console shows it under Cloud Messaging"},
		{news + "QUOTAS_RAMP=x", news + "QUOTAS_RAMP is \"x\": give a duration with its unit, such as 500ms, 12s or 1h30m"},
		{news + "SENDERID=1", "unknown variable `" + news + "SENDERID` in the environment: did you mean `" + news + "SENDER_ID`?"},
		{"PENSTOCK_PROJECTS_LATER_SENDER_ID=1", "unknown variable `PENSTOCK_PROJECTS_LATER_SENDER_ID` in the environment: no project of the file, of projects.json or of PENSTOCK_PROJECTS has such a setting"},
	} {
		if _, err := load(tt.variable); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v", tt.variable, err)
		}
	}
	c, err = config.Load(config.Sources{File: p.file, Environ: append(environ, "PENSTOCK_PROJECTS_LATER_QUOTAS_RAMP=7s"), Variables: []string{}, Coming: "later"})
	if err != nil {
		t.Fatal(err)
	}
	book.Projects = append(book.Projects, madeProject("later", "100"))
	if c, err = c.WithBook(book); err != nil || c.Book.Project("later").Quotas.Ramp != 7*time.Second {
		t.Errorf("got %v", err)
	}
}

// Each of two projects of one name is complained of where it stands.
func TestPlacesOfTwoProjectsOfOneName(t *testing.T) {
	p := write(t, "projects:\n  - {name: a, keys: KEYS, transport: {fcm: {credentials_file: sa.json}}}\n")
	data := filepath.Join(p.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&config.Book{Projects: []*config.Project{madeProject("a", "99")}}).Write(data); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"`sender_id` in project a at DIR/penstock.yaml:2 is \"\": give the project's number, digits only, as Firebase's console shows it under Cloud Messaging",
		"`name` in project a at DIR/data/projects.json:4 is \"a\", which project a at DIR/penstock.yaml:2 has already: a project has one of its own",
	}
	if got := p.wrong(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A server that runs compares the configuration that it has with the next one.
func TestWithBookLeavesWhatThereIsAlone(t *testing.T) {
	p := write(t, strings.Replace(shop, "fcm: {credentials_file: sa.json}", "ccs: {endpoint: 'far:1', key_file: far-key}", 1))
	data := filepath.Join(p.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	news := madeProject("news", "99")
	news.Keys = []*config.Key{{Name: "file", SecretFile: filepath.Join(p.dir, "key")}, {Name: "stays", Hash: hash}, {Name: "other", Secret: config.NewSecret("psk_other")}}
	if err := (&config.Book{Projects: []*config.Project{news}}).Write(data); err != nil {
		t.Fatal(err)
	}
	c := p.good()
	book, err := in(data).ReadBook()
	if err != nil {
		t.Fatal(err)
	}
	p.put("key", "psk_another", 0o600)
	p.put("far-key", "another", 0o600)
	d, err := c.WithBook(book)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"shop", "news"} {
		before, after := c.AllProjects()[i], d.AllProjects()[i]
		old, now := before.Keys[0], after.Keys[0]
		if old.Text().Reveal() != "psk_0123456789abcdef" || now.Text().Reveal() != "psk_another" || after.HasKey(old) || before.HasKey(now) {
			t.Errorf("%s: the key was %s and is %s", name, old.Text().Reveal(), now.Text().Reveal())
		}
		if far := name == "shop"; after.SameWay(before) == far {
			t.Errorf("%s: a far key changed: %t; the way did not: %t", name, far, after.SameWay(before))
		}
	}
	if key := c.Projects[0].Transport.CCS.Text().Reveal(); key != "far key" {
		t.Errorf("the far key has become %q", key)
	}
	if key := book.Projects[0].Keys[0].Text(); !key.IsEmpty() {
		t.Error("the book has changed")
	}

	// Of what cannot be used as a whole only keys count: those that are missing, and
	// what files hold now, if that will do.
	book.Projects[0].Transport.FCM.CAFile = filepath.Join(p.dir, "nowhere")
	book.Projects[0].Keys = book.Projects[0].Keys[:2]
	if d, err = c.WithBook(book); err == nil {
		t.Fatal("a file that is not there is found")
	}
	texts := func(c *config.Config) (texts []string) {
		for _, p := range c.AllProjects() {
			for _, k := range p.Keys {
				texts = append(texts, p.Name+" "+k.Name+" "+k.Text().Reveal())
			}
		}
		return texts
	}
	before := texts(c)
	left := c.WithKeysLeft(d, func(*config.Config) bool { return true })
	if got := texts(left); !slices.Equal(got, []string{"shop backend psk_another", "news file psk_another", "news stays "}) || left.AllProjects()[1].Transport.FCM.CAFile != "" {
		t.Errorf("left are %q", got)
	}
	left = c.WithKeysLeft(d, func(c *config.Config) bool { return c.AllProjects()[0].Keys[0].Text().Reveal() != "psk_another" })
	if got := texts(left); !slices.Equal(got, []string{"shop backend psk_0123456789abcdef", "news file psk_another", "news stays "}) {
		t.Errorf("where one will not do, left are %q", got)
	}
	// A file that cannot be read takes no key away.
	p.put("key", "", 0o600)
	if d, err = c.WithBook(book); err == nil {
		t.Fatal("an empty key was taken")
	}
	left = c.WithKeysLeft(d, func(*config.Config) bool { return true })
	if got := texts(left); !slices.Equal(got, []string{"shop backend psk_0123456789abcdef", "news file psk_0123456789abcdef", "news stays "}) {
		t.Errorf("while the file is empty, left are %q", got)
	}
	// A project that is gone takes its keys along, and no other's.
	left = c.WithKeysLeft(&config.Config{Book: &config.Book{}}, func(*config.Config) bool { return true })
	if got := texts(left); !slices.Equal(got, []string{"shop backend psk_0123456789abcdef"}) {
		t.Errorf("without projects, left are %q", got)
	}
	if got := texts(c); !slices.Equal(got, before) {
		t.Errorf("the running configuration has changed: %q", got)
	}
}

func TestDamagedBook(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a misspelt key", `{"projects":[{"nam":"x"}]}`, "unknown key `nam` in project 1 at DIR/data/projects.json:1: did you mean `name`?"},
		{"cut short", `{"projects":[{"name":"x"`, "DIR/data/projects.json is neither YAML nor JSON: line 1: did not find expected ',' or '}'"},
		// A full disk or an editor left it so. Without projects there is no file.
		{"empty", "", "DIR/data/projects.json is empty: restore it from a backup, or remove it if it is to have no project"},
		{"blank", "\n \n", "DIR/data/projects.json is empty: restore it from a backup, or remove it if it is to have no project"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := write(t, shop)
			if err := os.Mkdir(filepath.Join(p.dir, "data"), 0o700); err != nil {
				t.Fatal(err)
			}
			p.put("data/projects.json", tt.text, 0o600)
			if got := p.wrong(); len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestEditorsWaitForEachOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	asRead := func() *config.Config {
		t.Helper()
		b, err := in(dir).ReadBook()
		if err != nil {
			t.Fatal(err)
		}
		return &config.Config{DataDir: dir, Book: b}
	}
	before := asRead()
	if before.Changed() {
		t.Error("no book, and it has changed")
	}
	var editors sync.WaitGroup
	for i := range 20 {
		editors.Go(func() {
			err := in(dir).EditBook(func(b *config.Book) error {
				b.Projects = append(b.Projects, madeProject(fmt.Sprintf("p%d", i), fmt.Sprint(i+1)))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	editors.Wait()
	b, err := in(dir).ReadBook()
	if err != nil || len(b.Projects) != 20 {
		t.Errorf("%d projects, %v", len(b.Projects), err)
	}
	after := asRead()
	if !before.Changed() || after.Changed() {
		t.Errorf("changed: %v for who read before, %v for who read after", before.Changed(), after.Changed())
	}
	no := errors.New("no")
	if err := in(dir).EditBook(func(b *config.Book) error { b.Projects = nil; return no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if b, err := in(dir).ReadBook(); err != nil || len(b.Projects) != 20 {
		t.Errorf("a failed change was written: %d projects, %v", len(b.Projects), err)
	}
	if after.Changed() {
		t.Error("it has changed though nothing was written")
	}
}
