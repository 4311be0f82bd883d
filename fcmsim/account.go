package fcmsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
)

// serviceAccountFile is the key file that a simulator's directory holds, as
// Google's console hands them out. It keeps the key for the next start.
const serviceAccountFile = "service-account.json"

// defaultProjectID is the project of a simulator that was told no other one.
const defaultProjectID = "penstock-sim"

// isProjectID says whether Google would take s for a project's id: 6 to 30
// small letters, digits and hyphens, of which the first is a letter and the
// last no hyphen.
func isProjectID(s string) bool {
	if len(s) < 6 || len(s) > 30 || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// An account is the one service account of the simulator's project.
type account struct {
	project string

	once sync.Once // makes the key if the directory has none
	key  *rsa.PrivateKey
}

// A keyFile is a service account's key as its owner gets it.
type keyFile struct {
	Type           string `json:"type"`
	ProjectID      string `json:"project_id"`
	PrivateKeyID   string `json:"private_key_id"`
	PrivateKey     string `json:"private_key"`
	ClientEmail    string `json:"client_email"`
	ClientID       string `json:"client_id"`
	AuthURI        string `json:"auth_uri"`
	TokenURI       string `json:"token_uri"`
	UniverseDomain string `json:"universe_domain"`
}

// openAccount reads the key that dir keeps. Without one, the key is made when
// it is first needed: most simulators in tests never do, and it takes a while.
func openAccount(dir, project string) (*account, error) {
	a := &account{project: project}
	if dir == "" {
		return a, nil
	}
	path := filepath.Join(dir, serviceAccountFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, nil
	case err != nil:
		return nil, fmt.Errorf("%w: make it readable, or give another directory", err)
	}
	if a.key, err = parseKeyFile(text); err != nil {
		return nil, fmt.Errorf("%s cannot be used (%w): restore it, or remove it to get a new key", path, err)
	}
	return a, nil
}

func parseKeyFile(text []byte) (*rsa.PrivateKey, error) {
	var f keyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(f.PrivateKey))
	if block == nil {
		return nil, errors.New("its private_key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private_key is not RSA's")
	}
	return key, nil
}

// private returns the account's key.
func (a *account) private() *rsa.PrivateKey {
	a.once.Do(func() {
		if a.key != nil {
			return
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // neither the size nor crypto/rand.Reader can fail
		}
		a.key = key
	})
	return a.key
}

// fingerprint is what the ids of key and account are made of, so that the same
// key always has the same ones.
func (a *account) fingerprint() [sha256.Size]byte {
	return sha256.Sum256(x509.MarshalPKCS1PublicKey(&a.private().PublicKey))
}

// keyID has 40 hexadecimal digits, as Google's have.
func (a *account) keyID() string {
	sum := a.fingerprint()
	return hex.EncodeToString(sum[:20])
}

// clientID has 21 decimal digits.
func (a *account) clientID() string {
	sum := a.fingerprint()
	n := new(big.Int).SetBytes(sum[:8])
	return fmt.Sprintf("1%020d", n)
}

func (a *account) email() string {
	return "penstock@" + a.project + ".iam.gserviceaccount.com"
}

// file is the key file of the account, with the token endpoint at tokenURI.
func (a *account) file(tokenURI string) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(a.private())
	if err != nil {
		panic(err) // an RSA key can always be written
	}
	text, err := json.MarshalIndent(keyFile{
		Type:           "service_account",
		ProjectID:      a.project,
		PrivateKeyID:   a.keyID(),
		PrivateKey:     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ClientEmail:    a.email(),
		ClientID:       a.clientID(),
		AuthURI:        "https://accounts.google.com/o/oauth2/auth",
		TokenURI:       tokenURI,
		UniverseDomain: "googleapis.com",
	}, "", "  ")
	if err != nil {
		panic(err) // strings can always be written
	}
	return append(text, '\n')
}

// ServiceAccountJSON is the key file of the simulator's service account. Its
// token_uri is the simulator's plain HTTP face, so that fetching a token needs no
// certificate; before Start, and without such a face, it is Google's.
func (s *Sim) ServiceAccountJSON() []byte {
	return s.account.file(tokenURI(s.PlainURL()))
}

func tokenURI(plainURL string) string {
	if plainURL == "" {
		return googleTokenURI
	}
	return plainURL + tokenPath
}

// ServiceAccountFile is the path of the key file; empty without [Options.Dir],
// and without HTTP. [Sim.Start] writes it anew: the port may be another one.
func (s *Sim) ServiceAccountFile() string {
	if s.opt.Dir == "" || !s.opt.wantsHTTP() {
		return ""
	}
	return filepath.Join(s.opt.Dir, serviceAccountFile)
}

// keepServiceAccount writes the key file. Called with life held.
func (s *Sim) keepServiceAccount() error {
	path := s.ServiceAccountFile()
	if path == "" {
		return nil
	}
	url := ""
	if len(s.web.plainListeners) > 0 {
		url = "http://" + Dialable(s.web.plainListeners[0].Addr().String())
	}
	if err := replaceFile(path, s.account.file(tokenURI(url))); err != nil {
		return fmt.Errorf("fcmsim: %w: make the directory writable, with room in it, or give another one", err)
	}
	return nil
}
