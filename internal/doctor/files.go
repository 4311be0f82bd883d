package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/keys"
	"penstock/internal/localca"
)

// files looks at what the configuration names and what the data directory holds.
// What config.Load refuses does not come here.
func (x *examiner) files() []Finding {
	list := []Finding{{Check: "configuration", Subject: "all settings", Result: Good,
		Text: fmt.Sprintf("it can be used; projects: %d", len(x.cfg.AllProjects()))}}
	if len(x.cfg.AllProjects()) == 0 {
		list[0].Result, list[0].Text = Warning, "it can be used, but there is no project, so that nobody can send"
		list[0].Fix = "make one: " + x.program + " project add, or projects in the configuration"
	}
	list = append(list, x.dataDir())
	for _, path := range append(localca.KeyPaths(x.cfg.DataDir), app.SecretPath(x.cfg.DataDir), config.BookPath(x.cfg.DataDir)) {
		if err := x.cfg.Private(path); err != nil {
			list = append(list, Finding{Check: "files", Subject: path, Result: Warning,
				Text: "a file with secrets is open to others", Fix: err.Error()})
		}
	}
	return list
}

// dataDir tries whether the data directory can be written, or made.
func (x *examiner) dataDir() Finding {
	f := Finding{Check: "data-dir", Subject: x.cfg.DataDir, Result: Good, Text: "it is private and can be written"}
	dir := x.cfg.DataDir
	info, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		f.Text = "it is made at the first start"
		info, err = os.Stat(dir)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err == nil {
		err = tryToWrite(dir)
	}
	if err != nil {
		f.Result, f.Text = Bad, "it cannot be written: "+err.Error()
		f.Fix = fmt.Sprintf("%s; this one is named by %s", app.DataDirFix(err), x.cfg.Place("data_dir"))
	}
	return f
}

// tryToWrite writes a file, for an empty one fits on a full disk too, and takes
// it away again.
func tryToWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return err
	}
	_, err = f.WriteString("doctor\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if removeErr := os.Remove(f.Name()); err == nil {
		err = removeErr
	}
	return err
}

// keys looks whether anybody can send, and whether it is clear for whom.
func (x *examiner) keys(projects []*config.Project) []Finding {
	var list []Finding
	for _, problem := range app.CheckKeys(x.cfg) {
		list = append(list, Finding{Check: "keys", Subject: "all projects", Result: Bad, Text: problem,
			Fix: "mend that: a server does not start like that"})
	}
	open := map[keys.Front]bool{
		keys.CCS: len(x.cfg.CCS.Listen) > 0, keys.Legacy: len(x.cfg.HTTP.Listen) > 0, keys.V1: len(x.cfg.HTTP.Listen) > 0,
	}
	for _, p := range projects {
		n := 0
		for _, k := range p.Keys {
			fronts := keys.Fronts()
			if len(k.Fronts) > 0 {
				fronts = nil
				for _, f := range k.Fronts {
					fronts = append(fronts, keys.Front(f))
				}
			}
			if slices.ContainsFunc(fronts, func(f keys.Front) bool { return open[f] }) {
				n++
			}
		}
		f := Finding{Check: "keys", Subject: p.Name, Result: Good, Text: fmt.Sprintf("server keys that count: %d", n)}
		if n == 0 {
			f.Result, f.Text = Bad, "it has no server key that counts at any front that listens, so that nobody can send"
			f.Fix = fmt.Sprintf("%s project key %s", x.program, p.Name)
		}
		list = append(list, f)
	}
	return list
}
