package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"penstock/internal/app"
	"penstock/internal/config"
)

// playGateway is Penstock as `penstock serve` runs it, with one project whose
// far end is the bench's, and without quotas.
func playGateway(t task) error {
	cfg, err := gatewayConfig(t)
	if err != nil {
		return err
	}
	ready := make(chan app.Addresses, 1)
	a, err := app.New(cfg, app.Options{LogTo: os.Stderr, Ready: func(at app.Addresses) { ready <- at }})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(context.Background()) }() // as long as the process lasts
	select {
	case at := <-ready:
		say(result{Addr: at.CCS[0]})
	case err := <-ended:
		return err
	}
	var meter meter
	var profile bytes.Buffer
	return obey(func(command string) result {
		switch command {
		case commandMark:
			meter = startMeter()
			return result{}
		case commandProfile:
			profile.Reset()
			if err := pprof.StartCPUProfile(&profile); err != nil {
				return result{Error: err.Error()}
			}
			return result{}
		}
		r := meter.read(0)
		if pprof.StopCPUProfile(); profile.Len() > 0 {
			if r.Stages, err = stagesOf(profile.Bytes()); err != nil {
				r.Error = err.Error()
			}
		}
		return r
	})
}

// gatewayConfig writes a configuration and a service account into the bench's
// directory, and reads them as an operator's. The server's certificate is of the
// bench's own authority, which lives there, too.
func gatewayConfig(t task) (*config.Config, error) {
	account, err := serviceAccount("https://" + t.TokenAddr)
	if err != nil {
		return nil, err
	}
	credentials := filepath.Join(t.Dir, "service-account.json")
	if err := os.WriteFile(credentials, account, 0o600); err != nil {
		return nil, err
	}
	// JSON is YAML.
	settings := map[string]any{
		"data_dir": t.Dir,
		"ccs":      map[string]any{"listen": []string{"127.0.0.1:0"}},
		"http":     map[string]any{"listen": []string{}},
		"admin":    map[string]any{"listen": ""},
		"log":      map[string]any{"level": "warn"},
		"projects": []any{map[string]any{
			"name": "bench", "sender_id": sender,
			"keys":   []any{map[string]any{"name": "bench", "secret": key}},
			"quotas": map[string]any{"per_minute": 0, "ramp": "0s", "per_device": false},
			"transport": map[string]any{"fcm": map[string]any{
				"credentials_file": credentials, "endpoint": "https://" + t.Far, "ca_file": filepath.Join(t.Dir, "ca.pem"), "proxy": "none",
			}},
		}},
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(t.Dir, "penstock.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return config.Load(config.Sources{File: file})
}

// serviceAccount makes the file of a service account whose tokens come from tokenURI.
func serviceAccount(tokenURI string) ([]byte, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{
		"type": "service_account", "project_id": string(project),
		"private_key_id": "bench", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": fmt.Sprintf("bench@%s.iam.gserviceaccount.com", project), "token_uri": tokenURI,
	})
}
