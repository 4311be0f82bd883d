package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"penstock/internal/config"
)

// A door is one address that Penstock listens on.
type door struct {
	setting string // that names it
	address string
	tls     config.TLS
	secured bool
	path    string                    // what to ask for; empty: it is no HTTP
	ours    func(*http.Response) bool // whether that is the answer of a Penstock
}

func (x *examiner) doors() []door {
	var list []door
	for _, a := range x.cfg.CCS.Listen {
		list = append(list, door{setting: "ccs.listen", address: a, tls: x.cfg.CCS.TLS, secured: true})
	}
	for _, a := range x.cfg.HTTP.Listen {
		list = append(list, door{setting: "http.listen", address: a, tls: x.cfg.HTTP.TLS, secured: x.cfg.HTTP.OwnTLS || x.cfg.HTTP.TLS.CertFile != "",
			path: "/fcm/send", ours: func(r *http.Response) bool {
				// It asks for a key before anything else, and none is shown to a stranger.
				return r.StatusCode == http.StatusUnauthorized && strings.HasPrefix(r.Header.Get("WWW-Authenticate"), `Bearer realm="penstock"`)
			}})
	}
	if x.cfg.Admin.Listen != "" {
		list = append(list, door{setting: "admin.listen", address: x.cfg.Admin.Listen, path: "/healthz", ours: func(r *http.Response) bool {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 64))
			return r.StatusCode == http.StatusOK && strings.TrimSpace(string(body)) == `{"ok":true}`
		}})
	}
	return list
}

// ports listens on each address for a moment. The listeners stay open until the
// last was tried, so that two settings that want the same port are seen.
func (x *examiner) ports(ctx context.Context) []Finding {
	var list []Finding
	held := make(map[string]string) // the setting that has a port, by port
	for _, d := range x.doors() {
		f := Finding{Check: "port", Subject: d.setting + " " + d.address, Result: Good, Text: "it is free"}
		elsewhere := fmt.Sprintf("give another address in %s (%s)", d.setting, x.cfg.Place(d.setting))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.address)
		_, port, _ := net.SplitHostPort(d.address)
		switch {
		case err == nil:
			defer l.Close()
			held[port] = d.setting
		case ctx.Err() != nil:
			f.Result, f.Text = Unknown, "there was no time left to look"
		case errors.Is(err, syscall.EADDRINUSE) && held[port] != "":
			f.Result, f.Text, f.Fix = Bad, held[port]+" has this port already", elsewhere
		case errors.Is(err, syscall.EADDRINUSE) && x.isOurs(ctx, d):
			f.Text = "Penstock listens there already"
		case errors.Is(err, syscall.EADDRINUSE):
			f.Result, f.Text, f.Fix = Bad, "another program listens there", "end that program, or "+elsewhere
		case errors.Is(err, syscall.EACCES):
			f.Result, f.Text = Bad, "this user may not listen there: the port is privileged"
			f.Fix = "setcap cap_net_bind_service=+ep PROGRAM, with the path of penstock, or AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit; or " + elsewhere
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			f.Result, f.Text, f.Fix = Bad, "this machine does not have that address", elsewhere
		default:
			f.Result, f.Text, f.Fix = Bad, "it cannot be listened on: "+err.Error(), elsewhere
		}
		list = append(list, f)
	}
	return list
}

// isOurs asks what listens at a door whether it is a Penstock of this
// configuration: over TLS by its certificate, over HTTP by its answer.
func (x *examiner) isOurs(ctx context.Context, d door) bool {
	ctx, cancel := context.WithTimeout(ctx, portTimeout)
	defer cancel()
	var trusted *tls.Config
	if d.secured {
		if trusted = x.trusted(d.tls); trusted == nil {
			return false
		}
	}
	if d.path == "" {
		conn, err := (&tls.Dialer{Config: trusted}).DialContext(ctx, "tcp", dialable(d.address))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
	scheme := "http://"
	if d.secured {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+dialable(d.address)+d.path, http.NoBody)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusted, DisableKeepAlives: true}, CheckRedirect: noRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return d.ours(resp)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
