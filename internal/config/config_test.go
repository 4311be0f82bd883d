package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/internal/config"
)

// A place is a directory with a configuration in it.
type place struct {
	t    *testing.T
	dir  string
	file string
}

// write makes penstock.yaml of text, in which DIR stands for the directory and
// KEYS for keys that are fine.
func write(t *testing.T, text string) place {
	t.Helper()
	p := place{t: t, dir: t.TempDir()}
	p.file = filepath.Join(p.dir, "penstock.yaml")
	p.put("key", "psk_0123456789abcdef\n", 0o600)
	p.put("sa.json", `{"type":"service_account"}`, 0o600)
	p.put("far-key", "far key", 0o600)
	p.put("empty", " \n", 0o600)
	text = strings.ReplaceAll(text, "KEYS", "[{name: backend, secret_file: key}]")
	text = strings.ReplaceAll(text, "DIR", p.dir)
	p.put("penstock.yaml", text, 0o600)
	return p
}

func (p place) put(name, text string, mode os.FileMode) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) load(environ ...string) (*config.Config, error) {
	return config.Load(config.Sources{File: p.file, Environ: append(environ, "PENSTOCK_DATA_DIR="+filepath.Join(p.dir, "data"))})
}

func (p place) good(environ ...string) *config.Config {
	p.t.Helper()
	c, err := p.load(environ...)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// wrong loads and returns what is wrong, with DIR for the directory.
func (p place) wrong(environ ...string) []string {
	p.t.Helper()
	_, err := p.load(environ...)
	bad, ok := errors.AsType[config.Problems](err)
	if !ok {
		p.t.Fatalf("got %v, not a list of problems", err)
	}
	return strings.Split(strings.ReplaceAll(bad.Error(), p.dir, "DIR"), "\n")
}

const shop = `
projects:
  - name: shop
    sender_id: "1234567890"
    keys: KEYS
    transport: {fcm: {credentials_file: sa.json}}
`

func TestDefaults(t *testing.T) {
	c := write(t, shop).good()
	p := c.Projects[0]
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"ccs", strings.Join(c.CCS.Listen, " "), ":5235 :5236"},
		{"http", strings.Join(c.HTTP.Listen, " "), ":8080"},
		{"admin", c.Admin.Listen, "127.0.0.1:9090"},
		{"verdict_timeout", c.VerdictTimeout, 12 * time.Second},
		{"log", c.Log, config.Log{Level: "info", Format: "text"}},
		{"endpoint", p.Transport.FCM.Endpoint, "https://fcm.googleapis.com"},
		{"quotas", p.Quotas, config.Quotas{PerMinute: 600_000, Ramp: time.Minute, PerDevice: true, InFlight: 1000}},
		{"reply", p.Reply, config.Reply{CCS: "auto", Legacy: "verdict", V1: "verdict"}},
		{"streams", c.Limits.HTTPStreams, 100},
		{"header", c.Limits.HTTPHeaderBytes, 16 << 10},
		{"upstream", strings.Join(p.Upstream.To, " "), "ccs"},
		{"key", p.Keys[0].Text().Reveal(), "psk_0123456789abcdef"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if !p.Transport.HasFCM || p.Transport.HasCCS {
		t.Errorf("the transport is %+v", p.Transport)
	}
	if d, err := config.Load(config.Sources{Environ: []string{}}); err != nil || d.DataDir != "/var/lib/penstock" {
		t.Errorf("without anything: %v, %v", d.DataDir, err)
	}
}

func TestFlagOverEnvironmentOverFile(t *testing.T) {
	p := write(t, "log: {level: warn, format: json}\nccs: {listen: [\"127.0.0.1:1\", \"127.0.0.1:2\"]}\nadmin: {listen: \"127.0.0.1:3\"}\n")
	c, err := config.Load(config.Sources{
		File:    p.file,
		Environ: []string{"PENSTOCK_LOG_LEVEL=error", "PENSTOCK_CCS_LISTEN=127.0.0.1:4, 127.0.0.1:5", "PENSTOCK_ADMIN_LISTEN=", "OTHER=1"},
		Flags:   map[string]string{"log.level": "debug", "data_dir": filepath.Join(p.dir, "d")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != "debug" || c.Log.Format != "json" || !slices.Equal(c.CCS.Listen, []string{"127.0.0.1:4", "127.0.0.1:5"}) || c.Admin.Listen != "127.0.0.1:3" {
		t.Errorf("got %+v %+v %+v", c.Log, c.CCS, c.Admin)
	}
	for path, want := range map[string]string{
		"log.level": "--log-level", "data_dir": "--data-dir", "ccs.listen": "PENSTOCK_CCS_LISTEN",
		"log.format": p.file + ":1", "http.listen": "default",
	} {
		if got := c.Place(path); got != want {
			t.Errorf("%s comes from %q, want %q", path, got, want)
		}
	}
}

func TestProjectsComeFromTheEnvironmentToo(t *testing.T) {
	p := write(t, shop)
	c := p.good(
		"PENSTOCK_PROJECTS=shop,my-news", "PENSTOCK_PROJECTS_SHOP_SENDER_ID=77", "PENSTOCK_PROJECTS_SHOP_KEYS_BACKEND_FRONTS=v1,legacy",
		"PENSTOCK_PROJECTS_MY_NEWS_SENDER_ID=99", "PENSTOCK_PROJECTS_MY_NEWS_KEYS=a", "PENSTOCK_PROJECTS_MY_NEWS_KEYS_A_SECRET=psk_secret",
		"PENSTOCK_PROJECTS_MY_NEWS_TRANSPORT_CCS_ENDPOINT=127.0.0.1:5235", "PENSTOCK_PROJECTS_MY_NEWS_TRANSPORT_CCS_KEY_FILE="+filepath.Join(p.dir, "far-key"),
		"PENSTOCK_PROJECTS_MY_NEWS_QUOTAS_RAMP=5s",
	)
	if len(c.Projects) != 2 {
		t.Fatalf("%d projects", len(c.Projects))
	}
	if s := c.Projects[0]; s.SenderID != "77" || !slices.Equal(s.Keys[0].Fronts, []string{"v1", "legacy"}) || s.Quotas.Ramp != time.Minute {
		t.Errorf("got %+v", s)
	}
	if n := c.Projects[1]; n.Name != "my-news" || n.SenderID != "99" || n.Keys[0].Text().Reveal() != "psk_secret" || !n.Transport.HasCCS ||
		n.Transport.HasFCM || n.Transport.CCS.Text().Reveal() != "far key" || n.Quotas.Ramp != 5*time.Second {
		t.Errorf("got %+v", n)
	}
}

func TestVariablesThatNothingKnows(t *testing.T) {
	const canary = "canary-1234"
	load := func(file string, environ ...string) (said []string) {
		_, err := config.Load(config.Sources{
			File: file, Environ: append(environ, "PENSTOCK_DATA_DIR="+filepath.Join(t.TempDir(), "data")),
			Variables: []string{"PENSTOCK_KEY_FILE", "PENSTOCK_ENDPOINT", "PENSTOCK_FROM"},
		})
		if bad, ok := errors.AsType[config.Problems](err); ok {
			return bad
		} else if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	unknown := func(name, rest string) string {
		return "unknown variable `" + name + "` in the environment: " + rest
	}
	mine := write(t, shop).file
	for _, tt := range []struct{ name, want string }{
		{"PENSTOCK_LOG_LEVL", "did you mean `PENSTOCK_LOG_LEVEL`?"},
		{"PENSTOCK_DATADIR", "did you mean `PENSTOCK_DATA_DIR`?"},
		{"PENSTOCK_KEY_FIEL", "did you mean `PENSTOCK_KEY_FILE`?"},
		{"PENSTOCK_KEYFILE", "did you mean `PENSTOCK_KEY_FILE`?"},
		{"PENSTOCK_LIMITS_HTTP_STREEMS", "did you mean `PENSTOCK_LIMITS_HTTP_STREAMS`?"},
		{"PENSTOCK_CA_NAME", "did you mean `PENSTOCK_CA_NAMES`?"},
		{"PENSTOCK_LOG", "did you mean `PENSTOCK_LOG_FORMAT`?"},
		{"PENSTOCK_STRICT_PAYLOAD", "did you mean `PENSTOCK_CCS_STRICT_PAYLOAD`?"},
		{"PENSTOCK_PROJECTS_SHPO_SENDER_ID", "did you mean `PENSTOCK_PROJECTS_SHOP_SENDER_ID`?"},
		{"PENSTOCK_PROJECTS_SHOP_TRANSPORT_FCM_APPLICATION_DEFALUT", "did you mean `PENSTOCK_PROJECTS_SHOP_TRANSPORT_FCM_APPLICATION_DEFAULT`?"},
		{"PENSTOCK_PROJECTS_SHOP_KEYS_BACKNED_SECRET", "did you mean `PENSTOCK_PROJECTS_SHOP_KEYS_BACKEND_SECRET`?"},
		{"PENSTOCK_PROJECTS_NEWS_SENDER_ID", "no project of the file, of projects.json or of PENSTOCK_PROJECTS has such a setting"},
		{"PENSTOCK_FROBNICATION", "it is no setting's and no flag's: unset it"},
		{"PENSTOCK_" + strings.Repeat("A", 200), "it is no setting's and no flag's: unset it"},
		{"PENSTOCK_", "it is no setting's and no flag's: unset it"},
	} {
		if got := load(mine, tt.name+"="+canary); len(got) != 1 || got[0] != unknown(tt.name, tt.want) {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
	t.Run("all of them, beside what else is wrong", func(t *testing.T) {
		got := load(mine, "PENSTOCK_ZZZZZZZZZ=1", "PENSTOCK_LOG_LEVEL=loud", "PENSTOCK_HTP_LISTEN="+canary)
		if len(got) != 3 || !strings.Contains(got[0], "PENSTOCK_LOG_LEVEL") || !strings.Contains(got[1], "`PENSTOCK_HTTP_LISTEN`") || !strings.Contains(got[2], "PENSTOCK_ZZZZZZZZZ") {
			t.Errorf("got %q", got)
		}
		if strings.Contains(strings.Join(got, ""), canary) {
			t.Errorf("a value is shown: %q", got)
		}
	})
	t.Run("of projects only beside a file that can be read", func(t *testing.T) {
		got := load(mine+"x", "PENSTOCK_PROJECTS_SHOP_SENDER_ID=7", "PENSTOCK_LOG_LEVL=info")
		if len(got) != 2 || !strings.Contains(got[0], "no such file") || !strings.Contains(got[1], "PENSTOCK_LOG_LEVL") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("not what is known elsewhere, is empty, or is nobody's", func(t *testing.T) {
		if got := load(mine, "PENSTOCK_KEY_FILE=x", "PENSTOCK_ENDPOINT=y", "PENSTOCK_LOG_LEVL=", "MY_PENSTOCK_LOG=1", "PENSTOCKX=1",
			"PENSTOCK_PROJECTS= shop, shop", "PENSTOCK_PROJECTS_SHOP_KEYS=backend", "PENSTOCK_PROJECTS_SHOP_KEYS_BACKEND_FRONTS=v1",
			"PENSTOCK_PROJECTS_SHOP_TRANSPORT_FCM_ENDPOINT=https://localhost"); got != nil {
			t.Errorf("got %q", got)
		}
	})
	t.Run("not what platforms put there for services of this name", func(t *testing.T) {
		for _, service := range []string{"PENSTOCK", "PENSTOCK_FOO", "PENSTOCK_SHOP_2"} {
			for _, v := range []string{
				"SERVICE_HOST=10.0.0.1", "SERVICE_PORT=8080", "SERVICE_PORT_HTTP=8080", "SERVICE_PORT_CCS_ALT=5236", "PORT=tcp://10.0.0.1:8080",
				"PORT_8080_TCP=tcp://10.0.0.1:8080", "PORT_8080_TCP_PROTO=tcp", "PORT_8080_TCP_PORT=8080", "PORT_8080_TCP_ADDR=10.0.0.1", "PORT_53_UDP_ADDR=10.0.0.1",
				"PORT_5235_TCP_START=tcp://10.0.0.1:5235", "PORT_5235_TCP_PORT_END=5236", "NAME=/web/penstock", "ENV_PATH=/bin",
			} {
				if got := load(mine, service+"_"+v); got != nil {
					t.Errorf("%s_%s: got %q", service, v, got)
				}
			}
		}
		for _, v := range []string{"PENSTOCK_DATADIR=/var/penstock", "PENSTOCK_SERVICE_HOSTS=x", "PENSTOCK_PORTS=1", "PENSTOCK_PORT_X_TCP=1", "PENSTOCK_FOO_NAME=web"} {
			if got := load(mine, v); len(got) != 1 {
				t.Errorf("%s is passed over: %q", v, got)
			}
		}
	})
	t.Run("a flag or a setting that is called like one of those goes on to count", func(t *testing.T) {
		c, err := config.Load(config.Sources{File: write(t, strings.Replace(shop, "name: shop", "name: service-port", 1)).file, Variables: []string{}, Environ: []string{
			"PENSTOCK_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "PENSTOCK_PROJECTS_SERVICE_PORT_SENDER_ID=77",
		}})
		if err != nil || c.Projects[0].SenderID != "77" {
			t.Errorf("got %v, %v", c.Projects, err)
		}
	})
	t.Run("nothing is refused where nobody says what else there is", func(t *testing.T) {
		write(t, shop).good("PENSTOCK_LOG_LEVL=info")
	})
}

func TestRelativePathsCountFromTheFile(t *testing.T) {
	p := write(t, shop+"data_dir: here\n")
	c, err := config.Load(config.Sources{File: p.file, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(p.dir, "here"); c.DataDir != want || c.Projects[0].Transport.FCM.CredentialsFile != filepath.Join(p.dir, "sa.json") {
		t.Errorf("got %s and %s", c.DataDir, c.Projects[0].Transport.FCM.CredentialsFile)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"a slip of the pen in a project", strings.Replace(shop, "keys:", "verdict_timout: 5s\n    keys:", 1), []string{
			"unknown key `verdict_timout` in project shop at DIR/penstock.yaml:5: did you mean `verdict_timeout`?",
		}},
		{"two letters swapped at the margin", "lgo: {level: info}", []string{"unknown key `lgo` at DIR/penstock.yaml:1: did you mean `log`?"}},
		{"one deep inside", "\nprojects: [{name: a, transport: {fcm: {\n credentials_fil: x}}}]", []string{
			"unknown key `credentials_fil` in transport.fcm of project a at DIR/penstock.yaml:3: did you mean `credentials_file`?",
		}},
		{"a key in the wrong section", "credentials_file: x", []string{"unknown key `credentials_file` at DIR/penstock.yaml:1: it belongs in projects[].transport.fcm"}},
		{"a key of another section's margin", "log: {data_dir: x}", []string{"unknown key `data_dir` in log at DIR/penstock.yaml:1: it belongs in the file itself, at the margin"}},
		{"nothing like it", "log: {colour: red}", []string{"unknown key `colour` in log at DIR/penstock.yaml:1: known here are level, format"}},
		{"a key twice", "log: {level: info,\n level: warn}", []string{"key `level` in log stands at DIR/penstock.yaml:1 and again at DIR/penstock.yaml:2: keep one"}},
		{"a project twice", "projects: [{name: a}, \n {name: a}]", []string{"project a at DIR/penstock.yaml:2: there is one of that name already: give it another name"}},
		{"all at once", "verdict_timeout: 12\nlog: {level: loud}\nadmin: {pprof: maybe}\nlimits: {dedupe_max: many}\n", []string{
			"`verdict_timeout` at DIR/penstock.yaml:1 is \"12\": give a duration with its unit, such as 500ms, 12s or 1h30m",
			"`level` in log at DIR/penstock.yaml:2 is \"loud\": give debug, info, warn or error",
			"`pprof` in admin at DIR/penstock.yaml:3 is \"maybe\": give true or false",
			"`dedupe_max` in limits at DIR/penstock.yaml:4 is \"many\": give a whole number",
		}},
		{"a list for one value", "data_dir: [a, b]", []string{"`data_dir` at DIR/penstock.yaml:1 is no single value: write it behind the key"}},
		{"a mapping for a list", "ccs: {listen: {a: b}}", []string{"`listen` in ccs at DIR/penstock.yaml:1 is no list: write [a, b]"}},
		{"lists in a list", "ccs: {listen: [[a]]}", []string{"`listen` in ccs at DIR/penstock.yaml:1 is no list of plain values"}},
		{"a value for a section", "log: debug", []string{"log at DIR/penstock.yaml:1 is no mapping: write its settings below it, as key: value"}},
		{"projects as a mapping", "projects: {shop: {}}", []string{"`projects` at DIR/penstock.yaml:1 is no list: begin each project with \"- name: …\""}},
		{"fronts of a key", "projects: [{name: a, keys: [{name: b, fronts: [ccs, xmpp]}]}]", []string{
			"`fronts` in key b of project a at DIR/penstock.yaml:1 has \"xmpp\": give ccs, legacy or v1",
		}},
		{"two documents", "log: {}\n---\nlog: {}\n", []string{"DIR/penstock.yaml has more than one document: keep the first, without a line ---"}},
		{"no YAML", "log: {", []string{"DIR/penstock.yaml is neither YAML nor JSON: line 1: did not find expected node content"}},
		{"too large", strings.Repeat("#", 4<<20+1), []string{"DIR/penstock.yaml has more than 4194304 bytes: that is no configuration"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := write(t, tt.text).wrong(); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		p := write(t, "")
		p.file += "x"
		if got := p.wrong(); !slices.Equal(got, []string{"open DIR/penstock.yamlx: no such file or directory: give an existing file, or none"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("in the environment", func(t *testing.T) {
		if got := write(t, shop).wrong("PENSTOCK_LOG_LEVEL=loud"); !slices.Equal(got, []string{`PENSTOCK_LOG_LEVEL is "loud": give debug, info, warn or error`}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("an emulator", func(t *testing.T) {
		if got := write(t, shop).wrong("FIREBASE_AUTH_EMULATOR_HOST=localhost:9099", "FIREBASE_EMULATOR_HUB="); !slices.Equal(got, []string{"FIREBASE_AUTH_EMULATOR_HOST is set, which is for tests with Firebase's emulators: unset it"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("in a flag", func(t *testing.T) {
		_, err := config.Load(config.Sources{Environ: []string{}, Flags: map[string]string{"log.format": "xml"}})
		if err == nil || err.Error() != `--log-format is "xml": give text or json` {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnchorsAndEmptyValues(t *testing.T) {
	c := write(t, "x-unused: &keys\n").wrong()
	if len(c) != 1 || !strings.Contains(c[0], "unknown key `x-unused`") {
		t.Errorf("got %q", c)
	}
	good := write(t, `
log:
verdict_timeout:
projects:
  - {name: a, sender_id: &id 0123, keys: &keys KEYS, transport: &far {fcm: {credentials_file: sa.json}}}
  - {name: b, sender_id: 45, project_id: *id, keys: *keys, transport: *far}
`).good()
	if a, b := good.Projects[0], good.Projects[1]; a.SenderID != "0123" || b.ProjectID != "0123" || len(b.Keys) != 1 || !b.Transport.HasFCM || good.VerdictTimeout != 12*time.Second {
		t.Errorf("got %+v and %+v", a, b)
	}
	if c := write(t, "").good(); len(c.Projects) != 0 {
		t.Error("an empty file has projects")
	}
}

func TestWhatCannotBe(t *testing.T) {
	project := func(old, with string) string { return strings.Replace(shop, old, with, 1) }
	const at = " at DIR/penstock.yaml:"
	for _, tt := range []struct{ name, text, want string }{
		{"verdict_timeout too short", "verdict_timeout: 10ms", "`verdict_timeout`" + at + "1 is 10ms: give 2s to 5m"},
		{"verdict_timeout too long", "{verdict_timeout: 301s, limits: {http_write_timeout: 10m}}", "`verdict_timeout`" + at + "1 is 5m1s: give 2s to 5m"},
		{"HTTP has just as much time as a verdict", "limits: {http_write_timeout: 12s}", "`http_write_timeout` in limits" + at + "1 is 12s: give more than verdict_timeout, 12s, or answers are cut off"},
		{"verdict_timeout longer than HTTP has time", "verdict_timeout: 40s", "`http_write_timeout` in limits is 30s: give more than verdict_timeout, 40s, or answers are cut off"},
		{"address", "http: {listen: 8080}", "`listen` in http" + at + "1 has \"8080\": give host:port, such as 127.0.0.1:8080, or :8080 for all addresses"},
		{"admin address", "admin: {listen: a:b:c}", "`listen` in admin" + at + "1 has \"a:b:c\": give host:port, such as 127.0.0.1:8080, or :8080 for all addresses"},
		{"a port that there is not", "admin: {listen: \"127.0.0.1:70000\"}", "`listen` in admin" + at + "1 has \"127.0.0.1:70000\": give host:port, such as 127.0.0.1:8080, or :8080 for all addresses"},
		{"a name with a port", "ca_names: [\"::1\", a.example, \"b:1\"]", "`ca_names`" + at + "1 has \"b:1\": give host names and IP addresses, without ports"},
		{"profiles for all", "admin: {listen: \":9090\", pprof: true}", "`pprof` in admin" + at + "1 is on, but the admin listener :9090 can be reached by others, and profiles show what is in memory: listen on 127.0.0.1, or turn it off"},
		{"profiles for a network", "admin: {listen: \"192.0.2.1:9090\", pprof: true}", "`pprof` in admin" + at + "1 is on, but the admin listener 192.0.2.1:9090 can be reached by others, and profiles show what is in memory: listen on 127.0.0.1, or turn it off"},
		{"half a certificate", "http: {tls: {cert_file: x}}", "`key_file` in http.tls" + at + "1 is missing, and there is a cert_file: give both or none"},
		{"the other half", "ccs: {tls: {key_file: x}}", "`cert_file` in ccs.tls" + at + "1 is missing, and there is a key_file: give both or none"},
		{"a certificate that is none", "ccs: {tls: {cert_file: key, key_file: key}}", "`cert_file` in ccs.tls" + at + "1 and its key_file cannot be used: tls: failed to find any PEM data in certificate input"},
		{"two certificates", "http: {own_tls: true, tls: {cert_file: key, key_file: key}}", "`own_tls` in http" + at + "1 is on, and there is a cert_file too: keep one of them"},
		{"limit", "limits: {http_streams: 0}", "`http_streams` in limits" + at + "1 is 0: give at least 1"},
		{"time limit", "limits: {http_idle_timeout: -1s}", "`http_idle_timeout` in limits" + at + "1 is -1s: give more than 0"},
		{"a time limit that would be none", "limits: {http_idle_timeout: 0s}", "`http_idle_timeout` in limits" + at + "1 is 0s: give more than 0"},
		{"name", project("name: shop", "name: Shop"), "`name` in project Shop" + at + "3 is \"Shop\": give up to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"},
		{"a name with dots", project("name: shop", "name: my.shop.eu"), "`name` in project my.shop.eu" + at + "3 is \"my.shop.eu\": give up to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"},
		{"sender id", project(`"1234567890"`, "12a"), "`sender_id` in project shop" + at + "4 is \"12a\": give the project's number, digits only, as Firebase's console shows it under Cloud Messaging"},
		{"project id", project("keys:", "project_id: My App\n    keys:"), "`project_id` in project shop" + at + "5 is \"My App\": give the project's id, such as my-app-1a2b3, as Firebase's console shows it"},
		{"long verdict", project("keys:", "verdict_timeout: 13s\n    keys:"), "`verdict_timeout` in project shop" + at + "5 is 13s: give 2s to the general verdict_timeout, 12s, or raise that"},
		{"short verdict", project("keys:", "verdict_timeout: 1s\n    keys:"), "`verdict_timeout` in project shop" + at + "5 is 1s: give 2s to the general verdict_timeout, 12s, or raise that"},
		{"no keys", project("keys: KEYS", "keys: []"), "`keys` in project shop" + at + "3 is empty, so that nobody could send: give a key a name and a secret_file, such as keys: [{name: backend, secret_file: /run/secrets/shop-key}]"},
		{"a key without a key", project("KEYS", "[{name: a}]"), "`secret_file` in key a of project shop" + at + "5 must be given, or else secret or hash: exactly one of the three"},
		{"two keys in one", project("KEYS", "[{name: a, secret: b, hash: c}]"), "`secret_file` in key a of project shop" + at + "5 must be given, or else secret or hash: exactly one of the three"},
		{"hash", project("KEYS", "[{name: a, hash: sha1}]"), "`hash` in key a of project shop" + at + "5 is none that `penstock project key` wrote: give secret_file instead"},
		{"a key's name", project("KEYS", "[{name: 'a b', secret: x}]"), "`name` in key a b of project shop" + at + "5 is \"a b\": give up to 64 letters, digits, hyphens and underscores"},
		{"a key's name with a dot", project("KEYS", "[{name: a.b, secret: x}]"), "`name` in key a.b of project shop" + at + "5 is \"a.b\": give up to 64 letters, digits, hyphens and underscores"},
		{"a key file that is not there", project("KEYS", "[{name: a, secret_file: nowhere}]"), "`secret_file` in key a of project shop" + at + "5 cannot be read: open DIR/nowhere: no such file or directory: give the path of an existing file"},
		{"an empty key file", project("KEYS", "[{name: a, secret_file: empty}]"), "`secret_file` in key a of project shop" + at + "5 is DIR/empty, which is empty: write the secret into it"},
		{"no transport", project("transport: {fcm: {credentials_file: sa.json}}", "upstream: {}"), "`transport` in project shop" + at + "3 needs one of fcm and ccs, such as transport: {fcm: {credentials_file: …}}"},
		{"two transports", project("sa.json}", "sa.json}, ccs: {endpoint: \"a:1\", key_file: key}"), "`transport` in project shop" + at + "6 needs one of fcm and ccs, such as transport: {fcm: {credentials_file: …}}"},
		{"no credentials", project("credentials_file: sa.json", ""), "`credentials_file` in transport.fcm of project shop" + at + "6 is missing: give a service account's file, or application_default: true"},
		{"two credentials", project("sa.json", "sa.json, application_default: true"), "`credentials_file` in transport.fcm of project shop" + at + "6 is one of several credentials: keep one of credentials_file, credentials and application_default"},
		{"credentials that are not there", project("sa.json", "sb.json"), "`credentials_file` in transport.fcm of project shop" + at + "6 cannot be read: open DIR/sb.json: no such file or directory: give the path of an existing file"},
		{"endpoint", project("sa.json", "sa.json, endpoint: fcm.googleapis.com"), "`endpoint` in transport.fcm of project shop" + at + "6 is \"fcm.googleapis.com\": give https://, host and port, and nothing behind them"},
		{"endpoint with a path", project("sa.json", "sa.json, endpoint: \"https://h/v1\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://h/v1\": give https://, host and port, and nothing behind them"},
		{"endpoint with a query", project("sa.json", "sa.json, endpoint: \"https://h?q\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://h?q\": give https://, host and port, and nothing behind them"},
		{"endpoint without a host", project("sa.json", "sa.json, endpoint: \"https://:443\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://:443\": give https://, host and port, and nothing behind them"},
		{"endpoint with a fragment", project("sa.json", "sa.json, endpoint: \"https://h#x\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://h#x\": give https://, host and port, and nothing behind them"},
		{"endpoint with no port", project("sa.json", "sa.json, endpoint: \"https://h:70000\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://h:70000\": give https://, host and port, and nothing behind them"},
		{"endpoint without anything", project("sa.json", "sa.json, endpoint: \"https://\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://\": give https://, host and port, and nothing behind them"},
		{"endpoint that is no URL", project("sa.json", "sa.json, endpoint: \"https://[::1\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://[::1\": give https://, host and port, and nothing behind them"},
		{"endpoint of another kind", project("sa.json", "sa.json, endpoint: \"ftp://h:1\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"ftp://h:1\": give https://, host and port, and nothing behind them"},
		{"endpoint without TLS", project("sa.json", "sa.json, endpoint: \"http://h:1\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"http://h:1\": without TLS everyone on the way could read and send; give https://"},
		{"endpoint without TLS at an address", project("sa.json", "sa.json, endpoint: \"http://192.0.2.1:1\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"http://192.0.2.1:1\": without TLS everyone on the way could read and send; give https://"},
		{"authority", project("sa.json", "sa.json, ca_file: key"), "`ca_file` in transport.fcm of project shop" + at + "6 is DIR/key, which holds no certificate in PEM form"},
		{"no authority", project("sa.json", "sa.json, ca_file: nowhere"), "`ca_file` in transport.fcm of project shop" + at + "6 cannot be read: open DIR/nowhere: no such file or directory: give the path of an existing file"},
		{"connections", project("sa.json", "sa.json, max_connections: 0"), "`max_connections` in transport.fcm of project shop" + at + "6 is 0: give at least 1"},
		{"proxy", project("sa.json", "sa.json, proxy: user:secret@host"), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"proxy without a host", project("sa.json", "sa.json, proxy: \"http://\""), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"proxy with a port alone", project("sa.json", "sa.json, proxy: \"http://:3128\""), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"proxy with no port", project("sa.json", "sa.json, proxy: \"http://h:70000\""), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"proxy that is no URL", project("sa.json", "sa.json, proxy: \"http://[::1\""), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"proxy of another kind", project("sa.json", "sa.json, proxy: \"ftp://h:1\""), "`proxy` in transport.fcm of project shop" + at + "6 is no URL of a proxy: give http://host:port, or none"},
		{"endpoint with a password", project("sa.json", "sa.json, endpoint: \"https://user:canary@h\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"https://[redacted]@h\": give https://, host and port, and nothing behind them"},
		{"endpoint with a password and no scheme", project("sa.json", "sa.json, endpoint: \"user:canary@h\""), "`endpoint` in transport.fcm of project shop" + at + "6 is \"[redacted]@h\": give https://, host and port, and nothing behind them"},
		{"far endpoint with a password", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"https://user:can@ry@far:1\", key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \"https://[redacted]@far:1\": give host:port"},
		{"far endpoint with a user", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"canary@far:1\", key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \"[redacted]@far:1\": give host:port"},
		{"far endpoint", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: far, key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \"far\": give host:port"},
		{"far endpoint without a host", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \":5235\", key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \":5235\": give host:port"},
		{"far endpoint with no port", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:70000\", key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \"far:70000\": give host:port"},
		{"far endpoint with an empty port", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:\", key_file: far-key}"), "`endpoint` in transport.ccs of project shop" + at + "6 is \"far:\": give host:port"},
		{"far authority", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\", key_file: far-key, ca_file: key}"), "`ca_file` in transport.ccs of project shop" + at + "6 is DIR/key, which holds no certificate in PEM form"},
		{"no stream", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\", key_file: far-key, streams: 0}"), "`streams` in transport.ccs of project shop" + at + "6 is 0: give 1 to 1000"},
		{"far sender id", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\", key_file: far-key, sender_id: me}"), "`sender_id` in transport.ccs of project shop" + at + "6 is \"me\": give digits only"},
		{"no far key", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\"}"), "`key_file` in transport.ccs of project shop" + at + "6 is missing: give the file with the server key of the far end"},
		{"two far keys", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\", key_file: far-key, key: k}"), "`key_file` in transport.ccs of project shop" + at + "6 stands beside key: keep one of them"},
		{"streams", project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: \"far:1\", key_file: far-key, streams: 1001}"), "`streams` in transport.ccs of project shop" + at + "6 is 1001: give 1 to 1000"},
		{"no store yet", project("keys:", "reply: {ccs: stored}\n    keys:"), "`ccs` in reply of project shop" + at + "5 is stored, and this version has no store to keep messages in: give auto or verdict"},
		{"quota", project("keys:", "quotas: {per_minute: -1}\n    keys:"), "`per_minute` in quotas of project shop" + at + "5 is -1: give a number of messages, or 0 for no limit"},
		{"ramp", project("keys:", "quotas: {ramp: -1s}\n    keys:"), "`ramp` in quotas of project shop" + at + "5 is -1s: give a duration, or 0s for none"},
		{"in flight", project("keys:", "quotas: {in_flight: 0}\n    keys:"), "`in_flight` in quotas of project shop" + at + "5 is 0: give at least 1"},
		{"size", project("keys:", "translate: {size_limit: -1}\n    keys:"), "`size_limit` in translate of project shop" + at + "5 is -1: give a number of bytes, or 0 for no limit"},
		{"a sender id twice", shop + "  - {name: b, sender_id: 1234567890, keys: KEYS, transport: {fcm: {credentials_file: sa.json}}}", "`sender_id` in project b" + at + "7 is \"1234567890\", which project shop at DIR/penstock.yaml:3 has already: a project has one of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := write(t, tt.text).wrong()
			if tt.name == "two certificates" {
				got = got[1:] // the first: a key is no certificate
			}
			if !slices.Equal(got, []string{tt.want}) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

func TestTheDataDirectoryHasAName(t *testing.T) {
	p := write(t, "data_dir: ''")
	_, err := config.Load(config.Sources{File: p.file, Environ: []string{}})
	if want := "`data_dir` at " + p.file + ":1 is empty: give a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestWhatMayBe(t *testing.T) {
	project := func(old, with string) string { return strings.Replace(shop, old, with, 1) }
	far := func(more string) string {
		return project("fcm: {credentials_file: sa.json}", "ccs: {endpoint: 'far:1', "+more+"}")
	}
	for _, text := range []string{
		"projects:",
		"verdict_timeout: 2s",
		"{verdict_timeout: 5m, limits: {http_write_timeout: 301s}}",
		"{verdict_timeout: 29999ms, limits: {http_write_timeout: 30s}}",
		"limits: {http_streams: 1, http_idle_timeout: 1ns}",
		"http: {own_tls: true}",
		"http: {listen: ':https'}",
		"admin: {listen: '127.0.0.2:9090', pprof: true}",
		"admin: {listen: 'localhost:9090', pprof: true}",
		"admin: {listen: '[::1]:9090', pprof: true}",
		project("keys:", "verdict_timeout: 2s\n    keys:"),
		project("keys:", "verdict_timeout: 12s\n    keys:"),
		project("keys:", "quotas: {per_minute: 0, ramp: 0s, in_flight: 1}\n    keys:"),
		project("sa.json", "sa.json, endpoint: 'http://127.0.0.1:8080/'"),
		project("sa.json", "sa.json, endpoint: 'http://localhost:8080'"),
		project("sa.json", "sa.json, endpoint: 'http://[::1]:8080'"),
		project("sa.json", "sa.json, max_connections: 1"),
		project("sa.json", "sa.json, ca_file: ''"), // no file, and not the directory
		project("sa.json", "sa.json, proxy: none"),
		project("sa.json", "sa.json, proxy: 'http://h:1'"),
		project("sa.json", "sa.json, proxy: 'https://user:secret@h'"),
		far("key: k"), far("key_file: far-key, sender_id: 17, streams: 1000"), far("key_file: far-key, streams: 1"),
	} {
		if _, err := write(t, text).load(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	write(t, "").good("FIREBASE_CONFIG={}", "ANDROID_EMULATOR_HOME=/home", "FIREBASE_AUTH_EMULATOR_HOST=") // no emulator of FCM's
}

// Statement 36 of the requirements: key files and the data directory are the
// owner's alone.
func TestR_A54_FilesThatOthersMayRead(t *testing.T) {
	for _, tt := range []struct {
		file   string
		mode   os.FileMode
		by     string
		refuse string
	}{
		{"key", 0o600, "", ""},
		{"key", 0o640, "", "chmod 600 DIR/key"},
		{"key", 0o604, "", "chmod 600 DIR/key"},
		{"key", 0o620, "", "chmod 600 DIR/key"},
		{"sa.json", 0o440, "", "chmod 400 DIR/sa.json"},
		{"sa.json", 0o440, "group", ""},
		{"sa.json", 0o444, "group", "chmod 440 DIR/sa.json"},
		{"sa.json", 0o444, "everyone", ""},
		{"far-key", 0o644, "", "chmod 600 DIR/far-key"},
		{"data", 0o755, "", "chmod 700 DIR/data"},
		{"data", 0o710, "", "chmod 700 DIR/data"},
		{"data", 0o700, "", ""},
		{"data/projects.json", 0o644, "", "chmod 600 DIR/data/projects.json"},
		{"data/projects.json", 0o640, "", "chmod 600 DIR/data/projects.json"},
		{"data/projects.json", 0o640, "group", ""},
		{"data/projects.json", 0o644, "everyone", ""},
		{"penstock.yaml", 0o644, "", ""}, // it holds no secret
		{"secret.yaml", 0o600, "", ""},
		{"secret.yaml", 0o644, "", "chmod 600 DIR/secret.yaml"},
		{"secret.yaml", 0o640, "group", ""},
		{"secret.yaml", 0o644, "everyone", ""},
		{"proxy.yaml", 0o600, "", ""},
		{"proxy.yaml", 0o644, "", "chmod 600 DIR/proxy.yaml"},
		{"user.yaml", 0o644, "", ""}, // without a password
	} {
		t.Run(fmt.Sprintf("%s %o %s", tt.file, tt.mode, tt.by), func(t *testing.T) {
			p := write(t, shop+"  - {name: b, sender_id: 2, keys: KEYS, transport: {ccs: {endpoint: 'far:1', key_file: far-key}}}\n")
			if err := os.Mkdir(filepath.Join(p.dir, "data"), 0o700); err != nil {
				t.Fatal(err)
			}
			p.put("data/projects.json", "{}", 0o600)
			p.put("secret.yaml", strings.ReplaceAll(shop, "KEYS", "[{name: a, secret: psk_0123456789abcdef}]"), 0o600)
			for name, proxy := range map[string]string{"proxy.yaml": "http://user:pw@host", "user.yaml": "http://user@host:1"} {
				p.put(name, strings.NewReplacer("KEYS", "[{name: a, secret_file: key}]", "sa.json", "sa.json, proxy: '"+proxy+"'").Replace(shop), 0o600)
			}
			if strings.HasSuffix(tt.file, ".yaml") {
				p.file = filepath.Join(p.dir, tt.file)
			}
			if err := os.Chmod(filepath.Join(p.dir, tt.file), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := p.load("PENSTOCK_KEY_FILES_READABLE_BY=" + tt.by)
			if tt.refuse == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "run "+strings.ReplaceAll(tt.refuse, "DIR", p.dir)) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("key of a certificate", func(t *testing.T) {
		for _, front := range []string{"http", "ccs"} {
			p := write(t, front+": {tls: {cert_file: cert, key_file: tls-key}}")
			p.put("tls-key", "", 0o644)
			want := []string{"`key_file` in " + front + ".tls at DIR/penstock.yaml:1 is DIR/tls-key, which others than its owner may open (mode 0644): run chmod 600 DIR/tls-key, or set key_files_readable_by"}
			if got := p.wrong(); !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestR_A54_SecretsShowThemselvesNowhere(t *testing.T) {
	const secret = "psk_canary0123456789"
	p := write(t, strings.ReplaceAll(shop, "KEYS", "[{name: a, secret: "+secret+"}]"))
	p.put("sa.json", `{"x":"`+secret+`"}`, 0o600)
	c := p.good("PENSTOCK_PROJECTS=far", "PENSTOCK_PROJECTS_FAR_SENDER_ID=5", "PENSTOCK_PROJECTS_FAR_KEYS=a", "PENSTOCK_PROJECTS_FAR_KEYS_A_SECRET_FILE="+filepath.Join(p.dir, "key"),
		"PENSTOCK_PROJECTS_FAR_TRANSPORT_FCM_CREDENTIALS="+secret, "PENSTOCK_PROJECTS_FAR_TRANSPORT_FCM_PROXY=http://user:"+secret+"@proxy:3128")
	s := config.NewSecret(secret)
	var out strings.Builder
	for _, v := range []any{s, &s, c, *c, c.Projects[0], *c.Projects[0].Keys[0], c.Projects[1].Transport, c.Projects[1].Transport.FCM.Proxy, []config.Secret{s}, map[string]config.Secret{"s": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
	}
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(out.String())
	for _, clear := range []string{secret, "0123456789abcdef", fmt.Sprintf("%x", secret)} {
		if strings.Contains(text, clear) {
			t.Errorf("%q shows", clear)
		}
	}
	if !strings.Contains(text, "secret: '[redacted]'") || !strings.Contains(text, `"credentials":"[redacted]"`) ||
		!strings.Contains(text, "proxy: http://[redacted]@proxy:3128") || !strings.Contains(text, `"proxy":"http://[redacted]@proxy:3128"`) {
		t.Error("what is hidden is not even mentioned")
	}
	if s.Reveal() != secret || config.NewSecret("").String() != "" {
		t.Error("the secret is lost")
	}
	proxy, err := c.Projects[1].Transport.FCM.ProxyFor(&url.URL{Scheme: "https", Host: "fcm.googleapis.com"})
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := proxy.User.Password(); password != secret {
		t.Error("the proxy's password is lost")
	}
}

func TestWrongSecretsAreNotRepeated(t *testing.T) {
	got := strings.Join(write(t, "projects: [{name: a, keys: [{name: b, secret: [psk_canary]}]}]").wrong(), "\n")
	if strings.Contains(got, "canary") || !strings.Contains(got, "`secret` in key b of project a") {
		t.Errorf("got %s", got)
	}
}

// What print writes is a configuration, and the same one.
func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	p := write(t, shop+"log: {level: debug}\nadmin: {listen: ''}\nccs: {listen: []}\n")
	c := p.good()
	var out strings.Builder
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	if want := "level: debug # " + p.file + ":7"; !strings.Contains(out.String(), want) {
		t.Errorf("there is no %q in\n%s", want, out.String())
	}
	again := place{t: t, dir: t.TempDir()}
	again.file = filepath.Join(again.dir, "penstock.yaml")
	again.put("penstock.yaml", out.String(), 0o600)
	d, err := config.Load(config.Sources{File: again.file, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(c)
	b, _ := json.Marshal(d)
	if string(a) != string(b) || !json.Valid(a) {
		t.Errorf("got\n%s\nand then\n%s", a, b)
	}
	if !strings.Contains(string(a), `"verdict_timeout":"12s"`) || !strings.Contains(string(a), `"http_streams":100`) || !strings.Contains(string(a), `"per_device":true`) {
		t.Errorf("got %s", a)
	}
}
