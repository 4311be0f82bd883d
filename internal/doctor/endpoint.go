package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"penstock/fcmsend"
)

// How far the clock may be off. Google's token endpoint refuses what was signed
// minutes away from its own time (docs/fcm-http.md, Access tokens).
const (
	clockWarns = time.Minute
	clockFails = 5 * time.Minute
)

const clockFix = "turn time synchronisation on: timedatectl set-ntp true, or chrony; in a virtual machine look at its host"

// A reachedOnce asks each way to FCM once, however many projects share it.
type reachedOnce struct {
	mu   sync.Mutex // guards ways
	ways map[string]*way
}

// A way is one endpoint, the proxy before it and the CAs that are trusted.
type way struct {
	once sync.Once
	ok   bool
}

func newReachedOnce() *reachedOnce { return &reachedOnce{ways: make(map[string]*way)} }

// reach returns what is known of the way to an endpoint, and whether it leads
// there; the findings only to the first who asks.
func (o *reachedOnce) reach(ctx context.Context, caFile string, opt *fcmsend.Options) ([]Finding, bool) {
	key := opt.Endpoint + "\n" + caFile
	if opt.Proxy != nil {
		key += "\n" + opt.Proxy.Host
	}
	o.mu.Lock()
	w := o.ways[key]
	if w == nil {
		w = new(way)
		o.ways[key] = w
	}
	o.mu.Unlock()
	var list []Finding
	w.once.Do(func() {
		list, w.ok = endpoint(ctx, opt)
	})
	return list, w.ok
}

// endpoint looks at proxy, name, connection, TLS and clock of an endpoint.
func endpoint(ctx context.Context, opt *fcmsend.Options) ([]Finding, bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var list []Finding
	if opt.Proxy != nil {
		f := proxy(ctx, opt.Proxy)
		list = append(list, f)
		if f.Result == Bad {
			return append(list, Finding{Check: "endpoint", Subject: opt.Endpoint, Result: Unknown, Text: "it is behind the proxy"}), false
		}
	}
	f := Finding{Check: "endpoint", Subject: opt.Endpoint, Result: Good, Text: "name, connection and certificate are good"}
	transport := &http.Transport{TLSClientConfig: opt.TLS.Clone(), DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10}
	if opt.Proxy != nil {
		transport.Proxy = http.ProxyURL(opt.Proxy)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, opt.Endpoint, http.NoBody)
	if err != nil {
		f.Result, f.Text, f.Fix = Bad, "it is no URL", "mend transport.fcm.endpoint"
		return append(list, f), false
	}
	resp, err := (&http.Client{Transport: transport, CheckRedirect: noRedirect}).Do(req)
	now := time.Now()
	if err != nil {
		f.Result = Bad
		f.Text, f.Fix = network(err)
		return append(list, f), false
	}
	resp.Body.Close()
	list = append(list, f)
	// Any answer will do, 404 as well: it has a date.
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		list = append(list, clock(req.URL.Host, now.Sub(date)))
	}
	return list, true
}

// clock judges by how much this machine is ahead of a far end.
func clock(host string, ahead time.Duration) Finding {
	f := Finding{Check: "clock", Subject: "this machine", Result: Good, Text: "it agrees with that of " + host}
	off := ahead.Abs()
	if off <= clockWarns {
		return f
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	f.Result, f.Fix = Warning, clockFix
	f.Text = fmt.Sprintf("it is %s %s that of %s", off.Round(time.Second), direction, host)
	if off > clockFails {
		f.Result = Bad
	}
	return f
}

// proxy tries whether a proxy takes connections. Of its URL only the host is
// told: the rest may hold a password.
func proxy(ctx context.Context, u *url.URL) Finding {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	f := Finding{Check: "proxy", Subject: address, Result: Good, Text: "FCM is reached through it, and it takes connections"}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		f.Result = Bad
		f.Text, _ = network(err)
		f.Fix = "mend transport.fcm.proxy, or HTTPS_PROXY and NO_PROXY in the environment; proxy: none goes without"
		return f
	}
	conn.Close()
	return f
}

// network puts the failure of a connection into words, and names the fix.
func network(err error) (text, fix string) {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text = err.Error()
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return "the name does not resolve: " + text, "check the resolver, the firewall, and the spelling of the endpoint"
	case errors.As(err, &authority):
		return "its certificate comes from a CA that is not trusted here", "install the system's CA certificates; behind a proxy that looks into TLS, and before a simulator, name the CA's file in ca_file"
	case errors.As(err, &host):
		return "its certificate is for another name: " + text, "use a name that the certificate covers; if it should be Google, something in between answers in its place"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet: " + text, "look at the clock of this machine; else the far end has to renew it"
	case errors.As(err, &invalid):
		return "its certificate did not pass: " + text, "the far end needs another certificate"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS", "check host and port of the endpoint"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", "check host and port; a firewall may refuse too"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time", "let connections out to it, or name the proxy in transport.fcm.proxy or HTTPS_PROXY"
	}
	return "it cannot be reached: " + text, "check the network, firewalls and proxies in between"
}
