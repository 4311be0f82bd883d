package cli

import (
	"net/http"
	"testing"

	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

// Two simulators on one directory have one key file between them, which names
// the token endpoint of the later one. The earlier one's bridge asks its own.
func TestEachSimulatorKeepsItsCredentials(t *testing.T) {
	t.Parallel()
	opt := fcmsim.Options{Dir: t.TempDir(), HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}}
	start := func() *fcmsim.Sim {
		sim, err := fcmsim.Start(&opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sim.Close() })
		return sim
	}
	sim := start()
	cfg, err := config.Load(config.Sources{Environ: []string{}, Flags: map[string]string{"data_dir": opt.Dir, "key_files_readable_by": "everyone"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&serveCmd{Transport: "fcm", Quotas: "off"}).simConfig(cfg, sim); err != nil {
		t.Fatal(err)
	}
	later := start()
	cred, err := app.Credentials(t.Context(), &cfg.Projects[0].Transport.FCM)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cred.Token(t.Context(), http.DefaultClient); err != nil {
		t.Fatal(err)
	}
	if own, other := sim.TokenRequests(), later.TokenRequests(); own != 1 || other != 0 {
		t.Errorf("its simulator was asked for %d access tokens, the later one for %d; want 1 and 0", own, other)
	}
}
