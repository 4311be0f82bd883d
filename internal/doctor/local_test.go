package doctor_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/doctor"
)

func TestPortOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"ccs.listen", "http.listen", "admin.listen"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
				conn.Close()
			}
		}()
		found := examine(t, settings(t, map[string]string{setting: l.Addr().String()}))
		found.want(t, "port", doctor.Bad, "another program", setting, l.Addr().String())
	}
}

func TestPortsOfARunningPenstock(t *testing.T) {
	t.Parallel()
	files, _ := certificate(t, time.Now().Add(-time.Hour), time.Now().Add(30*24*time.Hour), "push.example")
	for name, flags := range map[string]map[string]string{
		"plain HTTP":      nil,
		"own TLS":         {"http.own_tls": "true"},
		"its certificate": {"ccs.tls.cert_file": files.CertFile, "ccs.tls.key_file": files.KeyFile, "http.tls.cert_file": files.CertFile, "http.tls.key_file": files.KeyFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, flags)
			ready := make(chan app.Addresses, 1)
			a, err := app.New(cfg, app.Options{Ready: func(addr app.Addresses) { ready <- addr }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- a.Run(ctx) }()
			defer func() { stop(); <-done }()
			addr := <-ready
			cfg.CCS.Listen, cfg.HTTP.Listen, cfg.Admin.Listen = addr.CCS, addr.HTTP, addr.Admin
			l := examine(t, cfg)
			for _, setting := range []string{"ccs.listen", "http.listen", "admin.listen"} {
				l.want(t, "port", doctor.Good, setting, "Penstock listens there already")
			}
			l.only(t, "configuration")

			// A Penstock of another data directory is another program.
			if name == "own TLS" {
				other := settings(t, flags)
				other.CCS.Listen = addr.CCS
				examine(t, other).want(t, "port", doctor.Bad, "ccs.listen", "another program")
			}
		})
	}
}

func TestTwoSettingsOfOnePort(t *testing.T) {
	t.Parallel()
	address := closedPort(t)
	l := examine(t, settings(t, map[string]string{"ccs.listen": address, "http.listen": address}))
	l.want(t, "port", doctor.Good, "ccs.listen", "free")
	l.want(t, "port", doctor.Bad, "http.listen", "ccs.listen has this port already", "give another address in http.listen")
}

func TestAddressOfAnotherMachine(t *testing.T) {
	t.Parallel()
	examine(t, settings(t, map[string]string{"ccs.listen": "192.0.2.1:5235"})).want(t, "port", doctor.Bad, "does not have that address")
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, c := range []struct {
		name        string
		from, until time.Duration
		hosts       []string
		result      doctor.Result
		pieces      []string
	}{
		{"good", -day, 15 * day, []string{"push.example"}, doctor.Good, []string{"push.example", "valid until"}},
		{"expires soon", -day, 13 * day, []string{"push.example"}, doctor.Warning, []string{"12 days", "renew"}},
		{"expired", -2 * day, -day, []string{"push.example"}, doctor.Bad, []string{"expired", "renew"}},
		{"not yet valid", day, 30 * day, []string{"push.example"}, doctor.Bad, []string{"not valid before", "clock"}},
		{"of no name", -day, 30 * day, nil, doctor.Bad, []string{"names no host"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files, _ := certificate(t, time.Now().Add(c.from), time.Now().Add(c.until), c.hosts...)
			l := examine(t, settings(t, map[string]string{"ccs.tls.cert_file": files.CertFile, "ccs.tls.key_file": files.KeyFile}))
			l.want(t, "certificate", c.result, append(c.pieces, files.CertFile)...)
		})
	}
}

func TestOwnCA(t *testing.T) {
	t.Parallel()
	cfg := settings(t, nil)
	examine(t, cfg).want(t, "certificate", doctor.Good, "is made at the first start")
	if _, err := os.Stat(cfg.DataDir); !os.IsNotExist(err) {
		t.Errorf("the examination made a data directory: %v", err)
	}
	if _, _, err := app.Authority(cfg); err != nil {
		t.Fatal(err)
	}
	examine(t, cfg).want(t, "certificate", doctor.Good, "must trust it")
	serverKey := filepath.Join(cfg.DataDir, "server-key.pem")
	if err := os.WriteFile(serverKey, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	examine(t, cfg).want(t, "certificate", doctor.Bad, "server-key.pem cannot be used")
	if err := os.Remove(serverKey); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.DataDir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	examine(t, cfg).want(t, "certificate", doctor.Bad, "ca-key.pem is missing", "restore the key")
}

func TestServerKeys(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	t.Run("none", func(t *testing.T) {
		p := overFCM(sim)
		p.Keys = nil
		l := examine(t, settings(t, nil), p)
		l.want(t, "keys", doctor.Bad, "penstock project key shop")
		l.only(t, "keys")
	})
	t.Run("for a front that does not listen", func(t *testing.T) {
		p := overFCM(sim)
		p.Keys[0].Fronts = []string{"ccs"}
		cfg := settings(t, nil)
		cfg.CCS.Listen = nil
		examine(t, cfg, p).want(t, "keys", doctor.Bad, "penstock project key shop")
	})
	t.Run("too short", func(t *testing.T) {
		p := overFCM(sim)
		p.Keys[0].Secret = config.NewSecret("canary")
		l := examine(t, settings(t, nil), p)
		l.want(t, "keys", doctor.Bad, "key default of project shop")
		if strings.Contains(l.String(), "canary") {
			t.Errorf("the key is in\n%s", l)
		}
	})
	t.Run("one in two projects", func(t *testing.T) {
		second := overFCM(sim)
		second.Name, second.SenderID = "second", "4711"
		examine(t, settings(t, nil), overFCM(sim), second).want(t, "keys", doctor.Bad, "all projects", "second")
	})
	t.Run("the secret of the hashes is gone", func(t *testing.T) {
		cfg := settings(t, nil)
		p := overFCM(sim)
		p.Keys[0] = &config.Key{Name: "default", Hash: "hmac-sha256:" + strings.Repeat("0", 64)}
		cfg.Book.Projects = append(cfg.Book.Projects, p)
		examine(t, cfg).want(t, "keys", doctor.Bad, "keys.secret is missing", "key default of project shop")
	})
	t.Run("the secret of the hashes is another one", func(t *testing.T) {
		cfg := settings(t, nil)
		if _, err := app.KeySecret(cfg); err != nil {
			t.Fatal(err)
		}
		p := overFCM(sim)
		p.Keys[0] = &config.Key{Name: "default", Hash: "hmac-sha256:" + strings.Repeat("0", 64), SecretID: "00000000"}
		cfg.Book.Projects = append(cfg.Book.Projects, p)
		examine(t, cfg).want(t, "keys", doctor.Bad, "key default of project shop", "another secret (00000000)", "--revoke default")
	})
}

func TestDataDirectory(t *testing.T) {
	t.Parallel()
	cfg := settings(t, nil)
	if _, err := app.KeySecret(cfg); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(cfg.DataDir, "keys.secret")
	if err := os.Chmod(secret, 0o640); err != nil {
		t.Fatal(err)
	}
	examine(t, cfg).want(t, "files", doctor.Warning, "keys.secret", "chmod 600")
	if names, err := os.ReadDir(cfg.DataDir); err != nil || len(names) != 1 {
		t.Errorf("the directory has %v, %v", names, err)
	}
	for _, name := range []string{"ca-key.pem", "server-key.pem", "projects.json"} {
		if err := os.WriteFile(filepath.Join(cfg.DataDir, name), nil, 0o640); err != nil {
			t.Fatal(err)
		}
		examine(t, cfg).want(t, "files", doctor.Warning, name, "chmod 600")
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.DataDir = file
	examine(t, cfg).want(t, "data-dir", doctor.Bad, "is no directory", "--data-dir")
}

func TestTimeIsUp(t *testing.T) {
	t.Parallel()
	sim := simulator(t, fcmsim.Options{})
	cfg := settings(t, nil)
	cfg.Projects = append(cfg.Projects, overFCM(sim))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var list findings
	doctor.Examine(ctx, cfg, nil, func(f doctor.Finding) { list = append(list, f) })
	list.want(t, "far-end", doctor.Unknown, "no time left", "--project shop")
}
