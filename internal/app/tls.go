package app

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"penstock/internal/config"
)

// certificateAge is how old a certificate may be before its files are looked at
// again: a renewed one is taken over without a restart.
const certificateAge = time.Minute

// certificates gives handshakes the newest certificate.
type certificates struct {
	load func() (tls.Certificate, error)
	log  *slog.Logger

	mu     sync.Mutex // guards what follows
	newest *tls.Certificate
	loaded time.Time
}

// serverTLS makes the server's side of TLS: of the files that are given, or else
// of Penstock's own CA.
func (a *App) serverTLS(cfg *config.Config, files config.TLS) (*tls.Config, error) {
	c := &certificates{log: a.log, load: func() (tls.Certificate, error) {
		return tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	}}
	if files.CertFile == "" {
		ca, names, err := Authority(cfg)
		if err != nil {
			return nil, err
		}
		a.caFile = ca.CertFile()
		c.load = func() (tls.Certificate, error) { return ca.Server(names) }
	}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest != nil && time.Since(c.loaded) < certificateAge {
		return c.newest, nil
	}
	cert, err := c.load()
	c.loaded = time.Now()
	switch {
	case err == nil:
		c.newest = &cert
	case c.newest == nil:
		return nil, err
	default:
		c.log.Error("the certificate cannot be read any more; the one before stays", "err", err)
	}
	return c.newest, nil
}
