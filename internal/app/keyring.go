package app

import (
	"fmt"

	"penstock/internal/config"
	"penstock/internal/keys"
)

// keyring is every project of a configuration with its keys, hashed with secret.
// The error is [config.Problems].
func keyring(cfg *config.Config, secret keys.Secret) ([]keys.Project, error) {
	var list []keys.Project
	var problems config.Problems
	type owned struct{ project, called string }
	owners := make(map[keys.Hash]owned)
	for _, p := range cfg.AllProjects() {
		k := keys.Project{Name: p.Name, ProjectID: p.ProjectID, SenderID: p.Sender()}
		for _, key := range p.Keys {
			called := calledKey(cfg, p, key)
			one, err := record(secret, p, key)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", called, err))
				continue
			}
			first, taken := owners[one.Hash]
			if taken && first.project != p.Name {
				problems = append(problems, fmt.Sprintf("%s is the same as %s, so that nobody could tell for whom it speaks: give each project keys of its own", called, first.called))
				continue
			}
			if !taken {
				owners[one.Hash] = owned{p.Name, called}
			}
			k.Keys = append(k.Keys, one)
		}
		list = append(list, k)
	}
	if len(problems) > 0 {
		return list, problems
	}
	return list, nil
}

// calledProject is what messages call a project: its name, and where it stands.
func calledProject(cfg *config.Config, p *config.Project) string {
	return "project " + p.Name + standing(cfg, "projects."+p.Name)
}

func calledKey(cfg *config.Config, p *config.Project, k *config.Key) string {
	return "key " + k.Name + " of project " + p.Name + standing(cfg, "projects."+p.Name+".keys."+k.Name)
}

// standing says where a value stands, in parentheses. What is about to be made
// stands nowhere yet.
func standing(cfg *config.Config, path string) string {
	if at := cfg.Place(path); at != "default" {
		return " (" + at + ")"
	}
	return ""
}

func record(secret keys.Secret, p *config.Project, k *config.Key) (keys.Record, error) {
	r := keys.Record{Name: k.Name}
	for _, f := range k.Fronts {
		r.Fronts = append(r.Fronts, keys.Front(f))
	}
	if k.Hash != "" {
		if id := secret.ID(); k.SecretID != "" && k.SecretID != id {
			return r, fmt.Errorf("it was hashed with another secret (%s) than the one that counts (%s), and does not work: restore %s from a backup, or make another key with penstock project key %s and take this one away with --revoke %s",
				k.SecretID, id, secretFile, p.Name, k.Name)
		}
		return r, r.Hash.UnmarshalText([]byte(k.Hash))
	}
	text := k.Text().Reveal()
	if err := keys.Check(text); err != nil {
		return r, err
	}
	r.Hash = secret.Hash(text)
	return r, nil
}
