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

// lookAgain is how often projects.json and the files with keys are looked at.
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
	// Now the ids are known that stand in credentials alone.
	list, err := a.keyring(a.cfg, open)
	if err == nil {
		err = a.ring.Replace(list)
	}
	return err
}

// closeProjects closes what is open, all at once.
func (a *App) closeProjects(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range *a.projects.Swap(new(map[string]*project)) {
		all.Go(func() { p.close(ctx) })
	}
	all.Wait()
}

// watchProjects takes changes of projects.json and of the files with keys over
// until ctx ends.
func (a *App) watchProjects(ctx context.Context) {
	broken, complaint := false, ""
	for pause(ctx, lookAgain) == nil {
		if !broken && !a.cfg.Changed() {
			continue
		}
		cfg, err := a.readBook()
		if err == nil {
			err = a.apply(ctx, cfg)
		}
		broken = err != nil // what hinders may be mended without another change
		if err == nil {
			complaint = ""
			a.log.Info("the changed projects are in use", "projects", len(cfg.AllProjects()))
		} else if err.Error() != complaint {
			complaint = err.Error()
			a.log.Error("projects.json or a key's file has changed, and not all of it can be used", "err", err)
		}
	}
}

// readBook reads projects.json and the files with keys. Where not all of it can be
// used, keys that were taken away must go all the same, and so must those whose
// file holds another one now.
func (a *App) readBook() (*config.Config, error) {
	book, err := a.cfg.ReadBook()
	if err != nil {
		book = a.cfg.Book // and yet the files may have changed
	}
	cfg, wrong := a.cfg.WithBook(book)
	if err == nil {
		err = wrong
	}
	usable := func(cfg *config.Config) error {
		_, err := keyring(cfg, a.secret)
		return err
	}
	if err == nil {
		err = usable(cfg)
	}
	if err != nil {
		left := a.cfg.WithKeysLeft(cfg, func(cfg *config.Config) bool { return usable(cfg) == nil })
		a.useKeys(left, *a.projects.Load())
		a.cfg = left
	}
	return cfg, err
}

// useKeys makes the keys of cfg those that count. Streams of a project that lost
// a key are drained: whoever has another one logs in again, and loses nothing.
func (a *App) useKeys(cfg *config.Config, open map[string]*project) {
	list, err := a.keyring(cfg, open)
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
			slices.ContainsFunc(old.Keys, func(k *config.Key) bool { return !p.HasKey(k) })
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
func (a *App) apply(ctx context.Context, cfg *config.Config) error {
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
	a.useKeys(cfg, open)
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
		a.closing.Go(func() {
			limit, cancel := context.WithTimeout(context.Background(), a.opt.AnswerTime)
			defer cancel()
			old.close(limit)
			if (*a.projects.Load())[name] == nil {
				a.obs.Forget(name)
			}
		})
	}
	return failed
}
