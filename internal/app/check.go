package app

import (
	"context"
	"fmt"

	"penstock/internal/config"
	"penstock/internal/keys"
)

// Check finds what is wrong with projects of cfg that [config.Load] has checked
// and only shows itself when they are put to use: a credentials file that holds
// something else, a key that no header would carry. It reads files, makes none
// and talks to nobody; so Google's application default credentials are not
// looked for.
func Check(cfg *config.Config, projects []*config.Project) config.Problems {
	var problems config.Problems
	secret := keys.NewSecret() // any: nothing is compared with these hashes
	for _, p := range projects {
		called := "project " + p.Name
		if at := cfg.Place("projects." + p.Name); at != "default" {
			called += " (" + at + ")"
		}
		for _, k := range p.Keys {
			if _, err := record(secret, k); err != nil {
				problems = append(problems, fmt.Sprintf("key %s of %s: %v", k.Name, called, err))
			}
		}
		if p.Transport.HasCCS || p.Transport.FCM.ApplicationDefault {
			continue
		}
		sender, err := newSender(context.Background(), p, translateOf(p), &Options{}, nil)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", called, err))
			continue
		}
		sender.Close()
	}
	return problems
}
