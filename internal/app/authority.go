package app

import (
	"net"
	"slices"

	"penstock/internal/config"
	"penstock/internal/localca"
)

// UsesOwnCA reports whether a listener shows a certificate of the CA in the data
// directory.
func UsesOwnCA(cfg *config.Config) bool {
	return len(cfg.CCS.Listen) > 0 && cfg.CCS.TLS.CertFile == "" ||
		len(cfg.HTTP.Listen) > 0 && cfg.HTTP.OwnTLS && cfg.HTTP.TLS.CertFile == ""
}

// Authority returns the CA of the data directory, made if there is none, and the
// names that its certificates cover.
func Authority(cfg *config.Config) (*localca.CA, []string, error) {
	ca, err := localca.Open(cfg.DataDir, nil)
	if err != nil {
		return nil, nil, err
	}
	names := localca.DefaultNames()
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range cfg.CANames {
		add(name)
	}
	for _, address := range slices.Concat(cfg.CCS.Listen, cfg.HTTP.Listen) {
		if host, _, err := net.SplitHostPort(address); err == nil {
			if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
				add(host)
			}
		}
	}
	return ca, names, nil
}
