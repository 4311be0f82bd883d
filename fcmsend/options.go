package fcmsend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"penstock/fcm"
)

// DefaultEndpoint is where Google serves HTTP v1.
const DefaultEndpoint = "https://fcm.googleapis.com"

// The bounds of a sender (docs/fcm-http.md, Connections).
const (
	// MaxStreams is how many requests FCM takes at a time on one connection.
	MaxStreams = 100
	// MinRequestTimeout is how long Google asks a request to be given.
	MinRequestTimeout = 10 * time.Second

	maxConnections = 1000
	maxReply       = 64 << 10 // bytes of a reply's body
	maxHeader      = 64 << 10 // bytes of a reply's header
)

// Options are what is optional about a [Sender]. The zero value of a field is
// its documented default.
type Options struct {
	// Endpoint is scheme and host, with a path in front of /v1 if there is one.
	// With http there is no TLS, and HTTP/1.1. Default [DefaultEndpoint].
	Endpoint string
	// TLS is copied; ServerName is the endpoint's host unless set. It serves the
	// endpoint and, without ServerName, the token endpoint. Default: the
	// system's roots, at least TLS 1.2. Verification is on.
	TLS *tls.Config
	// Dial opens connections below TLS, to FCM and to the token endpoint.
	// Default: a [net.Dialer], which resolves the host anew each time.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy is an HTTP proxy for both, asked with CONNECT; user and password in
	// it are sent as Basic. Default: none; the environment is not read.
	Proxy *url.URL

	// MaxConnections bounds how many connections there are to the endpoint. At
	// the bound Send waits for room as long as its context lives. Default 40.
	MaxConnections int
	// StreamsPerConnection bounds the requests that are under way on one
	// connection of HTTP/2; a server that allows fewer gets fewer. Default and
	// maximum [MaxStreams].
	StreamsPerConnection int
	// RequestTimeout is how long an answer is waited for, counted from the
	// request's writing. Default and minimum [MinRequestTimeout].
	RequestTimeout time.Duration
	// DialTimeout bounds the way to a connection that can be used: resolving,
	// TCP, the proxy, TLS. Default 10 s.
	DialTimeout time.Duration
	// IdleTimeout is how long a connection is kept that nothing uses; up to
	// twice that may pass. Default 90 s.
	IdleTimeout time.Duration
	// QuietAfter is how long a connection of HTTP/2 may be silent before it is
	// pinged, and so how far apart pings are at least; PingTimeout is how long
	// after that any byte must have come. Defaults 30 s and 15 s; QuietAfter is
	// at least 10 s, since FCM closes connections that ping more often.
	QuietAfter  time.Duration
	PingTimeout time.Duration

	// UserAgent is sent with each request. Default penstock.
	UserAgent string
	Events    *Events
}

// A target is the endpoint, taken apart once.
type target struct {
	scheme    string // http or https
	address   string // host:port to dial
	authority string // as written in the request
	path      string // of the send method
}

// withDefaults copies o, fills it in, and names the field that is wrong.
func (o *Options) withDefaults(project fcm.ProjectID) (Options, target, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Endpoint == "" {
		c.Endpoint = DefaultEndpoint
	}
	to, err := parseTarget(c.Endpoint, project)
	if err != nil {
		return c, to, err
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{}
	}
	c.TLS = c.TLS.Clone()
	c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	if c.TLS.ClientSessionCache == nil {
		c.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Proxy != nil && (c.Proxy.Scheme != "http" && c.Proxy.Scheme != "https" || c.Proxy.Host == "") {
		return c, to, errors.New("fcmsend: Options.Proxy is not http://host or https://host")
	}
	for _, n := range []struct {
		name     string
		v        *int
		def, max int
	}{
		{"MaxConnections", &c.MaxConnections, 40, maxConnections},
		{"StreamsPerConnection", &c.StreamsPerConnection, MaxStreams, MaxStreams},
	} {
		switch {
		case *n.v == 0:
			*n.v = n.def
		case *n.v < 0 || *n.v > n.max:
			return c, to, fmt.Errorf("fcmsend: Options.%s is %d, and 1 to %d are possible", n.name, *n.v, n.max)
		}
	}
	for _, d := range []struct {
		name     string
		v        *time.Duration
		def, min time.Duration
	}{
		{"RequestTimeout", &c.RequestTimeout, MinRequestTimeout, MinRequestTimeout},
		{"DialTimeout", &c.DialTimeout, 10 * time.Second, time.Millisecond},
		{"IdleTimeout", &c.IdleTimeout, 90 * time.Second, time.Second},
		{"QuietAfter", &c.QuietAfter, 30 * time.Second, 10 * time.Second},
		{"PingTimeout", &c.PingTimeout, 15 * time.Second, time.Second},
	} {
		switch {
		case *d.v == 0:
			*d.v = d.def
		case *d.v < d.min:
			return c, to, fmt.Errorf("fcmsend: Options.%s is %v, and %v is the least", d.name, *d.v, d.min)
		}
	}
	if c.UserAgent == "" {
		c.UserAgent = "penstock"
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		return c, to, errors.New("fcmsend: Options.UserAgent has characters that no header may have")
	}
	if c.Events == nil {
		c.Events = &Events{}
	}
	return c, to, nil
}

func parseTarget(endpoint string, project fcm.ProjectID) (target, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		// The text is not repeated: somebody may have put a key into it.
		return target{}, errors.New("fcmsend: Options.Endpoint is not https://host, http://host or one of these with port and path")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return target{
		scheme:    u.Scheme,
		address:   net.JoinHostPort(u.Hostname(), port),
		authority: u.Host,
		path:      strings.TrimSuffix(u.EscapedPath(), "/") + "/v1/projects/" + string(project) + "/messages:send",
	}, nil
}

// checkProject takes what Google's ids and numbers are made of, an old id with
// its domain in front too. Anything else could change the path.
func checkProject(p fcm.ProjectID) error {
	if p == "" {
		return errors.New("fcmsend: no project: it is neither given nor named by the credentials")
	}
	if len(p) > 100 || strings.ContainsFunc(string(p), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
	}) || strings.Trim(string(p), ".") == "" {
		return fmt.Errorf("fcmsend: %.100q is no project id", p)
	}
	return nil
}

// tokenClient makes the client that talks to token endpoints. It follows no
// redirect, keeps no cookie, and is given its bounds by each request.
func (o *Options) tokenClient() *http.Client {
	config := o.TLS.Clone()
	config.ServerName = ""
	config.NextProtos = nil
	t := &http.Transport{
		DialContext:            o.Dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    o.DialTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           2,
		IdleConnTimeout:        o.IdleTimeout,
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
