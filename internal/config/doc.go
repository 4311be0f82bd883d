// Package config turns a file, the environment and flags into checked settings.
//
//	cfg, err := config.Load(config.Sources{File: "penstock.yaml", Environ: os.Environ()})
//	…
//	for _, p := range cfg.AllProjects() { … }
//
// A flag wins over the environment, the environment over the file, the file over
// the default. Each setting stands once, in a table beside its field, with its
// default and a sentence for docs/configuration.md. Load finds all problems before
// it gives up; each names the key, the place where it stands, and what to do.
//
// Projects live in the file and, made by commands, in projects.json of the data
// directory; see [Book]. What the settings mean is left to the rooms that get
// them.
package config
