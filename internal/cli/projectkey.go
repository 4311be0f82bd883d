package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/keys"
)

type projectKeyCmd struct {
	configFlags `embed:""`

	Project string   `arg:"" name:"name" help:"The project."`
	Name    string   `placeholder:"N" help:"What the key is called. Default: key-2, key-3 and so on."`
	Fronts  []string `placeholder:"ccs,legacy,v1" help:"Where the key counts. Default: everywhere."`
	Revoke  string   `placeholder:"N" help:"Take the key of this name away, and make none."`
	JSON    bool     `name:"json" help:"Print one JSON object."`
}

// Help is what --help says between the summary and the flags.
func (c *projectKeyCmd) Help() string {
	return `A running server takes the change over within seconds. CCS streams that are open go on; when a key is taken away, the project's streams are drained, and those with another key log in again. To change a key without a break, make another, give it to the senders, and take the old one away:

  penstock project key shop --name backend-2
  penstock project key shop --revoke default

Keys of projects in the configuration file are changed there.`
}

type revokeLine struct {
	Project string `json:"project"`
	Revoked string `json:"revoked"`
}

// Run works though other parts of the configuration are broken: a key that was
// stolen must go.
func (c *projectKeyCmd) Run(e *env) error {
	cfg, err := config.Load(c.sources(e))
	if err != nil && c.Revoke == "" {
		return c.wrong(e, err)
	}
	if c.Revoke != "" {
		if c.Name != "" || len(c.Fronts) > 0 {
			return usage("--revoke takes a key away: --name and --fronts are for a new one")
		}
		return c.revoke(e, cfg)
	}
	key, record, err := newKey(c.Name, c.Fronts)
	if err != nil {
		return err
	}
	var p *config.Project
	err = putKey(cfg, key, record, func(cfg *config.Config) (keys.Secret, error) { return c.secret(e, cfg) }, func(b *config.Book) error {
		old, err := c.find(cfg, b)
		if err != nil {
			return err
		}
		if record.Name = c.Name; c.Name == "" {
			for n := 2; record.Name == "" || indexKey(old, record.Name) >= 0; n++ {
				record.Name = fmt.Sprintf("key-%d", n)
			}
		}
		if indexKey(old, record.Name) >= 0 {
			return usage("project %s has a key %s already: give another --name, or take it away with --revoke %s", old.Name, record.Name, record.Name)
		}
		old.Keys = append(old.Keys, record)
		next, err := cfg.WithBook(b)
		if err != nil {
			return err
		}
		p = next.Book.Project(c.Project) // as the environment has it
		return nil
	})
	if err != nil {
		return c.editError(e, err)
	}
	return printKey(e, c.JSON, p, record, key)
}

// secret is that of the key hashes. Where it is lost this command is what mends
// it, and says what that means.
func (c *projectKeyCmd) secret(e *env, cfg *config.Config) (keys.Secret, error) {
	secret, err := app.KeySecret(cfg)
	lost, is := errors.AsType[*app.LostSecretError](err)
	if !is {
		return secret, err
	}
	if secret, err = app.NewKeySecret(cfg); err == nil {
		fmt.Fprintf(e.stderr, "warning: %v\nThere is a new one now, for this key. A server starts again when none of the old keys is left.\n", lost)
	}
	return secret, err
}

func (c *projectKeyCmd) revoke(e *env, cfg *config.Config) error {
	left := 0
	change := func(b *config.Book) error {
		p, err := c.find(cfg, b)
		if err != nil {
			return err
		}
		i := indexKey(p, c.Revoke)
		if i < 0 {
			return usage("project %s has no key %s: penstock project list tells their names", p.Name, c.Revoke)
		}
		p.Keys = slices.Delete(p.Keys, i, i+1)
		left = len(p.Keys)
		return nil
	}
	err := try(cfg, change) // before a directory is made
	if err == nil {
		err = cfg.EditBook(change)
	}
	if err != nil {
		return c.editError(e, err)
	}
	if c.JSON {
		err = json.NewEncoder(e.stdout).Encode(revokeLine{c.Project, c.Revoke})
	} else {
		_, err = fmt.Fprintf(e.stdout, "Project %s: key %s is no key any more.\n", c.Project, c.Revoke)
	}
	if err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	if left == 0 {
		fmt.Fprintf(e.stderr, "It was the project's last key: nobody can send until there is another, from penstock project key %s.\n", c.Project)
	}
	return nil
}

// find finds the project in the book.
func (c *projectKeyCmd) find(cfg *config.Config, b *config.Book) (*config.Project, error) {
	if p := b.Project(c.Project); p != nil {
		return p, nil
	}
	if slices.ContainsFunc(cfg.Projects, func(p *config.Project) bool { return p.Name == c.Project }) {
		return nil, usage("project %s stands at %s: change its keys there", c.Project, cfg.Place("projects."+c.Project))
	}
	return nil, usage("there is no project %s: penstock project list tells which there are", c.Project)
}

func indexKey(p *config.Project, name string) int {
	return slices.IndexFunc(p.Keys, func(k *config.Key) bool { return k.Name == name })
}

// newKey makes a server key, and what is to be kept of it but for its hash.
func newKey(name string, fronts []string) (keys.Key, *config.Key, error) {
	for _, f := range fronts {
		if !slices.Contains(keys.Fronts(), keys.Front(f)) {
			return keys.Key{}, nil, usage("--fronts has %q: give ccs, legacy or v1, with commas between them", f)
		}
	}
	return keys.Generate(), &config.Key{Name: name, Fronts: fronts, Created: time.Now().UTC().Format(time.RFC3339)}, nil
}

// putKey has change put the record of a key into the book, with the key's hash in
// it. What change refuses leaves nothing behind: it is tried before anything is
// made, and so it is called twice.
func putKey(cfg *config.Config, key keys.Key, record *config.Key, secret func(*config.Config) (keys.Secret, error), change func(*config.Book) error) error {
	if err := hash(record, key, keys.NewSecret()); err != nil {
		return err
	}
	if err := try(cfg, change); err != nil {
		return err
	}
	s, err := secret(cfg)
	if err == nil {
		err = hash(record, key, s)
	}
	if err != nil {
		return err
	}
	return cfg.EditBook(change)
}

// try has change change a book that is not written.
func try(cfg *config.Config, change func(*config.Book) error) error {
	b, err := cfg.ReadBook()
	if err != nil {
		return err
	}
	return change(b)
}

// hash puts a key's hash into its record.
func hash(record *config.Key, key keys.Key, secret keys.Secret) error {
	h, err := secret.Hash(key.Reveal()).MarshalText()
	record.Hash, record.SecretID = string(h), secret.ID()
	return err
}
