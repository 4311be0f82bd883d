package config

import (
	"errors"
	"io/fs"
	"os"
)

// Changed reports whether projects.json, or a file with a server key, is another
// one than when c was read. Each editing makes another projects.json, so that two
// in one instant are told apart. A file with a key that is missing is no change:
// it is being replaced.
func (c *Config) Changed() bool {
	book, err := stat(BookPath(c.DataDir))
	if err != nil || !same(book, c.Book.info) {
		return true
	}
	for path, before := range c.keyFiles {
		now, err := stat(path)
		if err != nil || now != nil && !same(now, before) {
			return true
		}
	}
	return false
}

// stat is nil for a file that is not there.
func stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// same reports whether nothing has changed from one stat to the other.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
