package fcmsend

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	protoH2 = "h2"
	protoH1 = "http/1.1"
)

// dial opens a connection that a request can be written to, and says which
// protocol the far end speaks.
func (o *Options) dial(ctx context.Context, to *target) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	nc, err := o.dialBelowTLS(ctx, to.address)
	if err != nil {
		return nil, "", fmt.Errorf("dial %s: %w", to.address, err)
	}
	if to.scheme == "http" {
		return nc, protoH1, nil
	}
	config := o.TLS.Clone()
	config.NextProtos = []string{protoH2, protoH1}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(to.address)
	}
	secured := tls.Client(nc, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, "", fmt.Errorf("TLS with %s: %w", to.address, err)
	}
	if secured.ConnectionState().NegotiatedProtocol == protoH2 {
		return secured, protoH2, nil
	}
	return secured, protoH1, nil
}

// dialBelowTLS goes through the proxy, if there is one.
func (o *Options) dialBelowTLS(ctx context.Context, address string) (net.Conn, error) {
	if o.Proxy == nil {
		return o.Dial(ctx, "tcp", address)
	}
	port := o.Proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[o.Proxy.Scheme]
	}
	nc, err := o.Dial(ctx, "tcp", net.JoinHostPort(o.Proxy.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	through, err := o.connect(ctx, nc, address)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return through, nil
}

// connect asks the proxy for a way to address (RFC 9110 9.3.6).
func (o *Options) connect(ctx context.Context, nc net.Conn, address string) (net.Conn, error) {
	if o.Proxy.Scheme == "https" {
		config := o.TLS.Clone()
		config.ServerName = o.Proxy.Hostname()
		config.NextProtos = []string{protoH1}
		secured := tls.Client(nc, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		nc = secured
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n" + basic(o.Proxy.User) + "\r\n"
	if _, err := io.WriteString(nc, request); err != nil {
		return nil, err
	}
	// The far end says nothing before we do, so that no byte of its is lost in
	// the buffer.
	in := bufio.NewReaderSize(io.LimitReader(nc, maxHeader), 4<<10)
	//nolint:bodyclose // an answer to CONNECT has none: what follows is the far end's
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, errors.New("it gives no answer that is HTTP")
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers HTTP %d", resp.StatusCode)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return nc, nil
}

func basic(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
}
