package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Tests run as root see no refused permission, and nobody fills a disk for them, so
// these are made by hand.
func TestErrorsOfTheDataDirSayWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{syscall.EACCES, "app: data_dir: mkdir /x: permission denied: let the user that Penstock runs as own it, or give another with --data-dir"},
		{syscall.EROFS, "app: data_dir: mkdir /x: read-only file system: mount it so that it can be written to, or give another with --data-dir"},
		{syscall.ENOSPC, "app: data_dir: mkdir /x: no space left on device: make room there, or give another with --data-dir"},
		{syscall.EIO, "app: data_dir: mkdir /x: input/output error: mend that, or give another with --data-dir"},
	} {
		err := dataDirError(&fs.PathError{Op: "mkdir", Path: "/x", Err: tt.cause})
		if err.Error() != tt.want {
			t.Errorf("got  %s\nwant %s", err, tt.want)
		}
		if !errors.Is(err, tt.cause) {
			t.Errorf("%s: the cause is lost", err)
		}
	}
}

func TestADataDirThatIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Hold(file)
	if wrong, is := errors.AsType[*ConfigError](err); !is || !strings.HasSuffix(wrong.Error(), ": mend that, or give another with --data-dir") {
		t.Errorf("got %v", err)
	}
}
