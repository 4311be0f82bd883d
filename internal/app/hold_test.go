package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/app"
)

func TestR_F42_OneHoldsADirectoryAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	release, err := app.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(by string) {
		t.Helper()
		second, err := app.Hold(dir)
		held, ok := errors.AsType[*app.HeldError](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		if second != nil || held.Dir != dir || held.By != by || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), by) {
			t.Errorf("got %q", err)
		}
		if strings.Contains(err.Error(), "()") {
			t.Errorf("got %q", err)
		}
	}
	lock := filepath.Join(dir, ".server.lock")
	says := func(text string) {
		t.Helper()
		if err := os.WriteFile(lock, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused(fmt.Sprint("process ", os.Getpid()))
	for text, by := range map[string]string{
		"17 db-1.example\n":                      "process 17 on db-1.example",
		"17 \n":                                  "process 17",
		"":                                       "",
		"17":                                     "",
		"17 \x1b[2J\n":                           "",
		"all of them\n":                          "",
		"17 " + strings.Repeat("a", 1000) + "\n": "",
	} {
		says(text)
		refused(by)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(lock); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock is %v, %v", info.Mode(), err)
	}

	release()
	says("99 elsewhere\n") // of one that was killed
	release, err = app.Hold(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	refused(fmt.Sprint("process ", os.Getpid()))
	release()
}

func TestHoldOfWhatCannotBeADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Hold(file); err == nil || !strings.HasPrefix(err.Error(), "app: data_dir: mkdir "+file) {
		t.Errorf("got %v", err)
	} else if _, ok := errors.AsType[*app.ConfigError](err); !ok {
		t.Errorf("it is no error of the configuration: %T", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".server.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Hold(dir); err == nil || !strings.HasPrefix(err.Error(), "app: data_dir: lock "+dir) {
		t.Errorf("got %v", err)
	}
}
