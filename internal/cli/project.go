package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"penstock/internal/app"
	"penstock/internal/config"
	"penstock/internal/keys"
)

// projectCmd is `penstock project`.
type projectCmd struct {
	Add  projectAddCmd  `cmd:"" help:"Make a project, and its first server key."`
	List projectListCmd `cmd:"" help:"List the projects and the names of their keys."`
	Key  projectKeyCmd  `cmd:"" help:"Make another server key for a project, or take one away."`
}

// A keyLine is what add and key print: the only time that the key shows.
type keyLine struct {
	Project   string       `json:"project"`
	SenderID  string       `json:"sender_id"`
	ProjectID string       `json:"project_id"`
	Key       string       `json:"key"`
	ServerKey string       `json:"server_key"`
	Fronts    []keys.Front `json:"fronts"`
}

// firstKey is the name of a project's first key.
const firstKey = "default"

type projectAddCmd struct {
	configFlags `embed:""`

	Name            string   `arg:"" help:"What the project is called here: lower-case letters, digits, hyphens."`
	SenderID        string   `name:"sender-id" required:"" placeholder:"NUMBER" help:"The project's number: with it app servers log in over CCS."`
	ProjectID       string   `name:"project-id" placeholder:"ID" help:"The project's id at Firebase. Default: the one in --credentials-file; needed without."`
	CredentialsFile string   `name:"credentials-file" placeholder:"FILE" help:"The JSON file of a service account that may send messages. Default: Google's application default credentials."`
	FCMEndpoint     string   `name:"fcm-endpoint" placeholder:"URL" help:"Where FCM is, such as the fcm of a simulator's line. Default: https://fcm.googleapis.com."`
	FCMCAFile       string   `name:"fcm-ca-file" placeholder:"FILE" help:"Trust the CAs in this file for --fcm-endpoint and for tokens, and no others. Default: the system's."`
	FCMProxy        string   `name:"fcm-proxy" placeholder:"URL" help:"The HTTP proxy on the way to FCM, or none. Default: HTTPS_PROXY and NO_PROXY of the server's environment."`
	FCMConnections  *int     `name:"fcm-max-connections" placeholder:"N" help:"HTTP/2 connections to FCM at most. Default: 40."`
	CCSEndpoint     string   `name:"ccs-endpoint" placeholder:"HOST:PORT" help:"Send through this CCS endpoint, and not through FCM."`
	CCSKeyFile      string   `name:"ccs-key-file" placeholder:"FILE" help:"The file with the server key for --ccs-endpoint."`
	CCSCAFile       string   `name:"ccs-ca-file" placeholder:"FILE" help:"Trust the CA in this file for --ccs-endpoint, and no other. Default: the system's."`
	CCSSenderID     string   `name:"ccs-sender-id" placeholder:"ID" help:"The sender id for --ccs-endpoint. Default: that of --sender-id."`
	CCSStreams      *int     `name:"ccs-streams" placeholder:"N" help:"How many streams to --ccs-endpoint are kept. Default: 1, and messages leave in the order in which they came."`
	Fronts          []string `placeholder:"ccs,legacy,v1" help:"Where the key counts. Default: everywhere."`
	JSON            bool     `name:"json" help:"Print one JSON object."`
}

// Help is what --help says between the summary and the flags.
func (c *projectAddCmd) Help() string {
	return `The project goes into projects.json of the data directory; a running server takes it over within seconds. Its server key is printed once and kept as a hash only: another one comes from "penstock project key".

  penstock project add shop --sender-id 1234567890 --credentials-file shop-sa.json
  penstock project add shop --sender-id 1234567890 --project-id shop-a1b2c
  penstock project add shop --sender-id 1234567890 --ccs-endpoint other-penstock:5235 --ccs-key-file key

The second one sends with Google's application default credentials. With another FCM than Google's, such as a simulator's, or another Penstock whose CA is its own:

  penstock project add try --sender-id 1 --credentials-file sim/service-account.json \
    --fcm-endpoint https://127.0.0.1:40005 --fcm-ca-file sim/ca.pem --fcm-proxy none
  penstock project add shop --sender-id 1234567890 --ccs-endpoint other-penstock:5235 \
    --ccs-key-file key --ccs-ca-file other-ca.pem

--fcm-… are for projects that send through FCM, --ccs-… for those with --ccs-endpoint. What else a project may be told stands in docs/configuration.md, and is set in a file.

The sender id is the project's number, in Firebase's console under Cloud Messaging. The service account comes from there too, under Service accounts.`
}

func (c *projectAddCmd) Run(e *env) error {
	src := c.sources(e)
	src.Coming = c.Name
	cfg, err := config.Load(src)
	if err != nil {
		return c.wrong(e, err)
	}
	p := config.NewProject(c.Name)
	p.SenderID, p.ProjectID = c.SenderID, c.ProjectID
	if err := c.transport(&p.Transport); err != nil {
		return err
	}
	key, record, err := newKey(firstKey, c.Fronts)
	if err != nil {
		return err
	}
	p.Keys = []*config.Key{record}
	var made *config.Project
	err = putKey(cfg, key, record, app.KeySecret, func(b *config.Book) error {
		if b.Project(c.Name) != nil {
			return usage("there is a project %s already: give another name, or make it another key with penstock project key %s", c.Name, c.Name)
		}
		b.Projects = append(b.Projects, p)
		next, err := cfg.WithBook(b)
		if err != nil {
			return err
		}
		made = next.Book.Project(c.Name) // as the environment has it
		if made.Transport.FCM.ApplicationDefault && made.ProjectID == "" {
			// Whether the server's machine will name one is not to be seen from
			// here, and without one it would not start.
			return usage("no project id: give --project-id, which the console shows under Project settings, or --credentials-file, which names it")
		}
		if problems := app.CheckProject(next, made); len(problems) > 0 {
			return problems
		}
		return nil
	})
	if err != nil {
		return c.editError(e, err)
	}
	if err := printKey(e, c.JSON, made, record, key); err != nil {
		return err
	}
	if made.Transport.FCM.ApplicationDefault && !c.JSON {
		fmt.Fprintln(e.stderr, "It sends with Google's application default credentials; --credentials-file gives it a service account of its own.")
	}
	return nil
}

// transport sets where the project's messages go.
func (c *projectAddCmd) transport(t *config.Transport) error {
	for _, file := range []*string{&c.CredentialsFile, &c.FCMCAFile, &c.CCSKeyFile, &c.CCSCAFile} {
		if *file == "" {
			continue
		}
		path, err := filepath.Abs(*file) // the server may run elsewhere
		if err != nil {
			return err
		}
		*file = path
	}
	switch {
	case c.CCSEndpoint != "" && (c.CredentialsFile+c.FCMEndpoint+c.FCMCAFile+c.FCMProxy != "" || c.FCMConnections != nil):
		return usage("--ccs-endpoint excludes --credentials-file and what begins with --fcm-: a project sends through one of them")
	case c.CCSEndpoint == "" && (c.CCSKeyFile+c.CCSCAFile+c.CCSSenderID != "" || c.CCSStreams != nil):
		return usage("--ccs-key-file, --ccs-ca-file, --ccs-sender-id and --ccs-streams need --ccs-endpoint")
	case c.CCSEndpoint != "":
		t.HasCCS = true
		t.CCS.Endpoint, t.CCS.KeyFile, t.CCS.CAFile, t.CCS.SenderID = c.CCSEndpoint, c.CCSKeyFile, c.CCSCAFile, c.CCSSenderID
		if c.CCSStreams != nil {
			t.CCS.Streams = *c.CCSStreams
		}
	default:
		t.HasFCM = true
		t.FCM.CredentialsFile, t.FCM.ApplicationDefault = c.CredentialsFile, c.CredentialsFile == ""
		t.FCM.CAFile, t.FCM.Proxy = c.FCMCAFile, config.NewURL(c.FCMProxy)
		if c.FCMEndpoint != "" {
			t.FCM.Endpoint = c.FCMEndpoint
		}
		if c.FCMConnections != nil {
			t.FCM.MaxConnections = *c.FCMConnections
		}
	}
	return nil
}

// editError tells wrong use, and what is wrong with the data directory, from what
// failed.
func (f *configFlags) editError(e *env, err error) error {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return usage("%w", problems)
	}
	if wrong, ok := errors.AsType[*app.ConfigError](err); ok {
		return f.wrong(e, wrong)
	}
	return err
}

func printKey(e *env, asJSON bool, p *config.Project, record *config.Key, key keys.Key) error {
	line := keyLine{Project: p.Name, SenderID: p.SenderID, ProjectID: p.ProjectID, Key: record.Name, ServerKey: key.Reveal(), Fronts: frontsOf(record)}
	var err error
	if asJSON {
		err = json.NewEncoder(e.stdout).Encode(line)
	} else {
		_, err = fmt.Fprintf(e.stdout, `Project %s, key %s, good for %s. It is shown this once:

  %s

CCS: log in as %s with it. Legacy HTTP: "Authorization: key=…". HTTP v1: "Authorization: Bearer …".
`, p.Name, record.Name, listFronts(record), line.ServerKey, p.SenderID)
	}
	if err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	return nil
}

// frontsOf lists where a key counts.
func frontsOf(k *config.Key) []keys.Front {
	if len(k.Fronts) == 0 {
		return keys.Fronts()
	}
	var fronts []keys.Front
	for _, f := range k.Fronts {
		fronts = append(fronts, keys.Front(f))
	}
	return fronts
}

func listFronts(k *config.Key) string {
	var names []string
	for _, f := range frontsOf(k) {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

type projectListCmd struct {
	configFlags `embed:""`

	JSON bool `name:"json" help:"Print one JSON object a line."`
}

type projectLine struct {
	Project   string        `json:"project"`
	SenderID  string        `json:"sender_id"`
	ProjectID string        `json:"project_id"`
	Transport string        `json:"transport"`
	From      string        `json:"from"`
	Keys      []projectKeys `json:"keys"`
}

type projectKeys struct {
	Key     string       `json:"key"`
	Fronts  []keys.Front `json:"fronts"`
	Created string       `json:"created"`
}

func (c *projectListCmd) Run(e *env) error {
	cfg, err := c.load(e)
	if err != nil {
		return err
	}
	for _, p := range cfg.AllProjects() {
		line := projectLine{
			Project: p.Name, SenderID: p.SenderID, ProjectID: p.ProjectID, Transport: "fcm",
			From: cfg.Place("projects." + p.Name), Keys: []projectKeys{},
		}
		if p.Transport.HasCCS {
			line.Transport = "ccs"
		}
		words := fmt.Sprintf("%s  sender id %s, ", p.Name, p.SenderID)
		if p.ProjectID != "" {
			words += "project id " + p.ProjectID + ", "
		}
		words += fmt.Sprintf("through %s, from %s\n", line.Transport, line.From)
		for _, k := range p.Keys {
			line.Keys = append(line.Keys, projectKeys{k.Name, frontsOf(k), k.Created})
			words += fmt.Sprintf("  key %s: %s\n", strings.TrimSpace(k.Name+"  "+k.Created), listFronts(k))
		}
		if len(p.Keys) == 0 {
			words += "  no key: nobody can send; make one with penstock project key " + p.Name + "\n"
		}
		if c.JSON {
			err = json.NewEncoder(e.stdout).Encode(line)
		} else {
			_, err = fmt.Fprint(e.stdout, words)
		}
		if err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
	}
	if len(cfg.AllProjects()) == 0 {
		fmt.Fprintln(e.stderr, "There are no projects: make one with penstock project add.")
	}
	return nil
}
