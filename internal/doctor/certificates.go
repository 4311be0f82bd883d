package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/localca"
)

// expiresSoon is how long before its end a certificate is worth a warning:
// renewal by machine leaves twice that, and people need a week.
const expiresSoon = 14 * 24 * time.Hour

// certificates looks at what the listeners show to those who connect.
func (x *examiner) certificates() []Finding {
	var list []Finding
	for _, l := range []struct {
		setting string
		used    bool
		files   config.TLS
	}{
		{"ccs.tls", len(x.cfg.CCS.Listen) > 0, x.cfg.CCS.TLS},
		{"http.tls", len(x.cfg.HTTP.Listen) > 0, x.cfg.HTTP.TLS},
	} {
		if l.used && l.files.CertFile != "" {
			list = append(list, certificate(l.setting, l.files))
		}
	}
	if app.UsesOwnCA(x.cfg) {
		list = append(list, x.ownCA())
	}
	return list
}

func certificate(setting string, files config.TLS) Finding {
	f := Finding{Check: "certificate", Subject: setting + ": " + files.CertFile, Result: Good}
	const mend = "renew the certificate: a running server takes new files within a minute"
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		f.Result, f.Text, f.Fix = Bad, "it cannot be used: "+err.Error(), "give a certificate and its key in "+setting
		return f
	}
	cert := pair.Leaf
	names := namesOf(cert)
	left := time.Until(cert.NotAfter)
	f.Text = fmt.Sprintf("valid until %s, for %s", cert.NotAfter.Format(time.DateOnly), strings.Join(names, ", "))
	switch {
	case left <= 0:
		f.Result, f.Text, f.Fix = Bad, "it expired on "+cert.NotAfter.Format(time.DateOnly), mend
	case time.Until(cert.NotBefore) > 0:
		f.Result, f.Text = Bad, "it is not valid before "+cert.NotBefore.Format(time.DateTime)+" UTC"
		f.Fix = "look at the clock of this machine, or wait"
	case len(names) == 0:
		f.Result, f.Text, f.Fix = Bad, "it names no host, so that no program takes it", "get one with subject alternative names"
	case left < expiresSoon:
		f.Result, f.Fix = Warning, mend
		f.Text = fmt.Sprintf("it ends in %d days, on %s", int(left.Hours()/24), cert.NotAfter.Format(time.DateOnly))
	}
	return f
}

func namesOf(cert *x509.Certificate) []string {
	names := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// ownCA looks at the CA of the data directory and makes none.
func (x *examiner) ownCA() Finding {
	path := localca.CertPath(x.cfg.DataDir)
	f := Finding{Check: "certificate", Subject: path, Result: Good,
		Text: "the CA of Penstock's own: programs that connect must trust it"}
	if err := localca.Check(x.cfg.DataDir); err != nil {
		f.Result, f.Text, f.Fix = Bad, "the CA of Penstock's own cannot be used", err.Error()
	} else if _, err := os.Stat(path); err != nil { // that it is not there is no trouble
		f.Text = "the CA of Penstock's own is made at the first start"
	}
	return f
}

// trusted is TLS that takes the certificate which a listener of ours shows, and
// no other; nil: there is none yet.
func (x *examiner) trusted(files config.TLS) *tls.Config {
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if files.CertFile == "" {
		pem, err := os.ReadFile(localca.CertPath(x.cfg.DataDir))
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil
		}
		return c
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil
	}
	names := namesOf(pair.Leaf)
	if len(names) == 0 {
		return nil
	}
	c.RootCAs.AddCert(pair.Leaf)
	c.ServerName = strings.Replace(names[0], "*.", "any.", 1)
	return c
}

// dialable is an address to connect to for one that is listened on.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
