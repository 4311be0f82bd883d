package app

import (
	"context"
	"errors"
	"fmt"

	"penstock/ccsclient"
	"penstock/internal/config"
	"penstock/internal/keys"
	"penstock/internal/localca"
)

// Check finds what keeps a server from starting with a configuration that
// [config.Load] has checked, and only shows itself when it is put to use: a
// credentials file that holds something else, a key of two projects, a secret or a
// CA in the data directory that cannot be used. It reads files, makes none and
// talks to nobody; so Google's application default credentials are not looked for,
// and no address is listened on.
func Check(cfg *config.Config) config.Problems {
	problems := CheckKeys(cfg)
	for _, p := range cfg.AllProjects() {
		if err := checkWay(p); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", calledProject(cfg, p), err))
		}
	}
	if UsesOwnCA(cfg) {
		if err := localca.Check(cfg.DataDir); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems
}

// CheckKeys is the part of [Check] that is about server keys.
func CheckKeys(cfg *config.Config) config.Problems {
	secret, there, err := readSecret(cfg)
	if err != nil {
		return config.Problems{err.Error()}
	}
	if !there {
		secret = keys.NewSecret() // any: no hash is to be compared
	}
	_, err = keyring(cfg, secret)
	problems, _ := errors.AsType[config.Problems](err)
	return problems
}

// CheckProject is what [Check] does for one project that is about to be made, but
// for hashes of keys.
func CheckProject(cfg *config.Config, p *config.Project) config.Problems {
	var problems config.Problems
	for _, k := range p.Keys {
		if k.Hash == "" {
			if err := keys.Check(k.Text().Reveal()); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", calledKey(cfg, p, k), err))
			}
		}
	}
	if err := checkWay(p); err != nil {
		problems = append(problems, fmt.Sprintf("%s: %v", calledProject(cfg, p), err))
	}
	return problems
}

// checkWay puts together what connects to a project's far end.
func checkWay(p *config.Project) error {
	switch {
	case p.Transport.HasCCS:
		cred, opt, err := FarEnd(p)
		if err != nil {
			return err
		}
		if _, err := ccsclient.NewPool(p.Transport.CCS.Endpoint, cred, opt); err != nil {
			return fmt.Errorf("transport.ccs: %w", err)
		}
		return nil
	case p.Transport.FCM.ApplicationDefault:
		return checkWords(translateOf(p))
	}
	sender, err := newSender(context.Background(), p, translateOf(p), &Options{}, nil)
	if err != nil {
		return err
	}
	sender.Close()
	return nil
}
