package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"penstock/internal/config"
	"penstock/internal/keys"
)

// secretFile keeps the secret under which server keys are hashed.
const secretFile = "keys.secret"

// KeySecret returns the secret of the data directory's key hashes. It is made,
// with the directory, if there is none; two processes that do so at once get
// the same one.
func KeySecret(cfg *config.Config) (keys.Secret, error) {
	path := filepath.Join(cfg.DataDir, secretFile)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return keys.Secret{}, fmt.Errorf("app: data_dir: %w", err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(path); err != nil {
			return keys.Secret{}, fmt.Errorf("app: data_dir: %w", err)
		}
	}
	if err := cfg.Private(path); err != nil {
		return keys.Secret{}, fmt.Errorf("app: the secret of the key hashes is %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return keys.Secret{}, fmt.Errorf("app: data_dir: %w", err)
	}
	secret, err := keys.ParseSecret(string(text))
	if err != nil {
		return keys.Secret{}, fmt.Errorf("app: %s: %w: restore it, or remove it and make every server key anew", path, err)
	}
	return secret, nil
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
