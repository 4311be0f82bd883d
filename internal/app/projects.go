package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"penstock/ccsserver"
	"penstock/internal/config"
)

// lookAgain is how often projects.json is looked at.
const lookAgain = time.Second

// openAll opens every project of the configuration. One that cannot be opened
// fails all of them: an operator who starts a server is there to mend it.
func (a *App) openAll(ctx context.Context) error {
	open := make(map[string]*project)
	a.projects.Store(&open)
	for _, p := range a.cfg.AllProjects() {
		r, err := a.openProject(ctx, a.cfg, p)
		if err != nil {
			return err
		}
		open[p.Name] = r
	}
	return nil
}

// closeProjects closes what is open, all at once.
func (a *App) closeProjects(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range *a.projects.Swap(new(map[string]*project)) {
		all.Go(func() { p.close(ctx) })
	}
	all.Wait()
}

// watchProjects takes changes of projects.json over until ctx ends.
func (a *App) watchProjects(ctx context.Context) {
	seen, _ := config.BookStamp(a.cfg.DataDir)
	var closing sync.WaitGroup
	defer closing.Wait()
	broken, complaint := false, ""
	for pause(ctx, lookAgain) == nil {
		stamp, err := config.BookStamp(a.cfg.DataDir)
		if err == nil && stamp.Same(seen) && !broken {
			continue
		}
		var cfg *config.Config
		if err == nil {
			seen = stamp
			cfg, err = a.readBook()
		}
		if err == nil {
			err = a.apply(ctx, cfg, &closing)
		}
		broken = err != nil // what hinders may be mended without another change
		if err == nil {
			complaint = ""
			a.log.Info("the changed projects are in use", "projects", len(cfg.AllProjects()))
		} else if err.Error() != complaint {
			complaint = err.Error()
			a.log.Error("projects.json has changed, and not all of it can be used", "err", err)
		}
	}
}

// readBook reads projects.json. Where it cannot be used as a whole, keys that
// were taken away must go all the same.
func (a *App) readBook() (*config.Config, error) {
	book, err := config.ReadBook(a.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	cfg, err := a.cfg.WithBook(book)
	if err != nil {
		a.revoke(book)
	}
	return cfg, err
}

// revoke takes keys away that the book has no more, and changes nothing else.
func (a *App) revoke(book *config.Book) {
	left := &config.Book{}
	for _, old := range a.cfg.Book.Projects {
		p := *old
		p.Keys = slices.DeleteFunc(slices.Clone(old.Keys), func(k *config.Key) bool {
			now := book.Project(old.Name)
			return now == nil || !hasKey(now, k)
		})
		left.Projects = append(left.Projects, &p)
	}
	cfg := *a.cfg
	cfg.Book = left
	a.useKeys(&cfg)
}

func hasKey(p *config.Project, k *config.Key) bool {
	return slices.ContainsFunc(p.Keys, func(o *config.Key) bool {
		return o.Hash == k.Hash && o.Text().Reveal() == k.Text().Reveal() && slices.Equal(o.Fronts, k.Fronts)
	})
}

// useKeys makes the keys of cfg those that count. Streams of a project that lost
// a key are drained: whoever has another one logs in again, and loses nothing.
func (a *App) useKeys(cfg *config.Config) {
	list, err := a.keyring(cfg)
	if err == nil {
		err = a.ring.Replace(list)
	}
	if err != nil {
		a.log.Error("the changed keys cannot be used", "err", err)
		return
	}
	if a.ccs == nil {
		return
	}
	now := make(map[string]*config.Project)
	for _, p := range cfg.AllProjects() {
		now[p.Name] = p
	}
	for _, old := range a.cfg.AllProjects() {
		p := now[old.Name]
		lost := p == nil || p.SenderID != old.SenderID ||
			slices.ContainsFunc(old.Keys, func(k *config.Key) bool { return !hasKey(p, k) })
		if !lost {
			continue
		}
		ids := []string{} // nil would be all streams
		for _, s := range a.ccs.Streams() {
			if s.Sender == old.Sender() {
				ids = append(ids, s.ID)
			}
		}
		a.ccs.Drain(ccsserver.DrainOptions{Streams: ids})
	}
}

// apply makes cfg the one that counts. Projects that go the same way as before
// go on as they are.
func (a *App) apply(ctx context.Context, cfg *config.Config, closing *sync.WaitGroup) error {
	before := *a.projects.Load()
	open := maps.Clone(before)
	var failed error
	for _, p := range cfg.AllProjects() {
		if old := open[p.Name]; old != nil && old.cfg.SameWay(p) {
			continue
		}
		r, err := a.openProject(ctx, cfg, p)
		if err != nil {
			failed = err // the others are opened; this one is tried again
			continue
		}
		open[p.Name] = r
	}
	a.useKeys(cfg)
	a.cfg = cfg
	for name := range before {
		if !slices.ContainsFunc(cfg.AllProjects(), func(p *config.Project) bool { return p.Name == name }) {
			delete(open, name)
		}
	}
	a.projects.Store(&open)
	for name, old := range before {
		if open[name] == old {
			continue
		}
		closing.Go(func() {
			limit, cancel := context.WithTimeout(context.Background(), answerTime)
			defer cancel()
			old.close(limit)
			if (*a.projects.Load())[name] == nil {
				a.obs.Forget(name)
			}
		})
	}
	return failed
}
