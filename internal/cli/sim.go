package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
	"penstock/internal/app"
)

// simDrainTime bounds the way out: a little longer than the longest drain.
const simDrainTime = 35 * time.Second

// simCmd is `penstock sim`: a pretend FCM until a signal comes.
type simCmd struct {
	CCSListen     []string `name:"ccs-listen" default:"127.0.0.1:5235,127.0.0.1:5236" help:"Where app servers connect, over TLS. Can be given several times; port 0 is any free one."`
	HTTPListen    string   `name:"http-listen" default:"127.0.0.1:0" help:"Where FCM's HTTP is, over TLS: v1, topics, groups, OAuth."`
	PlainListen   string   `name:"plain-http-listen" default:"127.0.0.1:0" help:"Where the same is without TLS, and the metadata server, and a proxy to Google's names that ends here."`
	ControlListen string   `name:"control-listen" default:"127.0.0.1:0" help:"Where the control API is, plain HTTP that asks for no password: keep it on loopback."`
	DataDir       string   `name:"data-dir" placeholder:"DIR" help:"Keeps CA, sender id, keys, project and tokens: the same directory gives the same ones again. Default: a temporary one, removed at the end."`
	ProjectID     string   `name:"project-id" placeholder:"ID" help:"The project that HTTP v1's URLs name. Default: the one in --data-dir, or penstock-sim."`
	Legacy        string   `name:"legacy" enum:"gone,2019" default:"gone" help:"How /fcm/send answers: 404 as today, or as it did in 2019."`
	Quotas        string   `name:"quotas" enum:"off,google" default:"off" help:"Which sending limits are enforced: off, or google's."`
	JSON          bool     `name:"json" help:"Nothing for people: only the line of JSON on stdout, and warnings on stderr."`
}

// simLine is the first line of stdout.
type simLine struct {
	CCS       string                  `json:"ccs"`
	Control   string                  `json:"control"`
	CAFile    string                  `json:"ca_file"`
	SenderID  ccs.SenderID            `json:"sender_id"`
	ServerKey string                  `json:"server_key"`
	Tokens    []ccs.RegistrationToken `json:"tokens"`
	Dead      []ccs.RegistrationToken `json:"dead_tokens"`
	Foreign   []ccs.RegistrationToken `json:"foreign_tokens"`

	FCM            string `json:"fcm"`
	ServiceAccount string `json:"service_account_file"`
	PlainHTTP      string `json:"plain_http"`
	ProjectID      string `json:"project_id"`
}

// Help is what --help says between the summary and the flags.
func (c *simCmd) Help() string {
	return `The first line of stdout is one JSON object with all that an app server needs: ccs, ca_file, sender_id, server_key, tokens, dead_tokens, foreign_tokens; for HTTP v1 fcm, plain_http, project_id, service_account_file; and control, the URL under which the simulator tells what it received, drains, cuts, and fails on request. SIGTERM or Ctrl-C drains the connections and ends it.

  penstock sim --data-dir /tmp/sim > /tmp/sim.line

The control API, and how SDKs are pointed here, are told in docs/simulator.md.`
}

// Run serves until the context ends, then drains.
func (c *simCmd) Run(e *env) error {
	if len(c.CCSListen) == 0 {
		return usage("--ccs-listen is empty: give host:port, such as 127.0.0.1:0 for any free port")
	}
	for _, address := range c.CCSListen {
		if err := checkAddress("--ccs-listen", address); err != nil {
			return err
		}
	}
	for _, flag := range []struct{ name, address string }{
		{"--http-listen", c.HTTPListen}, {"--plain-http-listen", c.PlainListen}, {"--control-listen", c.ControlListen},
	} {
		if err := checkAddress(flag.name, flag.address); err != nil {
			return err
		}
	}
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if c.DataDir == "" {
		defer e.temporary(dir)()
	}
	release, err := app.Hold(dir)
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	defer release()

	opt := fcmsim.Options{
		Listen: c.CCSListen, HTTPListen: []string{c.HTTPListen}, PlainHTTPListen: []string{c.PlainListen},
		Dir: dir, ProjectID: c.ProjectID,
	}
	if c.Legacy == "2019" {
		opt.Legacy = fcmsim.Legacy2019
	}
	if c.Quotas == "google" {
		opt.Quotas = fcmsim.QuotasGoogle
	}
	sim, err := fcmsim.New(&opt)
	if errors.Is(err, fcmsim.ErrProjectID) {
		return usage("--project-id %q is %v", c.ProjectID, fcmsim.ErrProjectID)
	}
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	defer func() { _ = sim.Close() }() // after an error; else drain has done it
	if err := sim.Start(); err != nil {
		return listenError(c.flagOf(err), err)
	}
	l, err := net.Listen("tcp", c.ControlListen)
	if err != nil {
		return listenError("--control-listen", err)
	}
	control := sim.ControlServer()
	failed := make(chan error, 1)
	go func() { failed <- control.Serve(l) }()
	defer func() { _ = control.Close() }() // nobody waits for its answers any more

	line := simLine{
		CCS: sim.Addr(), Control: "http://" + fcmsim.Dialable(l.Addr().String()), CAFile: sim.CAFile(),
		SenderID: sim.SenderID(), ServerKey: sim.ServerKey(),
		Tokens: sim.Tokens(), Dead: sim.DeadTokens(), Foreign: sim.ForeignTokens(),
		FCM: sim.FCMURL(), ServiceAccount: sim.ServiceAccountFile(), PlainHTTP: sim.PlainURL(), ProjectID: sim.ProjectID(),
	}
	if err := json.NewEncoder(e.stdout).Encode(line); err != nil {
		return fmt.Errorf("sim: stdout: %w", err)
	}
	warnOfControl(e, l.Addr())
	if !c.JSON {
		line.explain(e.stderr, sim.Addrs())
	}

	select {
	case err := <-failed:
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("sim: the control API on %s: %w", l.Addr(), err)
		}
	case <-e.ctx.Done():
	}
	return c.drain(e.stderr, sim)
}

// drain gets a context of its own, since the command's has just ended.
func (c *simCmd) drain(stderr io.Writer, sim *fcmsim.Sim) error {
	if !c.JSON && len(sim.Streams()) > 0 {
		fmt.Fprintln(stderr, "Draining the streams; a second signal ends them at once.")
	}
	ctx, cancel := context.WithTimeout(context.Background(), simDrainTime)
	defer cancel()
	err := sim.Shutdown(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		fmt.Fprintf(stderr, "warning: streams that were still open after %v have been cut\n", simDrainTime)
		return nil
	}
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	return nil
}

// dir is where CA and keys live, as an absolute path: whoever reads it may be
// somewhere else.
func (c *simCmd) dir() (string, error) {
	if c.DataDir == "" {
		dir, err := os.MkdirTemp("", "penstock-sim-")
		if err != nil {
			return "", fmt.Errorf("sim: %w: give a directory with --data-dir", err)
		}
		return dir, nil
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return "", fmt.Errorf("sim: --data-dir: %w", err)
	}
	return dir, nil
}

// explain tells people what to do next. The server key stays where it is: on
// one line, which the caller may have sent into a file.
func (l *simLine) explain(w io.Writer, addrs []string) {
	ca := word(l.CAFile)
	fmt.Fprintf(w, `
A pretend FCM listens on %s for CCS, and on
%s for HTTP v1, with the project %s.
The line on stdout has all that an app server needs. Put its server_key and one
of its tokens into the environment and send a message:

  %s send --endpoint %s --ca-file %s \
    --sender-id %s --key "$SERVER_KEY" --to "$TOKEN" --data hello=world

An SDK, or any program that looks for Google, finds it with this environment
(Node reads NODE_EXTRA_CA_CERTS, Python REQUESTS_CA_BUNDLE in place of SSL_CERT_FILE):

  export GOOGLE_APPLICATION_CREDENTIALS=%s
  export HTTPS_PROXY=%s SSL_CERT_FILE=%s

By hand, with an access token from %s/access/token:

  curl --cacert %s %s/v1/projects/%s/messages:send \
    -H "Authorization: Bearer $ACCESS_TOKEN" -d '{"message":{"token":"'"$TOKEN"'"}}'

See what came:  curl %s/record
Everything else: docs/simulator.md. Ctrl-C ends it.
`, strings.Join(addrs, " and "), l.FCM, l.ProjectID, program(), l.CCS, ca, l.SenderID,
		word(l.ServiceAccount), l.PlainHTTP, ca, l.Control, ca, l.FCM, l.ProjectID, l.Control)
}

// checkAddress refuses what is no address to listen on, by the flag's name.
func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usage("%s %q is no address: give host:port, such as 127.0.0.1:0 for any free port", flag, address)
	}
	return nil
}

// flagOf is the flag whose address the simulator could not listen on.
func (c *simCmd) flagOf(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Addr == nil {
		return "--ccs-listen"
	}
	for _, flag := range []struct{ name, address string }{
		{"--http-listen", c.HTTPListen}, {"--plain-http-listen", c.PlainListen},
	} {
		if a, err := net.ResolveTCPAddr("tcp", flag.address); err == nil && a.String() == op.Addr.String() {
			return flag.name
		}
	}
	return "--ccs-listen"
}

// listenError says which flag to change.
func listenError(flag string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil && errors.Is(err, syscall.EADDRINUSE) {
		host, _, splitErr := net.SplitHostPort(op.Addr.String())
		if splitErr != nil {
			host = "127.0.0.1"
		}
		return fmt.Errorf("sim: %s is in use by another program: give another address with %s, or %s for any free port",
			op.Addr, flag, net.JoinHostPort(host, "0"))
	}
	return fmt.Errorf("sim: cannot listen: %w: give another address with %s", err, flag)
}

// warnOfControl says so if others than this machine reach the control API.
func warnOfControl(e *env, addr net.Addr) {
	if a, ok := addr.(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		fmt.Fprintf(e.stderr, "warning: the control API on %s asks nobody for a password: everyone who reaches it steers the simulator\n", fcmsim.Dialable(a.String()))
	}
}
