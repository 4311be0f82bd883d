package config

import (
	"errors"
	"fmt"
	"io/fs"
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

// A Stamp tells whether a file has changed.
type Stamp struct{ info fs.FileInfo }

// BookStamp looks at the book of a data directory.
func BookStamp(dataDir string) (Stamp, error) {
	info, err := os.Stat(BookPath(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}, nil
	}
	return Stamp{info}, err
}

// Same reports whether nothing has changed since t. Each writing makes another
// file, so that two in one instant are told apart.
func (s Stamp) Same(t Stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.ModTime().Equal(t.info.ModTime()) && s.info.Size() == t.info.Size()
}
