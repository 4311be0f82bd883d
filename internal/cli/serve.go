package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/app"
	"penstock/internal/config"
)

// serveCmd is `penstock serve`.
type serveCmd struct {
	configFlags `embed:""`

	CCSListen   []string `name:"ccs-listen" placeholder:"HOST:PORT" help:"Where app servers of CCS connect, over TLS. Can be given several times. Default: ccs.listen of the configuration, :5235 and :5236."`
	HTTPListen  []string `name:"http-listen" placeholder:"HOST:PORT" help:"Where senders of HTTP connect. Default: http.listen, :8080."`
	AdminListen string   `name:"admin-listen" placeholder:"HOST:PORT" help:"Where /healthz, /readyz and /metrics are. Default: admin.listen, 127.0.0.1:9090."`
	LogLevel    string   `name:"log-level" placeholder:"LEVEL" help:"debug, info, warn or error. Default: log.level, info; with --sim warn."`
	LogFormat   string   `name:"log-format" placeholder:"FORMAT" help:"text or json. Default: log.format, text."`

	Sim           bool   `help:"Put a simulator behind it, with a project that is ready: nothing else is needed. Listens on loopback, on free ports unless they are given."`
	Transport     string `enum:"fcm,ccs" default:"fcm" help:"With --sim: how messages get to the simulator. With ccs, upstream messages and receipts come back."`
	Quotas        string `enum:"off,google" default:"off" help:"With --sim: keep to Google's sending limits, and have the simulator enforce them."`
	ControlListen string `name:"control-listen" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"With --sim: where the simulator's control API is."`

	JSON bool `name:"json" help:"Print one line of JSON when everything listens, and nothing else on stdout."`
}

// Help is what --help says between the summary and the flags.
func (c *serveCmd) Help() string {
	return `Takes messages of three dialects and sends them on, through FCM HTTP v1 or another CCS endpoint: CCS (XMPP over TLS), legacy HTTP (POST /fcm/send), and HTTP v1 (POST /v1/projects/P/messages:send). Senders change host and key, and nothing else.

Try it without an account at Google:

  penstock serve --sim

For real: make a project with "penstock project add", or write a configuration (docs/configuration.md), and then

  penstock serve -c penstock.yaml

SIGTERM or Ctrl-C ends it in order within 30 s: nothing new is taken, and what was taken is answered. A second signal ends it at once.

Exit 0 after SIGTERM; 1 if an address is taken or something else fails; 2 if the configuration is wrong.`
}

// A serveLine is the first line of stdout with --json.
type serveLine struct {
	CCS    string `json:"ccs"`
	HTTP   string `json:"http"`
	Admin  string `json:"admin"`
	CAFile string `json:"ca_file"`

	Projects []string `json:"projects"`
}

// A serveSimLine is the same with --sim.
type serveSimLine struct {
	CCS        string                  `json:"ccs"`
	HTTP       string                  `json:"http"`
	Admin      string                  `json:"admin"`
	SimControl string                  `json:"sim_control"`
	CAFile     string                  `json:"ca_file"`
	Project    string                  `json:"project"`
	SenderID   ccs.SenderID            `json:"sender_id"`
	ServerKey  string                  `json:"server_key"`
	Tokens     []ccs.RegistrationToken `json:"tokens"`
	Dead       []ccs.RegistrationToken `json:"dead_tokens"`
	Foreign    []ccs.RegistrationToken `json:"foreign_tokens"`
	FCM        string                  `json:"fcm"`
	ProjectID  string                  `json:"project_id"`
}

// Run serves until the context ends, and then until all is answered.
func (c *serveCmd) Run(e *env) error {
	for _, f := range []struct {
		name      string
		addresses []string
	}{
		{"ccs-listen", c.CCSListen}, {"http-listen", c.HTTPListen},
		{"admin-listen", []string{c.AdminListen}}, {"control-listen", []string{c.ControlListen}},
	} {
		for _, address := range f.addresses {
			if address == "" {
				continue
			}
			if err := checkAddress("--"+f.name, address); err != nil {
				return err
			}
		}
	}
	src := c.sources(e)
	if c.Sim {
		if c.DataDir == "" { // then the file may name one
			dir, err := os.MkdirTemp("", "penstock-serve-")
			if err != nil {
				return fmt.Errorf("serve: %w: give a directory with --data-dir", err)
			}
			defer e.temporary(dir)()
			src.DataDir = dir
		}
		// A toy: its directory may be anybody's, its keys are worth nothing.
		src.Flags["key_files_readable_by"] = "everyone"
	} else {
		for _, flag := range []string{"transport", "quotas", "control-listen"} {
			if e.given[flag] {
				return usage("--%s is for --sim: without it the configuration says so for each project (docs/configuration.md)", flag)
			}
		}
	}
	cfg, err := config.Load(src)
	if err != nil {
		return c.wrong(e, err)
	}
	release, err := app.Hold(cfg.DataDir)
	if err != nil {
		return serveError(err)
	}
	defer release()
	if c.Sim {
		return c.runSim(e, cfg)
	}
	if len(cfg.AllProjects()) == 0 {
		fmt.Fprintln(e.stderr, "warning: there are no projects yet, so nobody can send: make one with penstock project add, or in the configuration (docs/configuration.md); this server will notice")
	}
	return c.serve(e.ctx, e, cfg, func(addr app.Addresses) error {
		line := serveLine{
			CCS: first(addr.CCS), HTTP: httpURL(addr), Admin: adminURL(addr), CAFile: absolute(addr.CAFile), Projects: []string{},
		}
		for _, p := range cfg.AllProjects() {
			line.Projects = append(line.Projects, p.Name)
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(line)
		}
		return line.explain(e.stdout, addr)
	})
}

// sources adds this command's own flags.
func (c *serveCmd) sources(e *env) config.Sources {
	src := c.configFlags.sources(e)
	for flag, value := range map[string]string{
		"ccs-listen": strings.Join(c.CCSListen, ","), "http-listen": strings.Join(c.HTTPListen, ","),
		"admin-listen": c.AdminListen, "log-level": c.LogLevel, "log-format": c.LogFormat,
	} {
		if e.given[flag] {
			src.Flags[strings.Replace(flag, "-", ".", 1)] = value
		}
	}
	return src
}

// serve runs an App, and tells ready when it listens.
func (c *serveCmd) serve(ctx context.Context, e *env, cfg *config.Config, ready func(app.Addresses) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a, err := app.New(cfg, app.Options{
		LogTo: e.stderr,
		Ready: func(addr app.Addresses) {
			if err := ready(addr); err != nil {
				cancel(fmt.Errorf("stdout: %w", err))
			}
		},
	})
	if err == nil {
		err = a.Run(ctx)
	}
	if err == nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		err = context.Cause(ctx)
	}
	return serveError(err)
}

// serveError tells wrong use from what failed.
func serveError(err error) error {
	if wrong, ok := errors.AsType[*app.ConfigError](err); ok {
		return &exitError{code: exitUsage, err: wrong}
	}
	return err
}

// simProject is what the simulator's project is called.
const simProject = "sim"

// runSim starts a simulator and serves before it.
func (c *serveCmd) runSim(e *env, cfg *config.Config) error {
	opt := fcmsim.Options{Dir: cfg.DataDir, HTTPListen: []string{"127.0.0.1:0"}, PlainHTTPListen: []string{"127.0.0.1:0"}}
	if c.Quotas == "google" {
		opt.Quotas = fcmsim.QuotasGoogle
	}
	sim, err := fcmsim.New(&opt)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer func() { _ = sim.Close() }() // its listeners' errors: all is over by then
	if err := sim.Start(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	l, err := net.Listen("tcp", c.ControlListen)
	if err != nil {
		return listenError("--control-listen", err)
	}
	control := sim.ControlServer()
	go func() { _ = control.Serve(l) }()
	defer func() { _ = control.Close() }() // nobody waits for its answers any more

	if err := c.simConfig(cfg, sim); err != nil {
		return err
	}
	warnOfControl(e, l.Addr())
	err = c.serve(e.ctx, e, cfg, func(addr app.Addresses) error {
		line := serveSimLine{
			CCS: first(addr.CCS), HTTP: httpURL(addr), Admin: adminURL(addr), SimControl: "http://" + fcmsim.Dialable(l.Addr().String()),
			CAFile: absolute(sim.CAFile()), Project: simProject, SenderID: sim.SenderID(), ServerKey: sim.ServerKey(),
			Tokens: sim.Tokens(), Dead: sim.DeadTokens(), Foreign: sim.ForeignTokens(),
			FCM: sim.FCMURL(), ProjectID: sim.ProjectID(),
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(line)
		}
		return line.explain(e.stdout)
	})
	bye, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = sim.Shutdown(bye) // after two seconds it cuts what is left
	return err
}

// simConfig adds the simulator's project, and loopback for what is not set.
func (c *serveCmd) simConfig(cfg *config.Config, sim *fcmsim.Sim) error {
	for path, set := range map[string]func(){
		"ccs.listen":   func() { cfg.CCS.Listen = []string{"127.0.0.1:0"} },
		"http.listen":  func() { cfg.HTTP.Listen = []string{"127.0.0.1:0"} },
		"admin.listen": func() { cfg.Admin.Listen = "127.0.0.1:0" },
		"log.level":    func() { cfg.Log.Level = "warn" },
	} {
		if cfg.Place(path) == "default" {
			set()
		}
	}
	for _, p := range cfg.AllProjects() {
		if p.Name == simProject || p.SenderID == string(sim.SenderID()) {
			return usage("project %s (%s) is in the way of the simulator's own, called %s: give it another name and sender id, or another --data-dir", p.Name, cfg.Place("projects."+p.Name), simProject)
		}
	}
	p := config.NewProject(simProject)
	p.SenderID, p.ProjectID = string(sim.SenderID()), sim.ProjectID()
	p.Keys = []*config.Key{{Name: firstKey, Secret: config.NewSecret(sim.ServerKey())}}
	if c.Quotas == "off" {
		p.Quotas.PerMinute, p.Quotas.PerDevice = 0, false
	}
	t := &p.Transport
	if c.Transport == "ccs" {
		t.HasCCS = true
		t.CCS.Endpoint, t.CCS.CAFile, t.CCS.Key = sim.Addr(), sim.CAFile(), config.NewSecret(sim.ServerKey())
	} else {
		t.HasFCM = true
		t.FCM.Endpoint, t.FCM.CAFile, t.FCM.Proxy = sim.FCMURL(), sim.CAFile(), config.NewURL("none")
		// Not its file: another simulator on this directory would put its own address there.
		t.FCM.Credentials = config.NewSecret(string(sim.ServiceAccountJSON()))
	}
	cfg.Projects = append(cfg.Projects, p)
	return nil
}

func first(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return fcmsim.Dialable(addresses[0])
}

func httpURL(addr app.Addresses) string {
	switch {
	case len(addr.HTTP) == 0:
		return ""
	case addr.HTTPS:
		return "https://" + first(addr.HTTP)
	}
	return "http://" + first(addr.HTTP)
}

func adminURL(addr app.Addresses) string {
	if addr.Admin == "" {
		return ""
	}
	return "http://" + fcmsim.Dialable(addr.Admin)
}

// absolute is the path of a file as whoever reads it somewhere else finds it;
// empty: there is none.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); path != "" && err == nil {
		return abs
	}
	return path
}

// explain says what listens where.
func (l *serveLine) explain(w io.Writer, addr app.Addresses) error {
	var endpoints []string
	for _, a := range addr.CCS {
		endpoints = append(endpoints, fcmsim.Dialable(a))
	}
	health := ""
	if l.Admin != "" {
		health = l.Admin + "/readyz, " + l.Admin + "/metrics"
	}
	_, err := fmt.Fprintf(w, "Penstock serves %s.\n  CCS          %s\n  HTTP         %s\n  health       %s\n",
		count(len(l.Projects), "project"), orNone(strings.Join(endpoints, " and ")), orNone(l.HTTP), orNone(health))
	if err == nil && l.CAFile != "" {
		_, err = fmt.Fprintf(w, "  certificate  of Penstock's own CA: who connects must trust %s\n", l.CAFile)
	}
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// explain says what listens where, and what to try.
func (l *serveSimLine) explain(w io.Writer) error {
	_, err := fmt.Fprintf(w, `Penstock serves the project %[1]s, with a simulator in place of FCM.
  CCS        %[2]s, certificate of the CA in %[3]s
  HTTP       %[4]s
  health     %[5]s/readyz, %[5]s/metrics
  simulator  %[6]s (what devices got: %[6]s/record)

Send a message as legacy HTTP, as HTTP v1, and over CCS:

  curl -H 'Authorization: key=%[7]s' -H 'Content-Type: application/json' \
    -d '{"to":"%[8]s","data":{"hello":"world"}}' %[4]s/fcm/send

  curl -H 'Authorization: Bearer %[7]s' -H 'Content-Type: application/json' \
    -d '{"message":{"token":"%[8]s","data":{"hello":"world"}}}' \
    %[4]s/v1/projects/%[9]s/messages:send

  PENSTOCK_KEY='%[7]s' %[10]s send --endpoint %[2]s --ca-file %[13]s \
    --sender-id %[11]s --to '%[8]s' --data hello=world

A dead token: %[12]s
Ctrl-C ends it.
`, l.Project, l.CCS, l.CAFile, l.HTTP, l.Admin, l.SimControl, l.ServerKey, l.Tokens[0], l.ProjectID, program(), l.SenderID, l.Dead[0], word(l.CAFile))
	return err
}
