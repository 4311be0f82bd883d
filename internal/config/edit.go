package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// EditBook reads the book of the data directory, has change change it, and writes
// it; c stays as it is. The directory is made if it is missing. Others who edit
// wait. Nothing is written if change fails; its error comes back as it is.
func (c *Config) EditBook(change func(*Book) error) error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	editing := flock.New(filepath.Join(c.DataDir, "."+bookFile+".lock"), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	err := editing.Lock()
	for errors.Is(err, syscall.EINTR) {
		err = editing.Lock()
	}
	if err != nil {
		return fmt.Errorf("config: lock %s: %w", editing.Path(), err)
	}
	defer func() { _ = editing.Close() }() // the end of the process would do it too
	b, err := c.ReadBook()
	if err != nil {
		return err
	}
	if err := change(b); err != nil {
		return err
	}
	return b.Write(c.DataDir)
}
