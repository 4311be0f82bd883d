package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 397 * 24 * time.Hour // Apple's and Mozilla's limit for a server
	renewEarly = 30 * 24 * time.Hour  // a kept server certificate must last at least so long
	backdate   = time.Hour            // for clients whose clock is slow
)

// The files of a directory.
const (
	caFile        = "ca.pem"
	caKeyFile     = "ca-key.pem"
	serverFile    = "server.pem"
	serverKeyFile = "server-key.pem"
)

// Options are what a [CA] may be told; the zero value is the default.
type Options struct {
	// Name is the authority's common name when it is made. Default: "Penstock
	// local CA" and eight digits of its key's hash, so that two of them can
	// stand side by side in one trust store.
	Name string
}

// A CA signs server certificates. Its methods may be called by several
// goroutines, and several processes may share its directory.
type CA struct {
	dir  string // empty: in memory only
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex        // guards what follows, and orders this process's writes
	server tls.Certificate   // the newest; empty before the first call of Server
	srvKey *ecdsa.PrivateKey // in memory only: its key
}

// Open returns the authority that dir holds. If there is none it makes one,
// with the directory if need be; two processes that do so at once get the same
// one. With an empty dir the authority lives and dies with the process. An error
// says which file is at fault and what to do.
func Open(dir string, opt *Options) (*CA, error) {
	if opt == nil {
		opt = &Options{}
	}
	if dir == "" {
		key, err := newKey()
		if err != nil {
			return nil, fmt.Errorf("localca: %w", err)
		}
		der, err := selfSign(key, opt.Name)
		if err != nil {
			return nil, fmt.Errorf("localca: %w", err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("localca: %w", err)
		}
		return &CA{cert: cert, key: key}, nil
	}
	ca := &CA{dir: dir}
	if err := ca.load(opt.Name); err != nil {
		return nil, fmt.Errorf("localca: %w", err)
	}
	return ca, nil
}

// CertPath is the path of the authority's certificate in a directory.
func CertPath(dir string) string { return filepath.Join(dir, caFile) }

// KeyPaths are those of the private keys in a directory: the authority's, and the
// server's.
func KeyPaths(dir string) []string {
	return []string{filepath.Join(dir, caKeyFile), filepath.Join(dir, serverKeyFile)}
}

// Check finds what of a directory would keep [Open] or [CA.Server] from working.
// It makes nothing; what is missing and would be made is fine.
func Check(dir string) error {
	_, err := os.Stat(CertPath(dir))
	if err == nil {
		err = (&CA{dir: dir}).load("") // with a certificate it makes nothing
	}
	for _, path := range KeyPaths(dir) {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			_, err = readKey(path)
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("localca: %w", err)
}

// load reads the authority, and makes what is missing. The key comes into being
// before the certificate, so whoever sees the certificate sees the key too, and
// a process that died in between has done no harm. Each file appears whole or
// not at all, and never replaces one that is there.
func (ca *CA) load(name string) error {
	if err := os.MkdirAll(ca.dir, 0o700); err != nil {
		return explain(err)
	}
	certPath, keyPath := filepath.Join(ca.dir, caFile), filepath.Join(ca.dir, caKeyFile)

	cert, err := readCert(certPath)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	if fresh {
		if err := makeKey(keyPath); err != nil {
			return err
		}
	}
	key, err := readKey(keyPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing, but %s is there: restore the key, or remove %s to get a new CA (every program that trusts the old one must then be given the new one)",
			keyPath, certPath, certPath)
	case err != nil:
		return err
	}
	if fresh {
		der, err := selfSign(key, name)
		if err != nil {
			return err
		}
		if err := writeNew(certPath, pemCert(der), 0o644); err != nil {
			return err
		}
		if cert, err = readCert(certPath); err != nil { // perhaps another process's
			return err
		}
	}

	again := fmt.Sprintf("move %s and %s away to get a new CA (every program that trusts the old one must then be given the new one)", certPath, keyPath)
	switch {
	case !key.PublicKey.Equal(cert.PublicKey):
		return fmt.Errorf("%s and %s do not belong together: restore the right one, or %s", certPath, keyPath, again)
	case !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%s is not the certificate of a CA: %s", certPath, again)
	case time.Now().After(cert.NotAfter):
		return fmt.Errorf("%s expired on %s: %s", certPath, cert.NotAfter.Format(time.DateOnly), again)
	}
	ca.cert, ca.key = cert, key
	return nil
}

// CertFile returns the path of ca.pem, which clients must trust; empty if the
// authority is in memory only.
func (ca *CA) CertFile() string {
	if ca.dir == "" {
		return ""
	}
	return filepath.Join(ca.dir, caFile)
}

// PEM returns the authority's certificate, the content of [CA.CertFile].
func (ca *CA) PEM() []byte { return pemCert(ca.cert.Raw) }

// Pool returns a new pool with the authority's certificate alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Server returns a certificate for host names and IP addresses; nil means
// [DefaultNames]. The directory keeps one certificate: it is used again as
// long as it covers names and is valid for another 30 days, else a new one, for
// 397 days, takes its place.
func (ca *CA) Server(names []string) (tls.Certificate, error) {
	if names == nil {
		names = DefaultNames()
	}
	cert, err := ca.serve(names)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("localca: server certificate: %w", err)
	}
	return cert, nil
}

func (ca *CA) serve(names []string) (tls.Certificate, error) {
	if len(names) == 0 || slices.Contains(names, "") {
		return tls.Certificate{}, fmt.Errorf("a name is missing in %q", names)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()

	if ca.dir == "" {
		if ca.srvKey == nil {
			key, err := newKey()
			if err != nil {
				return tls.Certificate{}, err
			}
			ca.srvKey = key
		}
		if ca.server.Leaf != nil && ca.good(ca.server.Leaf, names) {
			return ca.server, nil
		}
		der, leaf, err := ca.sign(ca.srvKey, names)
		if err != nil {
			return tls.Certificate{}, err
		}
		ca.server = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.srvKey, Leaf: leaf}
		return ca.server, nil
	}

	// The key is made once, like the authority's; only certificates are
	// replaced. So whatever another process writes, file and key match.
	certPath, keyPath := filepath.Join(ca.dir, serverFile), filepath.Join(ca.dir, serverKeyFile)
	if err := makeKey(keyPath); err != nil {
		return tls.Certificate{}, err
	}
	key, err := readKey(keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	kept, err := readCert(certPath)
	if err == nil && key.PublicKey.Equal(kept.PublicKey) && ca.good(kept, names) {
		return tls.Certificate{Certificate: [][]byte{kept.Raw}, PrivateKey: key, Leaf: kept}, nil
	}
	// A server certificate is worth nothing by itself, so whatever is wrong
	// with the kept one, a new one mends it.
	der, leaf, err := ca.sign(key, names)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := replace(certPath, pemCert(der), 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// good reports whether leaf can still serve names.
func (ca *CA) good(leaf *x509.Certificate, names []string) bool {
	now := time.Now()
	until := now.Add(renewEarly)
	if until.After(ca.cert.NotAfter) {
		until = now // no new one would last longer
	}
	if now.Before(leaf.NotBefore) || until.After(leaf.NotAfter) || leaf.CheckSignatureFrom(ca.cert) != nil {
		return false
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

func (ca *CA) sign(key *ecdsa.PrivateKey, names []string) ([]byte, *x509.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Penstock server", Organization: []string{ca.cert.Subject.CommonName}},
		NotBefore:             latest(now.Add(-backdate), ca.cert.NotBefore),
		NotAfter:              earliest(now.Add(serverLife), ca.cert.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return der, leaf, err
}

// DefaultNames are the names by which a program may look for this machine: its
// own, those of loopback, and those of Google's endpoints.
func DefaultNames() []string {
	names := []string{
		"localhost", "127.0.0.1", "::1",
		"fcm-xmpp.googleapis.com", "gcm-xmpp.googleapis.com", "gcm-preprod.googleapis.com",
		"gcm.googleapis.com", "fcm.googleapis.com",
		"gcm-http.googleapis.com", "android.googleapis.com", // where GCM took what fcm.googleapis.com took later
		"oauth2.googleapis.com", "iid.googleapis.com",
	}
	// A machine may be called what no certificate can say.
	if host, err := os.Hostname(); err == nil && isHostName(host) && !slices.Contains(names, host) {
		names = append(names, host)
	}
	return names
}

func isHostName(s string) bool {
	if s == "" || len(s) > 253 || net.ParseIP(s) != nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func selfSign(key *ecdsa.PrivateKey, name string) ([]byte, error) {
	if name == "" {
		public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(public)
		name = fmt.Sprintf("Penstock local CA %x", sum[:4])
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
