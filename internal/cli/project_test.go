package cli_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/fcmsim"
)

// A keyLine is what project add and project key print.
type keyLine struct {
	Project   string   `json:"project"`
	SenderID  string   `json:"sender_id"`
	ProjectID string   `json:"project_id"`
	Key       string   `json:"key"`
	ServerKey string   `json:"server_key"`
	Fronts    []string `json:"fronts"`
}

type projectLine struct {
	Project   string `json:"project"`
	SenderID  string `json:"sender_id"`
	ProjectID string `json:"project_id"`
	Transport string `json:"transport"`
	From      string `json:"from"`
	Keys      []struct {
		Key     string   `json:"key"`
		Fronts  []string `json:"fronts"`
		Created string   `json:"created"`
	} `json:"keys"`
}

// dataDir is one that is not there yet.
func dataDir(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }

func addProject(t *testing.T, dir, name, sender string, more ...string) keyLine {
	t.Helper()
	r := run(append([]string{"project", "add", name, "--sender-id", sender, "--data-dir", dir, "--json"}, more...)...)
	r.want(t, 0)
	var l keyLine
	read(t, r.out, &l)
	return l
}

func listProjects(t *testing.T, dir string) []projectLine {
	t.Helper()
	r := run("project", "list", "--data-dir", dir, "--json")
	r.want(t, 0)
	var list []projectLine
	for line := range strings.Lines(r.out) {
		var p projectLine
		read(t, line, &p)
		list = append(list, p)
	}
	return list
}

func TestProjectsAreMadeAndListed(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	sa := filepath.Join(t.TempDir(), "sa.json")
	sim, err := fcmsim.Start(&fcmsim.Options{PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	if err := os.WriteFile(sa, sim.ServiceAccountJSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	a := addProject(t, dir, "shop", "123", "--project-id", "my-shop-1", "--credentials-file", sa, "--fronts", "ccs,v1")
	if a.Project != "shop" || a.SenderID != "123" || a.ProjectID != "my-shop-1" || a.Key != "default" || len(a.ServerKey) < 40 || fmt.Sprint(a.Fronts) != "[ccs v1]" {
		t.Errorf("got %+v", a)
	}
	b := addProject(t, dir, "news", "456", "--ccs-endpoint", "far:5235", "--ccs-key-file", sa, "--ccs-sender-id", "789")
	if a.ServerKey == b.ServerKey || fmt.Sprint(b.Fronts) != "[ccs legacy v1]" {
		t.Errorf("got %+v", b)
	}
	list := listProjects(t, dir)
	if len(list) != 2 || list[0].Project != "shop" || list[0].Transport != "fcm" || list[0].ProjectID != "my-shop-1" || list[0].Keys[0].Key != "default" ||
		fmt.Sprint(list[0].Keys[0].Fronts) != "[ccs v1]" || list[0].Keys[0].Created == "" || !strings.HasPrefix(list[0].From, dir) ||
		list[1].Transport != "ccs" || list[1].SenderID != "456" {
		t.Errorf("got %+v", list)
	}
	r := run("project", "list", "--data-dir", dir)
	r.want(t, 0)
	if !strings.Contains(r.out, "shop  sender id 123, project id my-shop-1, through fcm") || !strings.Contains(r.out, "key default") || !strings.Contains(r.out, "news  sender id 456, through ccs") || strings.Contains(r.out, "no key") {
		t.Errorf("got %s", r.out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), a.ServerKey) {
			t.Errorf("%s has the key in clear", e.Name())
		}
	}
	if run("config", "check", "--data-dir", dir).code != 0 {
		t.Error("what was made is no good configuration")
	}
}

func TestKeysAreMadeOnceMoreAndTakenAway(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := addProject(t, dir, "shop", "123", "--project-id", "my-shop-1")
	r := run("project", "key", "shop", "--data-dir", dir, "--fronts", "legacy", "--json")
	r.want(t, 0)
	var second keyLine
	read(t, r.out, &second)
	if second.Key != "key-2" || second.ServerKey == first.ServerKey || fmt.Sprint(second.Fronts) != "[legacy]" {
		t.Errorf("got %+v", second)
	}
	r = run("project", "key", "shop", "--data-dir", dir, "--name", "backend")
	r.want(t, 0)
	if !strings.Contains(r.out, "psk_") || !strings.Contains(r.out, "shown this once") {
		t.Errorf("got %s", r.out)
	}
	run("project", "key", "shop", "--data-dir", dir, "--revoke", "default").want(t, 0)
	r = run("project", "key", "shop", "--data-dir", dir, "--revoke", "key-2", "--json")
	r.want(t, 0)
	if r.out != `{"project":"shop","revoked":"key-2"}`+"\n" {
		t.Errorf("got %s", r.out)
	}
	if list := listProjects(t, dir); len(list[0].Keys) != 1 || list[0].Keys[0].Key != "backend" {
		t.Errorf("got %+v", list)
	}
	if r.errOut != "" {
		t.Errorf("one of several keys is taken away: %s", r.errOut)
	}
	r = run("project", "key", "shop", "--data-dir", dir, "--revoke", "backend")
	r.want(t, 0)
	r.wantErr(t, "the project's last key")
	if r = run("project", "list", "--data-dir", dir); !strings.Contains(r.out, "no key: nobody can send") {
		t.Errorf("got %s", r.out)
	}
	r = run("project", "key", "shop", "--data-dir", dir, "--json") // from none to one
	r.want(t, 0)
	if list := listProjects(t, dir); len(list[0].Keys) != 1 {
		t.Errorf("got %+v", list)
	}
}

// Without the secret that they were hashed with keys are worth nothing, and nobody
// is left to wonder why.
func TestALostSecretIsNotReplacedInSilence(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	addProject(t, dir, "shop", "123", "--ccs-endpoint", "127.0.0.1:1", "--ccs-key-file", writeFile(t, "far key"))
	secret := filepath.Join(dir, "keys.secret")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"config", "check"}, append([]string{"serve"}, free...), {"project", "add", "news", "--sender-id", "9", "--project-id", "n"}} {
		r := run(append(args, "--data-dir", dir)...)
		r.want(t, 2)
		r.wantErr(t, secret+" is missing", "key default of project shop", "restore it from a backup", "penstock project key")
	}
	if _, err := os.Stat(secret); !os.IsNotExist(err) {
		t.Errorf("there is one again: %v", err)
	}
	r := run("project", "key", "shop", "--data-dir", dir)
	r.want(t, 0)
	r.wantErr(t, secret+" is missing", "There is a new one now")
	for _, args := range [][]string{{"config", "check"}, append([]string{"serve"}, free...)} {
		r := run(append(args, "--data-dir", dir)...)
		r.want(t, 2)
		r.wantErr(t, "key default of project shop", "hashed with another secret", "--revoke default")
	}
	r = run("doctor", "--data-dir", dir)
	if r.code != 1 || !strings.Contains(r.out, "hashed with another secret") {
		t.Errorf("doctor: %+v", r)
	}
	run("project", "key", "shop", "--data-dir", dir, "--revoke", "default").want(t, 0)
	run("config", "check", "--data-dir", dir).want(t, 0)
	if r := run("project", "key", "shop", "--data-dir", dir); r.errOut != "" {
		t.Errorf("all is well again: %s", r.errOut)
	}
}

// What is refused leaves nothing behind, and neither does a slip of the pen in the
// data directory's name.
func TestRefusedProjectsMakeNothing(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	there := filepath.Join(parent, "there")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(parent, "nowhere"), there} {
		for _, args := range [][]string{
			{"list"}, {"key", "shop"}, {"key", "shop", "--revoke", "default"}, {"key", "shop", "--fronts", "xmpp"},
			{"add", "Bad.Name", "--sender-id", "1"}, {"add", "shop", "--sender-id", "x"}, {"add", "shop", "--sender-id", "1"}, {"add", "shop", "--sender-id", "1", "--project-id", "p", "--fronts", "xmpp"},
			{"add", "shop", "--sender-id", "1", "--credentials-file", "nowhere"}, {"add", "shop", "--sender-id", "1", "--credentials-file", writeFile(t, "{}")},
		} {
			r := run(append(append([]string{"project"}, args...), "--data-dir", dir)...)
			if want := map[bool]int{true: 0, false: 2}[args[0] == "list"]; r.code != want {
				t.Errorf("%q: exit %d, %s", args, r.code, r.errOut)
			}
			entries, err := os.ReadDir(dir)
			if len(entries) > 0 || dir != there && !os.IsNotExist(err) {
				t.Fatalf("%q has made %s, with %v", args, dir, entries)
			}
		}
	}
}

// A stolen key must go though something else is broken.
func TestRevokingWorksWithABrokenConfiguration(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("far"), 0o600); err != nil {
		t.Fatal(err)
	}
	addProject(t, dir, "shop", "123", "--ccs-endpoint", "far:1", "--ccs-key-file", key)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	r := run("project", "key", "shop", "--data-dir", dir)
	r.want(t, 2)
	r.wantErr(t, "`key_file` in transport.ccs of project shop", key)
	run("project", "key", "shop", "--data-dir", dir, "--revoke", "default").want(t, 0)
}

// Another project's file may be out of order for a while.
func TestAProjectIsMadeBesideABrokenOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "projects.json"), fmt.Appendf(nil,
		`{"projects":[{"name":"old","sender_id":"1","transport":{"fcm":{"credentials_file":%q}}}]}`, writeFile(t, "{}")), 0o600); err != nil {
		t.Fatal(err)
	}
	run("config", "check", "--data-dir", dir).want(t, 2)
	addProject(t, dir, "shop", "123", "--project-id", "my-shop-1")
}

// Projects of both transports are made by commands alone, and messages reach
// their far end.
func TestProjectsWithAFarEndOfTheirOwn(t *testing.T) {
	t.Parallel()
	sim, err := fcmsim.Start(&fcmsim.Options{Dir: t.TempDir(), HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	dir := dataDir(t)
	sender := map[string]string{"news": string(sim.SenderID()), "shop": "77"}
	made := map[string]keyLine{
		"news": addProject(t, dir, "news", sender["news"], "--credentials-file", sim.ServiceAccountFile(),
			"--fcm-endpoint", sim.FCMURL(), "--fcm-ca-file", sim.CAFile(), "--fcm-proxy", "none", "--fcm-max-connections", "2"),
		"shop": addProject(t, dir, "shop", sender["shop"], "--ccs-endpoint", sim.Addr(), "--ccs-key-file", writeFile(t, sim.ServerKey()),
			"--ccs-ca-file", sim.CAFile(), "--ccs-sender-id", string(sim.SenderID()), "--ccs-streams", "3"),
	}
	text, err := os.ReadFile(filepath.Join(dir, "projects.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"max_connections": 2`, `"streams": 3`, `"proxy": "none"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	// What was not said is as in a file that does not say it.
	addProject(t, dir, "plain", "78", "--ccs-endpoint", sim.Addr(), "--ccs-key-file", writeFile(t, sim.ServerKey()))
	r := run("config", "print", "--data-dir", dir)
	r.want(t, 0)
	if !strings.Contains(r.out, "streams: 1\n") {
		t.Errorf("a project without --ccs-streams has other than one:\n%s", r.out)
	}
	p := start(t, append([]string{"serve", "--json", "--data-dir", dir}, free...)...)
	var l serveLine
	readSome(t, p.line(), &l)
	for name, key := range made {
		r := run("send", "--endpoint", l.CCS, "--ca-file", l.CAFile, "--sender-id", sender[name], "--key", key.ServerKey, "--to", string(sim.Tokens()[0]), "--data", "project="+name, "--timeout", "20s")
		r.want(t, 0)
	}
	got := make(map[string]bool)
	for _, one := range sim.Record() {
		got[one.Data["project"]] = true
	}
	if !got["news"] || !got["shop"] {
		t.Errorf("the simulator got %v", got)
	}
	p.terminate().want(t, 0)
}

// What stands in the environment counts for projects of commands too, and before
// them for the command that makes them.
func TestVariablesOfMadeProjects(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	environ := []string{
		"PENSTOCK_PROJECTS_SHOP_TRANSPORT_FCM_ENDPOINT=https://localhost:1", "PENSTOCK_PROJECTS_SHOP_SENDER_ID=77", "PENSTOCK_DATA_DIR=" + dir,
	}
	runWith(t, environ, "project", "list").want(t, 2) // there is no such project
	r := runWith(t, environ, "project", "add", "shop", "--sender-id", "5", "--project-id", "my-shop-1", "--json")
	r.want(t, 0)
	var l keyLine
	read(t, r.out, &l)
	if l.SenderID != "77" {
		t.Errorf("got %+v", l)
	}
	if r = runWith(t, environ, "project", "key", "shop", "--json"); !strings.Contains(r.out, `"sender_id":"77"`) {
		t.Errorf("got %+v", r)
	}
	r = runWith(t, environ, "config", "print")
	r.want(t, 0)
	if !strings.Contains(r.out, "endpoint: https://localhost:1 # PENSTOCK_PROJECTS_SHOP_TRANSPORT_FCM_ENDPOINT\n") {
		t.Errorf("got %s", r.out)
	}
	// What is in the file stays as the command said it.
	if r = run("project", "list", "--data-dir", dir); !strings.Contains(r.out, "sender id 5,") {
		t.Errorf("got %s", r.out)
	}
}

func TestProjectAddTeachesBothTransports(t *testing.T) {
	t.Parallel()
	r := run("project", "add", "--help")
	r.want(t, 0)
	for _, want := range []string{"--fcm-endpoint https://", "--fcm-ca-file sim/ca.pem", "--fcm-proxy none", "--ccs-endpoint other-penstock:5235", "--ccs-ca-file other-ca.pem", "--ccs-streams=N", "--fcm-max-connections=N"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the help does not name %s:\n%s", want, r.out)
		}
	}
}

func TestProjectsThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	addProject(t, dir, "shop", "123", "--project-id", "my-shop-1")
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "data_dir: %s\nprojects:\n  - {name: infile, sender_id: 5, keys: [{name: a, secret: psk_0123456789abcdef}], transport: {fcm: {application_default: true}}}\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	key := writeFile(t, "far key")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a name twice", []string{"add", "shop", "--sender-id", "9"}, "there is a project shop already"},
		{"a sender id twice", []string{"add", "other", "--sender-id", "123"}, "`sender_id` in project other is \"123\", which project shop"},
		{"a name of the file's", []string{"add", "infile", "--sender-id", "9"}, "which project infile at " + file},
		{"no name", []string{"add", "My Shop", "--sender-id", "9"}, "lower-case letters"},
		{"a name with a dot", []string{"add", "Bad.Name", "--sender-id", "9"}, "`name` in project Bad.Name is \"Bad.Name\": give up to 63 lower-case letters"},
		{"no sender id", []string{"add", "other", "--sender-id", "x"}, "digits only"},
		{"neither credentials nor the project's id", []string{"add", "other", "--sender-id", "9"}, "penstock: no project id: give --project-id"},
		{"no such file", []string{"add", "other", "--sender-id", "9", "--credentials-file", "nowhere"}, "nowhere: no such file"},
		{"no credentials in it", []string{"add", "other", "--sender-id", "9", "--credentials-file", writeFile(t, "{}")}, "penstock: project other: transport.fcm.credentials_file: "},
		{"two ways", []string{"add", "other", "--sender-id", "9", "--credentials-file", "a", "--ccs-endpoint", "b:1"}, "--ccs-endpoint excludes --credentials-file"},
		{"two ways, one of them by its endpoint", []string{"add", "other", "--sender-id", "9", "--fcm-endpoint", "https://a", "--ccs-endpoint", "b:1"}, "--ccs-endpoint excludes"},
		{"two ways, one of them by its CA", []string{"add", "other", "--sender-id", "9", "--fcm-ca-file", "a", "--ccs-endpoint", "b:1"}, "--ccs-endpoint excludes"},
		{"two ways, one of them by its proxy", []string{"add", "other", "--sender-id", "9", "--fcm-proxy", "none", "--ccs-endpoint", "b:1"}, "--ccs-endpoint excludes"},
		{"two ways, one of them by its connections", []string{"add", "other", "--sender-id", "9", "--fcm-max-connections", "1", "--ccs-endpoint", "b:1"}, "--ccs-endpoint excludes"},
		{"streams to nowhere", []string{"add", "other", "--sender-id", "9", "--ccs-streams", "2"}, "need --ccs-endpoint"},
		{"no stream at all", []string{"add", "other", "--sender-id", "9", "--ccs-endpoint", "b:1", "--ccs-key-file", key, "--ccs-streams", "0"}, "`streams` in transport.ccs of project other is 0: give 1 to 1000"},
		{"no connection at all", []string{"add", "other", "--sender-id", "9", "--fcm-max-connections", "0"}, "`max_connections` in transport.fcm of project other is 0: give at least 1"},
		{"an endpoint without TLS", []string{"add", "other", "--sender-id", "9", "--fcm-endpoint", "http://example.com"}, "`endpoint` in transport.fcm of project other is \"http://example.com\": without TLS"},
		{"a CA that is not there", []string{"add", "other", "--sender-id", "9", "--fcm-ca-file", "nowhere"}, "`ca_file` in transport.fcm of project other cannot be read: open " + here + "/nowhere"},
		{"a proxy that is none", []string{"add", "other", "--sender-id", "9", "--fcm-proxy", "user:canary"}, "`proxy` in transport.fcm of project other is no URL of a proxy"},
		{"half a way", []string{"add", "other", "--sender-id", "9", "--ccs-key-file", "a"}, "need --ccs-endpoint"},
		{"a far end without a key", []string{"add", "other", "--sender-id", "9", "--ccs-endpoint", "b:1"}, "`key_file` in transport.ccs of project other"},
		{"no such front", []string{"add", "other", "--sender-id", "9", "--fronts", "xmpp"}, `--fronts has "xmpp": give ccs, legacy or v1`},
		{"a key of nobody", []string{"key", "nobody"}, "there is no project nobody"},
		{"a key of the file's", []string{"key", "infile"}, "project infile stands at " + file + ":3: change its keys there"},
		{"a key twice", []string{"key", "shop", "--name", "default"}, "has a key default already"},
		{"no such key", []string{"key", "shop", "--revoke", "other"}, "has no key other"},
		{"both at once", []string{"key", "shop", "--revoke", "default", "--name", "x"}, "--revoke takes a key away"},
		{"no name of a key", []string{"key", "shop", "--name", "a b"}, "letters, digits, hyphens and underscores"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := os.ReadFile(filepath.Join(dir, "projects.json"))
			if err != nil {
				t.Fatal(err)
			}
			r := run(append(append([]string{"project"}, tt.args...), "-c", file)...)
			r.want(t, 2)
			r.wantErr(t, tt.want)
			after, err := os.ReadFile(filepath.Join(dir, "projects.json"))
			if err != nil || string(before) != string(after) || strings.Contains(r.out, "psk_") || strings.Contains(r.errOut, "canary") {
				t.Errorf("something was made: %v\n%s", err, r.out)
			}
		})
	}
}

func TestConfigCheckAndPrint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "penstock.yaml")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("data_dir: data\nlog: {level: debug}\nprojects:\n  - {name: shop, sender_id: 5, keys: [{name: a, secret: psk_canary6789abcdef}], transport: {fcm: {application_default: true}}}\n")
	r := run("config", "check", "-c", file)
	r.want(t, 0)
	if r.out != "The configuration is good: 1 project.\n" {
		t.Errorf("got %q", r.out)
	}
	r = run("config", "check", "-c", file, "--json")
	r.want(t, 0)
	if r.out != `{"ok":true,"projects":1,"problems":[]}`+"\n" {
		t.Errorf("got %q", r.out)
	}
	r = run("config", "print", "-c", file)
	r.want(t, 0)
	for _, want := range []string{"level: debug # " + file + ":2", "secret: '[redacted]' # " + file + ":4", "verdict_timeout: 12s\n", "data_dir: " + dir + "/data # " + file + ":1"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("there is no %q in\n%s", want, r.out)
		}
	}
	r2 := run("config", "print", "-c", file, "--json")
	r2.want(t, 0)
	if !strings.Contains(r2.out, `"level":"debug"`) || strings.Count(r2.out, "\n") != 1 || strings.Contains(r.out+r2.out, "canary") {
		t.Errorf("got %s", r2.out)
	}
	r = runWith(t, []string{"PENSTOCK_CONFIG=" + file, "PENSTOCK_LOG_LEVEL=warn", "PENSTOCK_DATA_DIR=" + dir + "/other"}, "config", "print")
	r.want(t, 0)
	if !strings.Contains(r.out, "level: warn # PENSTOCK_LOG_LEVEL") || !strings.Contains(r.out, "data_dir: "+dir+"/other # PENSTOCK_DATA_DIR") {
		t.Errorf("got %s", r.out)
	}

	put("data_dir: data\nprojects:\n  - {name: shop, sender_id: 5, keys: [{name: a, secret: \"two words 0123456789\"}], transport: {fcm: {credentials_file: penstock.yaml}}}\n" +
		"  - {name: far, sender_id: 6, keys: [{name: b, secret: short}], transport: {ccs: {endpoint: \"far:1\", key: k}}}\n")
	r = run("config", "check", "-c", file)
	r.want(t, 2)
	for _, want := range []string{
		"key a of project shop (" + file + ":3): ", "project shop (" + file + ":3): transport.fcm.credentials_file: ", "key b of project far (" + file + ":4): ",
	} {
		if !strings.Contains(r.errOut, want) || strings.Contains(r.errOut, "two words") || r.out != "" {
			t.Errorf("there is no %q in\n%s", want, r.errOut)
		}
	}
	r = run("config", "check", "-c", file, "--json")
	r.want(t, 2)
	if !strings.HasPrefix(r.out, `{"ok":false,"projects":2,"problems":["key a of`) {
		t.Errorf("got %s", r.out)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Errorf("checking has made the data directory: %v", err)
	}

	put("verdict_timout: 5s\nlog: {level: loud}\n")
	r = run("config", "check", "-c", file)
	r.want(t, 2)
	if r.errOut != "unknown key `verdict_timout` at "+file+":1: did you mean `verdict_timeout`?\n`level` in log at "+file+":2 is \"loud\": give debug, info, warn or error\n" {
		t.Errorf("got %s", r.errOut)
	}
	r = run("config", "check", "-c", file, "--json")
	r.want(t, 2)
	var line struct {
		OK       bool     `json:"ok"`
		Projects int      `json:"projects"`
		Problems []string `json:"problems"`
	}
	read(t, r.out, &line)
	if line.OK || len(line.Problems) != 2 {
		t.Errorf("got %+v", line)
	}
	run("config", "print", "-c", file).want(t, 2)
}

func TestCAIsPrinted(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	r := run("ca", "--data-dir", dir)
	r.want(t, 0)
	block, rest := pem.Decode([]byte(r.out))
	if block == nil || len(rest) != 0 {
		t.Fatalf("got %s", r.out)
	}
	if cert, err := x509.ParseCertificate(block.Bytes); err != nil || !cert.IsCA {
		t.Errorf("got %v, %v", cert, err)
	}
	r = runWith(t, []string{"PENSTOCK_CA_NAMES=push.example.com,192.0.2.7"}, "ca", "--data-dir", dir, "--json")
	r.want(t, 0)
	var line struct {
		CAFile string   `json:"ca_file"`
		SHA256 string   `json:"sha256"`
		Names  []string `json:"names"`
	}
	read(t, r.out, &line)
	names := strings.Join(line.Names, " ")
	if line.CAFile != filepath.Join(dir, "ca.pem") || len(line.SHA256) != 64 || !strings.Contains(names, "fcm-xmpp.googleapis.com") || !strings.HasSuffix(names, "push.example.com 192.0.2.7") {
		t.Errorf("got %+v", line)
	}
	if again := run("ca", "--data-dir", dir); again.out == "" || again.code != 0 {
		t.Errorf("a second time: %+v", again)
	}
}
