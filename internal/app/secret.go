package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"penstock/internal/config"
	"penstock/internal/keys"
)

// secretFile keeps the secret under which server keys are hashed.
const secretFile = "keys.secret"

// SecretPath is the path of the secret of the key hashes in a data directory.
func SecretPath(dataDir string) string { return filepath.Join(dataDir, secretFile) }

// A LostSecretError says that the secret of key hashes is not there: none of these
// keys works any more.
type LostSecretError struct {
	Path string
	Keys []string // such as "key default of project shop"
}

func (e *LostSecretError) Error() string {
	const few = 3
	named := strings.Join(e.Keys[:min(few, len(e.Keys))], ", ")
	if more := len(e.Keys) - few; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s is missing, and without it no key works that was hashed with it (%s): restore it from a backup of the data directory, or make each key anew with penstock project key, and take the old one away with --revoke", e.Path, named)
}

// KeySecret returns the secret of the data directory's key hashes. It is made,
// with the directory, if there is none; two processes that do so at once get the
// same one. Where keys of cfg were hashed with the one that is missing, nothing is
// made, and the error wraps a [*LostSecretError]. What has to be mended in the data
// directory is a [*ConfigError].
func KeySecret(cfg *config.Config) (keys.Secret, error) {
	secret, there, err := readSecret(cfg)
	if err != nil || there {
		return secret, err
	}
	return NewKeySecret(cfg)
}

// NewKeySecret is KeySecret for whoever makes keys anew: it makes a secret though
// keys were hashed with the one that is missing.
func NewKeySecret(cfg *config.Config) (keys.Secret, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return keys.Secret{}, dataDirError(err)
	}
	path := SecretPath(cfg.DataDir)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(path); err != nil {
			return keys.Secret{}, dataDirError(err)
		}
	}
	secret, _, err := readSecret(cfg)
	return secret, err
}

// readSecret reads the secret and makes none; there tells whether there is one.
func readSecret(cfg *config.Config) (secret keys.Secret, there bool, err error) {
	path := SecretPath(cfg.DataDir)
	if err := cfg.Private(path); err != nil {
		return secret, false, &ConfigError{fmt.Errorf("the secret of the key hashes is %w", err)}
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if lost := hashedKeys(cfg); len(lost) > 0 {
			return secret, false, &ConfigError{&LostSecretError{path, lost}}
		}
		return secret, false, nil
	}
	if err != nil {
		return secret, false, dataDirError(err)
	}
	secret, err = keys.ParseSecret(string(text))
	if err != nil {
		return secret, false, &ConfigError{fmt.Errorf("%s: %w: restore it from a backup of the data directory, or remove it and make every server key anew", path, err)}
	}
	return secret, true, nil
}

// hashedKeys names the keys that nothing but their hash is known of.
func hashedKeys(cfg *config.Config) []string {
	var names []string
	for _, p := range cfg.AllProjects() {
		for _, k := range p.Keys {
			if k.Hash != "" {
				names = append(names, "key "+k.Name+" of project "+p.Name)
			}
		}
	}
	return names
}

// makeSecret writes a new secret. The file appears whole, and never replaces
// one that another process has made meanwhile.
func makeSecret(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+secretFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(keys.NewSecret().Reveal() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil { // no hard links on this file system
		return os.Rename(f.Name(), path)
	}
	return nil
}
