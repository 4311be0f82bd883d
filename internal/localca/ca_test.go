package localca_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/ccstest"
	"penstock/internal/localca"
)

func open(t *testing.T, dir string) *localca.CA {
	t.Helper()
	ca, err := localca.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func server(t *testing.T, ca *localca.CA, names ...string) tls.Certificate {
	t.Helper()
	cert, err := ca.Server(names)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// wantHandshake connects as a client that trusts ca alone and looks for name.
func wantHandshake(t *testing.T, ca *localca.CA, cert tls.Certificate, name string) {
	t.Helper()
	near, far := ccstest.Pipe()
	defer near.Close()
	defer far.Close()
	go tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	if err := tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: name}).Handshake(); err != nil {
		t.Errorf("handshake for %q: %v", name, err)
	}
}

func wantMode(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != mode && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %04o; want %04o", path, got, mode)
	}
}

func TestTheDirectoryKeepsOneAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "tls")
	first := open(t, dir)
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Join(dir, "ca-key.pem"), 0o600)
	if first.CertFile() != filepath.Join(dir, "ca.pem") {
		t.Errorf("CertFile = %q", first.CertFile())
	}
	text, err := os.ReadFile(first.CertFile())
	if err != nil || !bytes.Equal(text, first.PEM()) {
		t.Errorf("PEM is not what ca.pem holds (%v)", err)
	}

	second := open(t, dir)
	if !bytes.Equal(first.PEM(), second.PEM()) {
		t.Error("opened again, the directory gave another CA")
	}
	// What the second signs, a client of the first accepts.
	for _, name := range localca.DefaultNames() {
		wantHandshake(t, first, server(t, second), name)
	}
	wantMode(t, filepath.Join(dir, "server-key.pem"), 0o600)
	entries, _ := os.ReadDir(dir)
	if len(entries) != 4 {
		t.Errorf("the directory holds %v; want four files and no temporary ones", entries)
	}
}

func TestWhatTheAuthorityIs(t *testing.T) {
	ca := open(t, "")
	cert := parse(t, ca.PEM())
	switch {
	case ca.CertFile() != "":
		t.Errorf("CertFile = %q; want none for a CA in memory", ca.CertFile())
	case !strings.HasPrefix(cert.Subject.CommonName, "Penstock local CA "):
		t.Errorf("name %q", cert.Subject.CommonName)
	case !cert.BasicConstraintsValid || !cert.IsCA:
		t.Error("not a CA by its basic constraints")
	case cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		t.Errorf("key usage %b", cert.KeyUsage)
	case len(cert.SubjectKeyId) == 0:
		t.Error("no subject key id")
	case time.Until(cert.NotAfter) < 3649*24*time.Hour || time.Until(cert.NotAfter) > 3651*24*time.Hour:
		t.Errorf("ends %v; want in ten years", cert.NotAfter)
	case !time.Now().After(cert.NotBefore):
		t.Errorf("begins %v; want some time ago, for slow clocks", cert.NotBefore)
	}
	if other := parse(t, open(t, "").PEM()); other.Subject.CommonName == cert.Subject.CommonName {
		t.Error("two authorities have one name")
	}
	named, err := localca.Open("", &localca.Options{Name: "Shop CA"})
	if err != nil || parse(t, named.PEM()).Subject.CommonName != "Shop CA" {
		t.Errorf("the name asked for was not taken (%v)", err)
	}
}

// Old programs have these names built in.
func TestTheDefaultNamesAreThoseThatOldProgramsCall(t *testing.T) {
	leaf := server(t, open(t, ""), localca.DefaultNames()...).Leaf
	for _, name := range []string{
		"fcm-xmpp.googleapis.com", "gcm-xmpp.googleapis.com", "gcm-preprod.googleapis.com", "gcm.googleapis.com", // CCS
		"fcm.googleapis.com", "gcm-http.googleapis.com", "android.googleapis.com", // /fcm/send, /gcm/send
		"oauth2.googleapis.com", "iid.googleapis.com",
		"localhost", "127.0.0.1", "::1",
	} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if leaf.VerifyHostname("www.googleapis.com") == nil {
		t.Error("it serves a name that is nobody's endpoint")
	}
}

func TestWhatTheServerCertificateIs(t *testing.T) {
	ca := open(t, "")
	leaf := server(t, ca, "push.example.org", "192.0.2.7", "2001:db8::7").Leaf
	if leaf == nil || leaf.IsCA {
		t.Fatalf("leaf %v; want a certificate that is no CA", leaf)
	}
	if life := time.Until(leaf.NotAfter); life < 396*24*time.Hour || leaf.NotAfter.Sub(leaf.NotBefore) > 398*24*time.Hour {
		t.Errorf("lasts %v; want 397 days, and no more than 398", life)
	}
	for _, name := range []string{"push.example.org", "192.0.2.7", "2001:db8::7"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Error(err)
		}
	}
	if leaf.VerifyHostname("gcm.googleapis.com") == nil {
		t.Error("it serves a name that nobody asked for")
	}
	for _, names := range [][]string{{}, {"a", ""}} {
		if _, err := ca.Server(names); err == nil {
			t.Errorf("names %q were accepted", names)
		}
	}
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAServerCertificateIsUsedAgainWhileItWillDo(t *testing.T) {
	for name, dir := range map[string]string{"on disk": t.TempDir(), "in memory": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the year 2000: what it signs has no other use
				ca := open(t, dir)
				again := func() *localca.CA {
					if dir == "" {
						return ca
					}
					return open(t, dir)
				}
				first := server(t, ca, "a.example.org", "127.0.0.1")
				same := func(c tls.Certificate) bool { return equal(c, first) }
				if !same(server(t, again(), "127.0.0.1")) {
					t.Error("fewer names: a new one was made")
				}
				if first = server(t, again(), "b.example.org"); same(server(t, again(), "a.example.org")) {
					t.Error("another name: the old one was used")
				}
				first = server(t, again(), "a.example.org")
				time.Sleep(366 * 24 * time.Hour)
				if !same(server(t, again(), "a.example.org")) {
					t.Error("31 days before its end: a new one was made")
				}
				time.Sleep(2 * 24 * time.Hour)
				renewed := server(t, again(), "a.example.org")
				if same(renewed) {
					t.Error("29 days before its end: the old one was used")
				}
				wantHandshake(t, ca, renewed, "a.example.org")
				if !equal(renewed, server(t, again(), "a.example.org")) {
					t.Error("the renewed one was not kept")
				}

				// Never longer than the authority; and close to its end the
				// last one is kept, since a new one would last no longer.
				end := parse(t, ca.PEM()).NotAfter
				time.Sleep(time.Until(end.Add(-100 * 24 * time.Hour)))
				last := server(t, again(), "a.example.org")
				if !last.Leaf.NotAfter.Equal(end) {
					t.Errorf("the last one ends %v; want with the authority, %v", last.Leaf.NotAfter, end)
				}
				time.Sleep(99 * 24 * time.Hour)
				if !equal(last, server(t, again(), "a.example.org")) {
					t.Error("the last one was not kept")
				}
			})
		})
	}
}

func equal(a, b tls.Certificate) bool { return bytes.Equal(a.Certificate[0], b.Certificate[0]) }

func TestAServerCertificateOfNoUseIsReplaced(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"signed by another authority": func(t *testing.T, dir string) {
			other := t.TempDir()
			server(t, open(t, other), "localhost")
			move(t, filepath.Join(other, "server.pem"), dir)
			move(t, filepath.Join(other, "server-key.pem"), dir)
		},
		"for another key": func(t *testing.T, dir string) {
			other := t.TempDir()
			server(t, open(t, other), "localhost")
			move(t, filepath.Join(other, "server-key.pem"), dir)
		},
		"damaged": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "server.pem"), "junk", 0o644) },
		"gone":    func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "server.pem")) },
		"gone with its key": func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "server.pem"))
			os.Remove(filepath.Join(dir, "server-key.pem"))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ca := open(t, dir)
			server(t, ca, "localhost")
			spoil(t, dir)
			wantHandshake(t, ca, server(t, open(t, dir), "localhost"), "localhost")
			kept, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			wantHandshake(t, ca, kept, "localhost")
		})
	}
}

func move(t *testing.T, file, dir string) {
	t.Helper()
	if err := os.Rename(file, filepath.Join(dir, filepath.Base(file))); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("modes of files mean nothing here")
		return
	}
	cases := map[string]struct {
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		"the key can be read by everyone": {
			func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, "ca-key.pem"), 0o644) },
			[]string{"ca-key.pem", "0644", "run chmod 600 "},
		},
		"the server's key can be read by everyone": {
			func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, "server-key.pem"), 0o604) },
			[]string{"server-key.pem", "0604", "run chmod 600 "},
		},
		"key and certificate do not match": {
			func(t *testing.T, dir string) {
				other := t.TempDir()
				open(t, other)
				move(t, filepath.Join(other, "ca-key.pem"), dir)
			},
			[]string{"ca.pem", "ca-key.pem", "do not belong together", "restore"},
		},
		"the key is missing": {
			func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "ca-key.pem")) },
			[]string{"ca-key.pem is missing", "restore the key, or remove"},
		},
		"the certificate is damaged": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "ca.pem"), "junk", 0o644) },
			[]string{"ca.pem cannot be used", "restore it, or move it away"},
		},
		"the key is damaged": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "ca-key.pem"), "junk", 0o600) },
			[]string{"ca-key.pem cannot be used", "restore it, or move it away"},
		},
		"the certificate is a directory": {
			func(t *testing.T, dir string) {
				os.Remove(filepath.Join(dir, "ca.pem"))
				os.Mkdir(filepath.Join(dir, "ca.pem"), 0o700)
			},
			[]string{"ca.pem", "is a directory", "or give another directory"},
		},
		"the directory is a file": {
			func(t *testing.T, dir string) { os.RemoveAll(dir); write(t, dir, "", 0o600) },
			[]string{"not a directory", "or give another directory"},
		},
		"the certificate is not a CA's": {
			func(t *testing.T, dir string) {
				os.Rename(filepath.Join(dir, "server.pem"), filepath.Join(dir, "ca.pem"))
				os.Rename(filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "ca-key.pem"))
			},
			[]string{"not the certificate of a CA"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tls")
			server(t, open(t, dir), "localhost")
			c.spoil(t, dir)
			ca, err := localca.Open(dir, nil)
			if err == nil {
				_, err = ca.Server([]string{"localhost"})
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestAKeyThatItsGroupMayReadIsFine(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	os.Chmod(filepath.Join(dir, "ca-key.pem"), 0o660)
	open(t, dir)
}

// Check finds what Open and Server would refuse, and makes nothing.
func TestCheckMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := localca.Check(dir); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("it made the directory: %v", err)
	}
	server(t, open(t, dir), "localhost")
	if err := localca.Check(dir); err != nil {
		t.Errorf("all is there: %v", err)
	}
	for _, path := range localca.KeyPaths(dir) {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := localca.Check(dir); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%s for all: %v", path, err)
		}
		// A key comes before its certificate.
		if path == localca.KeyPaths(dir)[0] {
			text, err := os.ReadFile(localca.CertPath(dir))
			if err == nil {
				err = os.Remove(localca.CertPath(dir))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := localca.Check(dir); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%s for all, without a certificate: %v", path, err)
			}
			if _, err := os.Stat(localca.CertPath(dir)); !os.IsNotExist(err) {
				t.Errorf("it made a certificate: %v", err)
			}
			if err := os.WriteFile(localca.CertPath(dir), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(localca.CertPath(dir), []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := localca.Check(dir); err == nil || !strings.Contains(err.Error(), localca.CertPath(dir)+" cannot be used") {
		t.Errorf("rubbish: %v", err)
	}
}

func TestAnExpiredAuthorityIsRefused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { open(t, dir) }) // in the year 2000
	if _, err := localca.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "expired on 2009-12-") || !strings.Contains(err.Error(), "to get a new CA") {
		t.Errorf("Open = %v; want that it has expired, and what to do", err)
	}
}

func TestADeathBetweenKeyAndCertificateDoesNoHarm(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	key, _ := os.ReadFile(filepath.Join(dir, "ca-key.pem"))
	os.Remove(filepath.Join(dir, "ca.pem"))
	ca := open(t, dir)
	if now, _ := os.ReadFile(filepath.Join(dir, "ca-key.pem")); !bytes.Equal(key, now) {
		t.Error("the key was replaced")
	}
	wantHandshake(t, ca, server(t, ca, "localhost"), "localhost")
}

// TestManyAtOnce stands for several processes: each opens the directory itself.
func TestManyAtOnce(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "tls")
		const n = 8
		var all sync.WaitGroup
		start := make(chan struct{})
		cas, certs := make([]*localca.CA, n), make([]tls.Certificate, n)
		for i := range n {
			all.Go(func() {
				<-start
				ca, err := localca.Open(dir, nil)
				if err != nil {
					t.Error(err)
					return
				}
				cas[i] = ca
				if certs[i], err = ca.Server([]string{"localhost"}); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		if t.Failed() {
			return
		}
		for i := range n {
			if !bytes.Equal(cas[i].PEM(), cas[0].PEM()) {
				t.Fatal("two of them ended with different CAs")
			}
			wantHandshake(t, cas[0], certs[i], "localhost")
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenSSLAgrees asks a second implementation, where there is one.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("no openssl on this machine: only Go's own opinion was asked")
		return
	}
	dir := t.TempDir()
	ca := open(t, dir)
	server(t, ca)
	run := func(arg ...string) string {
		out, err := exec.Command(openssl, arg...).CombinedOutput()
		if err != nil {
			t.Errorf("openssl %s: %v\n%s", strings.Join(arg, " "), err, out)
		}
		return string(out)
	}
	run("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "gcm.googleapis.com", "-CAfile", ca.CertFile(), filepath.Join(dir, "server.pem"))
	run("verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile", ca.CertFile(), filepath.Join(dir, "server.pem"))
	text := run("x509", "-in", ca.CertFile(), "-noout", "-text")
	for _, want := range []string{"X509v3 Basic Constraints: critical", "CA:TRUE", "X509v3 Key Usage: critical", "Certificate Sign", "Penstock local CA "} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not see %q in\n%s", want, text)
		}
	}
	if _, err := exec.LookPath("keytool"); err == nil { // Java's own opinion
		store := filepath.Join(dir, "trust.p12")
		out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "penstock", "-file", ca.CertFile(), "-keystore", store, "-storepass", "changeit").CombinedOutput()
		if err != nil {
			t.Errorf("keytool: %v\n%s", err, out)
		}
	}
}
