package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"penstock/internal/config"
	"penstock/internal/doctor"
)

// doctorCmd is `penstock doctor`.
type doctorCmd struct {
	configFlags `embed:""`

	Project string `placeholder:"NAME" help:"Ask the far end of this project only. Default: of every project."`
	JSON    bool   `name:"json" help:"Print one JSON object for each check, and a last one with the counts."`
}

// Help is what --help says between the summary and the flags.
func (c *doctorCmd) Help() string {
	return `Examines files, keys, ports and certificates, the clock, the way to FCM through proxies and TLS, the credential, and whether FCM takes messages of the project; of a project with transport ccs, whether the far end takes the login. Each check is a line; below what is not good stands what to do.

Nothing is sent to anybody: FCM is asked to validate a message to a token that cannot exist. A server that runs goes on. Give the same -c and --data-dir as to "penstock serve", run it as the same user, and with the same environment: proxies count.

  penstock doctor -c penstock.yaml
  penstock doctor -c penstock.yaml --project shop --json

It takes a minute at most. Exit 0: nothing is bad; 1: something is; 2: the configuration cannot be read, and every problem is named; 3: nothing is bad, but something could not be tried.`
}

type doctorSummary struct {
	Summary bool `json:"summary"`
	Good    int  `json:"good"`
	Warning int  `json:"warning"`
	Bad     int  `json:"bad"`
	Unknown int  `json:"unknown"`
}

func (c *doctorCmd) Run(e *env) error {
	var failed error // of stdout
	tell := func(f doctor.Finding) {
		if failed == nil {
			failed = c.print(e.stdout, f)
		}
	}
	cfg, err := config.Load(c.sources(e))
	if err != nil {
		return c.unreadable(e, err, tell)
	}
	if c.Project != "" && !slices.ContainsFunc(cfg.AllProjects(), func(p *config.Project) bool { return p.Name == c.Project }) {
		return usage("there is no project %q: penstock project list shows those that there are", c.Project)
	}
	sum := doctor.Examine(e.ctx, cfg, &doctor.Options{Project: c.Project, Program: program()}, tell)
	if failed == nil {
		failed = c.printSummary(e.stdout, sum)
	}
	switch {
	case failed != nil:
		return fmt.Errorf("stdout: %w", failed)
	case sum.Bad > 0:
		return &exitError{code: exitFailed}
	case sum.Unknown > 0:
		return &exitError{code: exitNotTried}
	}
	return nil
}

// unreadable names every problem of a configuration, as config check does.
func (c *doctorCmd) unreadable(e *env, err error, tell func(doctor.Finding)) error {
	problems, _ := errors.AsType[config.Problems](err)
	if !c.JSON {
		for _, p := range problems {
			fmt.Fprintln(e.stderr, p)
		}
		return &exitError{code: exitUsage}
	}
	for _, p := range problems {
		tell(doctor.Finding{Check: "configuration", Subject: "all settings", Result: doctor.Bad, Text: p})
	}
	if err := c.printSummary(e.stdout, doctor.Summary{Bad: len(problems)}); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	return &exitError{code: exitUsage}
}

func (c *doctorCmd) print(w io.Writer, f doctor.Finding) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(f)
	}
	sign := map[doctor.Result]string{doctor.Good: "✓", doctor.Warning: "!", doctor.Bad: "✗", doctor.Unknown: "?"}[f.Result]
	_, err := fmt.Fprintf(w, "%s %-13s  %s: %s\n", sign, f.Check, f.Subject, f.Text)
	if err == nil && f.Fix != "" {
		_, err = fmt.Fprintf(w, "%17s→ %s\n", "", f.Fix)
	}
	return err
}

func (c *doctorCmd) printSummary(w io.Writer, s doctor.Summary) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(doctorSummary{Summary: true, Good: s.Good, Warning: s.Warning, Bad: s.Bad, Unknown: s.Unknown})
	}
	_, err := fmt.Fprintf(w, "\n%d good, %d to look at, %d bad, %d could not be tried\n", s.Good, s.Warning, s.Bad, s.Unknown)
	return err
}
