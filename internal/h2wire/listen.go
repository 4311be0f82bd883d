package h2wire

import (
	"crypto/tls"
	"net"
	"net/http"
)

// Protocols are those that an [http.Server] behind a [NewListener] has to
// serve: TLS is over before it sees a connection, so that it takes HTTP/2 for
// unencrypted.
func Protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// NewListener accepts from l, and returns connections of type [*Conn]. With a
// config they begin with TLS, whose handshake the first Read or Write makes;
// HTTP/2 and HTTP/1.1 are offered. A nil config is for connections that are not
// encrypted, or where TLS has ended before. opt is what [Wrap] takes.
func NewListener(l net.Listener, config *tls.Config, opt *Options) net.Listener {
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return &listener{l, config, opt}
}

type listener struct {
	net.Listener
	config *tls.Config
	opt    *Options
}

// Accept waits for a connection; it does not wait for its handshake.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.config != nil {
		conn = tls.Server(conn, l.config)
	}
	return Wrap(conn, l.opt), nil
}
