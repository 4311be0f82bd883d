package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// makeKey writes a new key to path unless there is a file already.
func makeKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// readKey reads a P-256 key. It refuses a file that everybody may read or
// write, but not one that a group may: where a volume is shared by a group,
// Kubernetes widens the mode of each file in it.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explain(err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is a private key that everyone on this machine may open (mode %04o): run chmod 600 %s", path, mode, path)
	}
	der, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, damaged(path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, damaged(path, errors.New("not an ECDSA key on P-256"))
	}
	return key, nil
}

func readCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, damaged(path, err)
	}
	return cert, nil
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, explain(err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, damaged(path, fmt.Errorf("no PEM block %q", kind))
	}
	return block.Bytes, nil
}

func pemCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// writeNew makes a file that appears with its whole content. One that exists
// already stays as it is, and that is no error.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, text, mode)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	err = os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	// No hard links on this file system. Then the last of two processes that
	// start in the same instant wins, and the other finds out by reloading.
	if _, statErr := os.Stat(path); statErr == nil {
		return nil
	}
	return explain(os.Rename(temp, path))
}

// replace makes or replaces a file in one step.
func replace(path string, text []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, text, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return explain(err)
	}
	return nil
}

// writeTemp writes a file beside path, on the disk when it returns.
func writeTemp(path string, text []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return "", explain(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), explain(err)
}

// explain adds what to do to an error of the file system; those have the path.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return err // those who care make the file
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run as the owner of the file, or give another directory", err)
	default:
		return fmt.Errorf("%w: mend that, or give another directory", err)
	}
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s cannot be used (%w): restore it, or move it away to get a new one", path, err)
}
