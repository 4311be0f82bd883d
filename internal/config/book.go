package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A Book is projects.json: the projects that commands have made. Its form is
// that of the configuration file.
type Book struct {
	Projects []*Project

	places map[string]string
	info   fs.FileInfo // of the file before it was read; nil: there was none
}

func (b *Book) settings() []setting {
	return []setting{{key: "projects", to: list[Project, *Project]{"project", &b.Projects}}}
}

// bookFile is the name of a book within the data directory.
const bookFile = "projects.json"

// BookPath is the path of the book in a data directory.
func BookPath(dataDir string) string { return filepath.Join(dataDir, bookFile) }

// ReadBook reads the projects of the data directory, as they stand there; without
// a file there are none. An empty file is an error: a full disk or an editor leaves
// one, and a server that runs would forget all its keys. The error is [Problems].
// What can be told only beside the configuration, [Config.WithBook] checks.
func (c *Config) ReadBook() (*Book, error) {
	b := &Book{places: make(map[string]string)}
	path := BookPath(c.DataDir)
	var err error
	if b.info, err = stat(path); err != nil { // before it is read: a change meanwhile shows
		return nil, Problems{missing(err)}
	}
	if b.info == nil {
		return b, nil
	}
	l := loader{places: b.places}
	if err := c.Private(path); err != nil {
		return nil, Problems{err.Error()}
	}
	l.file(path, b)
	if l.empty {
		l.problems.add("%s is empty: restore it from a backup, or remove it if it is to have no project", path)
	}
	return b, l.problems.err()
}

// WithBook is the configuration with another book, the environment's variables
// over that, checked; files with secrets are read anew. c and b stay as they are,
// and nothing of them is shared. With an error it is what could be made of them.
func (c *Config) WithBook(b *Book) (*Config, error) {
	n := *c
	n.Projects = cloneAll(c.Projects)
	var over *loader
	n.Book, over = b.under(c.env)
	problems := over.problems
	n.check(&problems)
	return &n, problems.err()
}

// under is a copy of the book with the environment's variables over it. The loader
// knows what they are and what is wrong with them. They make no project.
func (b *Book) under(env func(name string) string) (*Book, *loader) {
	n := b.clone()
	l := &loader{places: n.places}
	for _, p := range n.Projects {
		l.variables(p, element(projectsPath, p.Name), env)
	}
	return n, l
}

func (b *Book) clone() *Book {
	n := *b
	n.Projects = cloneAll(b.Projects)
	n.places = make(map[string]string, len(b.places))
	maps.Copy(n.places, b.places)
	return &n
}

func cloneAll(projects []*Project) []*Project {
	n := make([]*Project, len(projects))
	for i, p := range projects {
		n[i] = p.clone()
	}
	return n
}

// WithKeysLeft is the configuration with what next, which cannot be used as a whole,
// tells of server keys: those of its book that next has no more are gone, and those
// in files have the text that next has read, as far as usable lets such a
// configuration pass. Nothing else is taken from next.
func (c *Config) WithKeysLeft(next *Config, usable func(*Config) bool) *Config {
	n := *c
	n.Projects, n.Book = cloneAll(c.Projects), c.Book.clone()
	now := make(map[string]*Project)
	for _, p := range slices.Concat(next.Book.Projects, next.Projects) { // of one name the file's counts
		now[p.Name] = p
	}
	for _, p := range n.Book.Projects {
		p.Keys = slices.DeleteFunc(p.Keys, func(k *Key) bool {
			q := now[p.Name]
			return q == nil || !q.HasKey(k) && q.inFile(k) == nil
		})
	}
	for _, p := range n.AllProjects() {
		for _, k := range p.Keys {
			if now[p.Name] == nil {
				continue
			}
			if f := now[p.Name].inFile(k); f != nil && !f.read.IsEmpty() && f.read.Reveal() != k.read.Reveal() {
				before := k.read
				if k.read = f.read; !usable(&n) {
					k.read = before
				}
			}
		}
	}
	return &n
}

// Write puts the book into a data directory, in one step: whoever reads it
// meanwhile sees the old one or the new one.
func (b *Book) Write(dataDir string) (err error) {
	var text bytes.Buffer
	if err := writeJSON(&text, tree(b, showOptions{secrets: true, givenOnly: true})); err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text.Bytes(), "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	f, err := os.CreateTemp(dataDir, "."+bookFile+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, &pretty)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), BookPath(dataDir))
	}
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// NewProject is a project with every default.
func NewProject(name string) *Project {
	p := new(Project)
	setDefaults(p)
	p.Name = name
	return p
}

// Project finds a project of the book; nil: there is none of that name.
func (b *Book) Project(name string) *Project {
	i := slices.IndexFunc(b.Projects, func(p *Project) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return b.Projects[i]
}
