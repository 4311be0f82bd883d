package app

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"penstock/internal/h2wire"
)

// A ListenError says that an address cannot be listened on, and which setting
// names it.
type ListenError struct {
	Setting string // such as http.listen
	Place   string // where that stands
	Address string
	Err     error
}

func (e *ListenError) Error() string {
	what, do := e.Err.Error(), "give another address"
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		what = "another program listens there"
	case errors.Is(e.Err, syscall.EACCES):
		what = "this user may not listen there, since the port is privileged"
		do = "let the program have the capability cap_net_bind_service (penstock doctor says how), or " + do
	}
	return fmt.Sprintf("cannot listen on %s: %s: %s in %s (%s)", e.Address, what, do, e.Setting, e.Place)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// listen opens all listeners, or none.
func (a *App) listen() (*listening, error) {
	l := &listening{}
	open := func(setting string, addresses []string, into *[]net.Listener) error {
		for _, address := range addresses {
			one, err := a.listenOn(setting, address)
			if err != nil {
				return err
			}
			*into = append(*into, one)
		}
		return nil
	}
	err := open("ccs.listen", a.cfg.CCS.Listen, &l.ccs)
	if err == nil {
		err = open("http.listen", a.cfg.HTTP.Listen, &l.web)
	}
	if err == nil && a.cfg.Admin.Listen != "" {
		l.admin, err = a.listenOn("admin.listen", a.cfg.Admin.Listen)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	if l.admin != nil {
		if tcp, ok := l.admin.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
			a.admin.Handler = onlyByOwnName(a.admin.Handler, a.cfg.CANames)
		}
		limit := newConnectionLimit(a.cfg.Limits.AdminConnections, func() { a.obs.LimitHit("admin_connections") })
		l.admin = limit.listener(l.admin)
	}
	if a.opt.Descriptors > 0 {
		limit := newConnectionLimit(frontConnections(a.opt.Descriptors, a.cfg.Limits.AdminConnections), func() { a.obs.LimitHit("descriptors") })
		for _, list := range [][]net.Listener{l.ccs, l.web} {
			for i := range list {
				list[i] = limit.listener(list[i])
			}
		}
	}
	limit := newConnectionLimit(a.cfg.Limits.HTTPConnections, func() { a.obs.LimitHit("http_connections") })
	for i := range l.web {
		l.web[i] = h2wire.NewListener(limit.listener(l.web[i]), a.webTLS, &h2wire.Options{Failed: a.obs.NoHTTP})
	}
	return l, nil
}

func (a *App) listenOn(setting, address string) (net.Listener, error) {
	l, err := a.opt.Listen("tcp", address)
	if err != nil {
		return nil, &ListenError{setting, a.cfg.Place(setting), address, err}
	}
	return &watched{l, a.obs.Deaf}, nil
}

// A watched listener tells when it cannot take connections. Whoever serves it tries
// again, and takes no more notice of it than of a stranger that left.
type watched struct {
	net.Listener
	deaf func(listener net.Addr, why error)
}

// Accept implements [net.Listener].
func (l *watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.deaf(l.Addr(), err)
	}
	return conn, err
}
