package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A checker gathers what is wrong with values that could be read.
type checker struct {
	*Config
	problems *Problems
	places   map[string]string // of what is checked
}

// wrong adds a problem with the value at path: what it is, and what to do.
func (c checker) wrong(path, format string, args ...any) {
	key := path[strings.LastIndexByte(path, '.')+1:]
	*c.problems = append(*c.problems, fmt.Sprintf("`%s`%s%s %s", key, inside(above(path)), c.standing(path), fmt.Sprintf(format, args...)))
}

// standing tells where the value at path stands, or else its section.
func (c checker) standing(path string) string {
	for p := path; p != ""; p = above(p) {
		if at := c.places[p]; at != "" {
			return " at " + at
		}
	}
	return ""
}

var (
	projectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	senderID    = regexp.MustCompile(`^[0-9]{1,20}$`)
	projectID   = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9-]{1,63}$`)
	keyName     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hostName    = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$`)
	keyHash     = regexp.MustCompile(`^hmac-sha256:[0-9a-f]{64}$`)
)

// check judges what was read, and reads the files that settings name.
func (c *Config) check(problems *Problems) {
	k := checker{c, problems, c.places}
	c.keyFiles = make(map[string]fs.FileInfo)
	if c.DataDir == "" {
		k.wrong("data_dir", "is empty: give a directory")
	} else if err := c.Private(c.DataDir); err != nil {
		k.wrong("data_dir", "is %v", err)
	}
	for path, list := range map[string][]string{"ccs.listen": c.CCS.Listen, "http.listen": c.HTTP.Listen} {
		for _, address := range list {
			k.address(path, address)
		}
	}
	if c.Admin.Listen != "" {
		k.address("admin.listen", c.Admin.Listen)
	}
	for _, name := range c.CANames {
		if net.ParseIP(name) == nil && !hostName.MatchString(name) {
			k.wrong("ca_names", "has %q: give host names and IP addresses, without ports", name)
		}
	}
	if c.Admin.Pprof && !loopback(c.Admin.Listen) {
		k.wrong("admin.pprof", "is on, but the admin listener %s can be reached by others, and profiles show what is in memory: listen on 127.0.0.1, or turn it off", c.Admin.Listen)
	}
	k.certificate("ccs.tls", c.CCS.TLS)
	k.certificate("http.tls", c.HTTP.TLS)
	if c.HTTP.OwnTLS && c.HTTP.TLS.CertFile != "" {
		k.wrong("http.own_tls", "is on, and there is a cert_file too: keep one of them")
	}
	if c.VerdictTimeout < 2*time.Second || c.VerdictTimeout > 5*time.Minute {
		k.wrong("verdict_timeout", "is %s: give 2s to 5m", durationText(c.VerdictTimeout))
	}
	k.limits()

	seen := map[string]map[string]string{"name": {}, "sender_id": {}, "project_id": {}}
	for i, p := range c.AllProjects() {
		if i >= len(c.Projects) {
			k.places = c.Book.places
		}
		k.project(p)
		for key, value := range map[string]string{"name": p.Name, "sender_id": p.SenderID, "project_id": p.ProjectID} {
			path := element(projectsPath, p.Name)
			if first := seen[key][value]; first != "" {
				k.wrong(path+"."+key, "is %q, which %s has already: a project has one of its own", value, first)
			} else if value != "" {
				seen[key][value] = "project " + p.Name + k.standing(path)
			}
		}
	}
}

func (c checker) limits() {
	for _, e := range c.Limits.settings() {
		path := "limits." + e.key
		switch v := e.to.(type) {
		case *int:
			if *v < 1 {
				c.wrong(path, "is %d: give at least 1", *v)
			}
		case *time.Duration:
			if *v <= 0 {
				c.wrong(path, "is %s: give more than 0", durationText(*v))
			}
		}
	}
	if c.Limits.HTTPWriteTimeout <= c.VerdictTimeout {
		c.wrong("limits.http_write_timeout", "is %s: give more than verdict_timeout, %s, or answers are cut off", durationText(c.Limits.HTTPWriteTimeout), durationText(c.VerdictTimeout))
	}
}

func (c checker) project(p *Project) {
	path := element(projectsPath, p.Name)
	if !projectName.MatchString(p.Name) {
		c.wrong(path+".name", "is %q: give up to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends", p.Name)
	}
	if !senderID.MatchString(p.SenderID) {
		c.wrong(path+".sender_id", "is %q: give the project's number, digits only, as Firebase's console shows it under Cloud Messaging", p.SenderID)
	}
	if p.ProjectID != "" && !projectID.MatchString(p.ProjectID) {
		c.wrong(path+".project_id", "is %q: give the project's id, such as my-app-1a2b3, as Firebase's console shows it", p.ProjectID)
	}
	if p.VerdictTimeout != 0 && (p.VerdictTimeout < 2*time.Second || p.VerdictTimeout > c.VerdictTimeout) {
		c.wrong(path+".verdict_timeout", "is %s: give 2s to the general verdict_timeout, %s, or raise that", durationText(p.VerdictTimeout), durationText(c.VerdictTimeout))
	}
	// A project that commands made may lose its last key: it must stop working,
	// not keep the rest from being read.
	if len(p.Keys) == 0 && slices.Contains(c.Projects, p) {
		c.wrong(path+".keys", "is empty, so that nobody could send: give a key a name and a secret_file, such as keys: [{name: backend, secret_file: /run/secrets/%s-key}]", p.Name)
	}
	for _, key := range p.Keys {
		c.key(element(path+".keys", key.Name), key)
	}
	switch t := &p.Transport; {
	case t.HasFCM == t.HasCCS:
		c.wrong(path+".transport", "needs one of fcm and ccs, such as transport: {fcm: {credentials_file: …}}")
	case t.HasFCM:
		c.fcm(path+".transport.fcm", &t.FCM)
	default:
		c.farCCS(path+".transport.ccs", &t.CCS)
	}
	for _, e := range p.Reply.settings() {
		if *e.to.(*string) == "stored" {
			c.wrong(path+".reply."+e.key, "is stored, and this version has no store to keep messages in: give auto or verdict")
		}
	}
	if p.Quotas.PerMinute < 0 {
		c.wrong(path+".quotas.per_minute", "is %d: give a number of messages, or 0 for no limit", p.Quotas.PerMinute)
	}
	if p.Quotas.Ramp < 0 {
		c.wrong(path+".quotas.ramp", "is %s: give a duration, or 0s for none", durationText(p.Quotas.Ramp))
	}
	if p.Quotas.InFlight < 1 {
		c.wrong(path+".quotas.in_flight", "is %d: give at least 1", p.Quotas.InFlight)
	}
	if p.Translate.SizeLimit < 0 {
		c.wrong(path+".translate.size_limit", "is %d: give a number of bytes, or 0 for no limit", p.Translate.SizeLimit)
	}
}

func (c checker) key(path string, k *Key) {
	if !keyName.MatchString(k.Name) {
		c.wrong(path+".name", "is %q: give up to 64 letters, digits, hyphens and underscores", k.Name)
	}
	given := 0
	for _, has := range []bool{!k.Secret.IsEmpty(), k.SecretFile != "", k.Hash != ""} {
		if has {
			given++
		}
	}
	switch {
	case given != 1:
		c.wrong(path+".secret_file", "must be given, or else secret or hash: exactly one of the three")
	case k.Hash != "" && !keyHash.MatchString(k.Hash):
		c.wrong(path+".hash", "is none that `penstock project key` wrote: give secret_file instead")
	case k.SecretFile != "":
		c.read(path+".secret_file", k.SecretFile, &k.read)
	}
}

func (c checker) fcm(path string, f *FCM) {
	given := 0
	for _, has := range []bool{f.CredentialsFile != "", !f.Credentials.IsEmpty(), f.ApplicationDefault} {
		if has {
			given++
		}
	}
	switch {
	case given == 0:
		c.wrong(path+".credentials_file", "is missing: give a service account's file, or application_default: true")
	case given > 1:
		c.wrong(path+".credentials_file", "is one of several credentials: keep one of credentials_file, credentials and application_default")
	case f.CredentialsFile != "":
		c.read(path+".credentials_file", f.CredentialsFile, nil)
	}
	u, err := url.Parse(f.Endpoint)
	switch {
	case err != nil || u.Hostname() == "" || !isPort(u.Port()) || u.Scheme != "https" && u.Scheme != "http" ||
		strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.wrong(path+".endpoint", "is %q: give https://, host and port, and nothing behind them", NewURL(f.Endpoint))
	case u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")):
		c.wrong(path+".endpoint", "is %q: without TLS everyone on the way could read and send; give https://", NewURL(f.Endpoint))
	}
	c.authority(path+".ca_file", f.CAFile)
	if f.MaxConnections < 1 {
		c.wrong(path+".max_connections", "is %d: give at least 1", f.MaxConnections)
	}
	if proxy := f.Proxy.Reveal(); proxy != "" && proxy != "none" {
		if u, err := url.Parse(proxy); err != nil || u.Hostname() == "" || !isPort(u.Port()) || u.Scheme != "http" && u.Scheme != "https" {
			c.wrong(path+".proxy", "is no URL of a proxy: give http://host:port, or none")
		}
	}
}

func (c checker) farCCS(path string, f *FarCCS) {
	if host, port, err := net.SplitHostPort(f.Endpoint); err != nil || host == "" || port == "" || !isPort(port) || strings.Contains(host, "@") {
		c.wrong(path+".endpoint", "is %q: give host:port", NewURL(f.Endpoint))
	}
	if f.SenderID != "" && !senderID.MatchString(f.SenderID) {
		c.wrong(path+".sender_id", "is %q: give digits only", f.SenderID)
	}
	switch {
	case f.KeyFile == "" && f.Key.IsEmpty():
		c.wrong(path+".key_file", "is missing: give the file with the server key of the far end")
	case f.KeyFile != "" && !f.Key.IsEmpty():
		c.wrong(path+".key_file", "stands beside key: keep one of them")
	case f.KeyFile != "":
		c.read(path+".key_file", f.KeyFile, &f.read)
	}
	c.authority(path+".ca_file", f.CAFile)
	if f.Streams < 1 || f.Streams > 1000 {
		c.wrong(path+".streams", "is %d: give 1 to 1000", f.Streams)
	}
}

// read reads a file with a secret; into is nil if only its being there counts.
func (c checker) read(path, file string, into *Secret) {
	if err := c.Private(file); err != nil {
		c.wrong(path, "is %v", err)
		return
	}
	if _, known := c.keyFiles[file]; into != nil && !known {
		c.keyFiles[file], _ = stat(file) // what is wrong with it, reading tells
	}
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		c.wrong(path, "cannot be read: %s", missing(err))
	case strings.TrimSpace(string(text)) == "":
		c.wrong(path, "is %s, which is empty: write the secret into it", file)
	case into != nil:
		*into = NewSecret(strings.TrimSpace(string(text)))
	}
}

// authority wants a file with certificates, if there is one.
func (c checker) authority(path, file string) {
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		c.wrong(path, "cannot be read: %s", missing(err))
	} else if !x509.NewCertPool().AppendCertsFromPEM(text) {
		c.wrong(path, "is %s, which holds no certificate in PEM form", file)
	}
}

func (c checker) certificate(path string, t TLS) {
	switch {
	case t == (TLS{}):
	case t.CertFile == "":
		c.wrong(path+".cert_file", "is missing, and there is a key_file: give both or none")
	case t.KeyFile == "":
		c.wrong(path+".key_file", "is missing, and there is a cert_file: give both or none")
	default:
		if err := c.Private(t.KeyFile); err != nil {
			c.wrong(path+".key_file", "is %v", err)
		} else if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			c.wrong(path+".cert_file", "and its key_file cannot be used: %s", missing(err))
		}
	}
}

func (c checker) address(path, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || !isPort(port) {
		c.wrong(path, "has %q: give host:port, such as 127.0.0.1:8080, or :8080 for all addresses", address)
	}
}

// isPort reports whether text is the number or the name of a port, or empty.
func isPort(text string) bool {
	_, err := net.LookupPort("tcp", text)
	return err == nil
}

// loopback reports whether only this machine reaches what listens on address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// AllProjects are those of the file, the environment and projects.json.
func (c *Config) AllProjects() []*Project {
	return slices.Concat(c.Projects, c.Book.Projects)
}
