package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"penstock/internal/app"
	"penstock/internal/config"
)

// configFlags say which configuration counts.
type configFlags struct {
	Config  string `short:"c" placeholder:"FILE" help:"The configuration file (docs/configuration.md)."`
	DataDir string `name:"data-dir" placeholder:"DIR" help:"Where Penstock keeps its CA, its projects and the secret of its keys. Default: data_dir of the configuration, /var/lib/penstock."`
}

// sources are where the settings come from. Of the flags only those count that
// stand on the command line: config reads the environment by itself.
func (f *configFlags) sources(e *env) config.Sources {
	src := config.Sources{File: f.Config, Flags: make(map[string]string), Variables: e.variables}
	if e.given["data-dir"] {
		src.Flags["data_dir"] = f.DataDir
	}
	return src
}

// load reads the configuration; what is wrong with it is wrong use.
func (f *configFlags) load(e *env) (*config.Config, error) {
	cfg, err := config.Load(f.sources(e))
	if err != nil {
		return nil, f.wrong(e, err)
	}
	return cfg, nil
}

// wrong is err, about the configuration, with the command that finds out whether
// it is mended.
func (f *configFlags) wrong(e *env, err error) error {
	check := "config check"
	if e.given["config"] {
		check += " -c " + shellWord(f.Config)
	}
	if e.given["data-dir"] {
		check += " --data-dir " + shellWord(f.DataDir)
	}
	return &exitError{exitUsage, err, check}
}

// shellWord is a word as a shell wants it.
func shellWord(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@+") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// configCmd is `penstock config`.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Find out what is wrong with a configuration, without starting anything."`
	Print configPrintCmd `cmd:"" help:"Print the configuration that counts, with the place of each value."`
}

type configCheckCmd struct {
	configFlags `embed:""`

	JSON bool `name:"json" help:"Print one JSON object."`
}

// Help is what --help says between the summary and the flags.
func (c *configCheckCmd) Help() string {
	return `Reads the file, the environment and the projects of the data directory as "penstock serve" does, and the files that they name. Exit 0: a server would start with it, if its ports are free and the data directory can be written: "penstock doctor" tries that. Exit 2: every problem is named on stderr, with file and line, and with what to do.`
}

type checkLine struct {
	OK       bool     `json:"ok"`
	Projects int      `json:"projects"`
	Problems []string `json:"problems"`
}

func (c *configCheckCmd) Run(e *env) error {
	cfg, err := config.Load(c.sources(e))
	problems, _ := errors.AsType[config.Problems](err)
	if err == nil {
		problems = app.Check(cfg)
	}
	bad := err != nil || len(problems) > 0
	if c.JSON {
		line := checkLine{OK: !bad, Projects: len(cfg.AllProjects()), Problems: append([]string{}, problems...)}
		if err := json.NewEncoder(e.stdout).Encode(line); err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
		if !line.OK {
			return &exitError{code: exitUsage}
		}
		return nil
	}
	if bad {
		for _, p := range problems {
			fmt.Fprintln(e.stderr, p)
		}
		return &exitError{code: exitUsage}
	}
	fmt.Fprintf(e.stdout, "The configuration is good: %s.\n", count(len(cfg.AllProjects()), "project"))
	return nil
}

// count writes "no project", "1 project", "2 projects".
func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type configPrintCmd struct {
	configFlags `embed:""`

	JSON bool `name:"json" help:"Print one JSON object, without the places."`
}

// Help is what --help says between the summary and the flags.
func (c *configPrintCmd) Help() string {
	return `What is printed is a configuration file with every setting, defaults included; behind each value stands where it comes from. Secrets are "[redacted]", and relative paths count from where you are, not from the file.`
}

func (c *configPrintCmd) Run(e *env) error {
	cfg, err := c.load(e)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.stdout).Encode(cfg)
	} else {
		err = cfg.WriteYAML(e.stdout)
	}
	if err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	return nil
}
