package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/fcmsim"
	"penstock/internal/config"
	"penstock/internal/doctor"
)

const serverKey = "psk_0123456789abcdef"

// settings are a configuration on loopback and free ports, without projects.
func settings(t *testing.T, flags map[string]string) *config.Config {
	t.Helper()
	all := map[string]string{
		"data_dir": filepath.Join(t.TempDir(), "data"), "ccs.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0",
	}
	for path, value := range flags {
		all[path] = value
	}
	cfg, err := config.Load(config.Sources{Environ: []string{}, Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func simulator(t *testing.T, opt fcmsim.Options) *fcmsim.Sim {
	t.Helper()
	opt.Dir, opt.HTTPListen, opt.PlainHTTPListen = t.TempDir(), []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	sim, err := fcmsim.Start(&opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

// overFCM is a project that goes to the simulator by HTTP v1.
func overFCM(sim *fcmsim.Sim) *config.Project {
	p := config.NewProject("shop")
	p.SenderID, p.ProjectID = string(sim.SenderID()), sim.ProjectID()
	p.Keys = []*config.Key{{Name: "default", Secret: config.NewSecret(serverKey)}}
	p.Transport.HasFCM = true
	f := &p.Transport.FCM
	f.Endpoint, f.CAFile, f.CredentialsFile, f.Proxy = sim.FCMURL(), sim.CAFile(), sim.ServiceAccountFile(), config.NewURL("none")
	return p
}

// overCCS is a project that goes to the simulator by CCS.
func overCCS(sim *fcmsim.Sim) *config.Project {
	p := config.NewProject("shop")
	p.SenderID = string(sim.SenderID())
	p.Keys = []*config.Key{{Name: "default", Secret: config.NewSecret(serverKey)}}
	p.Transport.HasCCS = true
	p.Transport.CCS = config.FarCCS{Endpoint: sim.Addr(), CAFile: sim.CAFile(), Key: config.NewSecret(sim.ServerKey()), Streams: 1}
	return p
}

// findings are what an examination found.
type findings []doctor.Finding

func examine(t *testing.T, cfg *config.Config, projects ...*config.Project) findings {
	t.Helper()
	cfg.Projects = append(cfg.Projects, projects...)
	var list findings
	sum := doctor.Examine(t.Context(), cfg, nil, func(f doctor.Finding) { list = append(list, f) })
	if n := sum.Good + sum.Warning + sum.Bad + sum.Unknown; n != len(list) {
		t.Errorf("the summary counts %d of %d findings", n, len(list))
	}
	if sum.Bad != list.count(doctor.Bad) || sum.Warning != list.count(doctor.Warning) || sum.Unknown != list.count(doctor.Unknown) {
		t.Errorf("the summary is %+v of\n%s", sum, list)
	}
	return list
}

func (l findings) count(r doctor.Result) (n int) {
	for _, f := range l {
		if f.Result == r {
			n++
		}
	}
	return n
}

func (l findings) String() string {
	var b strings.Builder
	for _, f := range l {
		fmt.Fprintf(&b, "%+v\n", f)
	}
	return b.String()
}

// want looks for a finding of that check with that result, whose text and fix
// hold the pieces.
func (l findings) want(t *testing.T, check string, result doctor.Result, pieces ...string) {
	t.Helper()
	for _, f := range l {
		all := f.Check == check && f.Result == result
		for _, piece := range pieces {
			all = all && strings.Contains(f.Subject+"\n"+f.Text+"\n"+f.Fix, piece)
		}
		if all {
			return
		}
	}
	t.Errorf("no finding %s %s with %q in\n%s", check, result, pieces, l)
}

// only wants all findings to be good but those of one check.
func (l findings) only(t *testing.T, check string) {
	t.Helper()
	for _, f := range l {
		if f.Result != doctor.Good && f.Check != check {
			t.Errorf("%+v", f)
		}
	}
}

// certificate writes a certificate of its own signing.
func certificate(t *testing.T, from, until time.Time, names ...string) (files config.TLS, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files = config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, text := range map[string][]byte{files.CertFile: certPEM, files.KeyFile: keyPEM} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return files, pair
}
