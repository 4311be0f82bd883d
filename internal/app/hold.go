package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// holdFile is locked by whoever serves from a data directory. It says who that
// is, and stays when nobody does: a file that is removed while others open it
// could be locked twice.
const holdFile = ".server.lock"

// A HeldError says that another process serves from a data directory.
type HeldError struct {
	Dir string
	By  string // such as "process 17", or "process 17 on db-1"; empty: nobody knows
}

func (e *HeldError) Error() string {
	by := ""
	if e.By != "" {
		by = " (" + e.By + ")"
	}
	return fmt.Sprintf("another Penstock%s serves from the data directory %s: end it first, or give this one a directory of its own", by, e.Dir)
}

// Hold keeps a data directory for one server, and has to be called before
// anything in the directory is made or changed. The directory is made if it is
// missing. If another process, or another caller in this one, holds it, the
// error is a [*HeldError], and nothing has changed. The hold ends with release,
// or with the process, however that ends. Commands that edit projects.json need
// none: see [config.Config.EditBook].
func Hold(dataDir string) (release func(), err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, &ConfigError{dataDirError(err)}
	}
	path := filepath.Join(dataDir, holdFile)
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return func() {}, nil // who may not write here spoils nothing here
	case err != nil:
		return nil, &ConfigError{fmt.Errorf("app: data_dir: lock %s: %w", path, err)}
	case !held:
		return nil, &HeldError{dataDir, holder(path)}
	}
	// For people alone: where it cannot be written, it is not known.
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d %s\n", os.Getpid(), hostName()), 0o600)
	return func() { _ = lock.Close() }, nil
}

// dataDirError adds to an error of the file system, which has the path, what to
// do about it.
func dataDirError(err error) error {
	return fmt.Errorf("app: data_dir: %w: %s", err, DataDirFix(err))
}

// DataDirFix says what to do about a data directory that cannot be used, for err.
func DataDirFix(err error) string {
	do := "mend that"
	switch {
	case errors.Is(err, fs.ErrPermission):
		do = "let the user that Penstock runs as own it"
	case errors.Is(err, syscall.EROFS):
		do = "mount it so that it can be written to"
	case errors.Is(err, syscall.ENOSPC):
		do = "make room there"
	}
	return do + ", or give another with --data-dir"
}

var holderLine = regexp.MustCompile(`^([0-9]{1,10}) ([A-Za-z0-9._-]{0,255})\n$`)

// holder is who holds the directory, as far as it is known.
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 512))
	line := holderLine.FindStringSubmatch(string(text))
	switch {
	case err != nil || line == nil:
		return ""
	case line[2] == hostName():
		return "process " + line[1]
	}
	return strings.TrimSuffix("process "+line[1]+" on "+line[2], " on ")
}

// hostName tells apart machines and containers that share a directory.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
