package app

import (
	"net"
	"slices"

	"penstock/internal/config"
	"penstock/internal/localca"
)

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
