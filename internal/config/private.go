package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// Private explains why a file or directory with secrets is readable for more
// people than key_files_readable_by allows, and what to run. One that is not
// there is private.
func (c *Config) Private(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s, which cannot be looked at: %s", path, missing(err))
	}
	if runtime.GOOS == "windows" {
		return nil // the mode says nothing there
	}
	var bad fs.FileMode
	var who string
	switch c.KeyFilesReadableBy {
	case "everyone":
		return nil
	case "group":
		bad, who = 0o007, "everyone on this machine"
	default:
		bad, who = 0o077, "others than its owner"
	}
	mode := info.Mode().Perm()
	if mode&bad == 0 {
		return nil
	}
	if info.IsDir() {
		return fmt.Errorf("%s, which %s may open (mode %04o): run chmod %o %s", path, who, mode, mode&^bad, path)
	}
	return fmt.Errorf("%s, which %s may open (mode %04o): run chmod %o %s, or set key_files_readable_by", path, who, mode, mode&^bad, path)
}
