package config

import (
	"io/fs"
	"time"
)

// A Config is every setting, checked. Nobody changes it after [Load].
type Config struct {
	DataDir            string
	KeyFilesReadableBy string // owner, group, everyone
	CANames            []string

	CCS    CCS
	HTTP   HTTP
	Admin  Admin
	Log    Log
	Limits Limits

	VerdictTimeout time.Duration
	Projects       []*Project // of the file and the environment
	Book           *Book      // those of projects.json; never nil

	places   map[string]string        // where a value comes from, by path; the book has its own
	env      func(name string) string // a variable of the environment
	keyFiles map[string]fs.FileInfo   // files with server keys before they were first read; nil: there was none
}

func (c *Config) settings() []setting {
	return []setting{
		{key: "data_dir", to: &c.DataDir, def: "/var/lib/penstock", path: true, doc: "The directory for what Penstock keeps: its CA, the secret of the key hashes, projects.json. It is made if it is missing, and must be the owner's alone."},
		{key: "key_files_readable_by", to: &c.KeyFilesReadableBy, def: "owner", words: []string{"owner", "group", "everyone"}, doc: "Who may be able to read files with secrets before Penstock refuses to start. Where a platform mounts secrets with wider modes, say group or everyone."},
		{key: "ca_names", to: &c.CANames, doc: "Names and addresses by which programs call this machine: for certificates of Penstock's own CA, beside its host name, localhost and those of Google's endpoints; and for requests to an admin listener on loopback, beside loopback's own."},
		{key: "verdict_timeout", to: &c.VerdictTimeout, def: "12s", doc: "How long a sender waits for FCM's verdict; after it the answer is SERVICE_UNAVAILABLE, outcome unknown. 2s to 5m."},
		{key: "ccs", to: &c.CCS, doc: "Where app servers connect that speak CCS, over TLS."},
		{key: "http", to: &c.HTTP, doc: "Where senders of legacy HTTP and of HTTP v1 connect."},
		{key: "admin", to: &c.Admin, doc: "Health, readiness and metrics. Nobody is asked for a password there."},
		{key: "log", to: &c.Log, doc: "What is written to stderr."},
		{key: "limits", to: &c.Limits, doc: "What strangers and senders may use up."},
		{key: "projects", to: list[Project, *Project]{"project", &c.Projects}, doc: "The projects of Firebase that Penstock sends for. Others are made by `penstock project add` and live in the data directory."},
	}
}

// projectsPath is the path of the list of projects.
const projectsPath = "projects"

// apart are the settings in two parts: those of projects, and the others.
func (c *Config) apart() (projects, general part) {
	for _, e := range c.settings() {
		if e.key == projectsPath {
			projects = append(projects, e)
		} else {
			general = append(general, e)
		}
	}
	return projects, general
}

// CCS is the listener for app servers.
type CCS struct {
	Listen               []string
	TLS                  TLS
	StrictPayload        bool
	AuthenticationFailed bool
}

func (c *CCS) settings() []setting {
	return []setting{
		{key: "listen", to: &c.Listen, def: ":5235,:5236", doc: "Addresses to listen on, host:port each. Empty: no CCS."},
		{key: "tls", to: &c.TLS, doc: "The certificate. Without one Penstock makes a CA of its own in the data directory: see `penstock ca`."},
		{key: "strict_payload", to: &c.StrictPayload, def: "false", doc: "Refuse JSON that stands in its stanza unescaped, as some old senders write it."},
		{key: "authentication_failed", to: &c.AuthenticationFailed, def: "false", doc: "Answer AUTHENTICATION_FAILED, and not SERVICE_UNAVAILABLE, when Penstock's own credentials are the trouble."},
	}
}

// TLS names a certificate; with neither field there is none.
type TLS struct{ CertFile, KeyFile string }

func (t *TLS) settings() []setting {
	return []setting{
		{key: "cert_file", to: &t.CertFile, path: true, doc: "The certificate with its chain, PEM."},
		{key: "key_file", to: &t.KeyFile, path: true, doc: "The certificate's private key, PEM."},
	}
}

// HTTP is the listener for senders.
type HTTP struct {
	Listen []string
	TLS    TLS
	OwnTLS bool

	V1Strict bool
}

func (h *HTTP) settings() []setting {
	return []setting{
		{key: "listen", to: &h.Listen, def: ":8080", doc: "Addresses to listen on, host:port each. Empty: no HTTP fronts."},
		{key: "tls", to: &h.TLS, doc: "The certificate. Without one the fronts are plain HTTP, for a proxy in front, unless own_tls is on."},
		{key: "own_tls", to: &h.OwnTLS, def: "false", doc: "TLS with a certificate of Penstock's own CA."},
		{key: "v1_strict", to: &h.V1Strict, def: "false", doc: "HTTP v1: refuse fields that are not known, as FCM does, and do not pass them on."},
	}
}

// Admin is the listener for operators and their machines.
type Admin struct {
	Listen string
	Pprof  bool
}

func (a *Admin) settings() []setting {
	return []setting{
		{key: "listen", to: &a.Listen, def: "127.0.0.1:9090", doc: "The address of /healthz, /readyz and /metrics. Empty: none. On loopback, requests that call this machine by another name than loopback's and those of ca_names are refused, so that no web page reads them."},
		{key: "pprof", to: &a.Pprof, def: "false", doc: "Profiles under /debug/pprof, only on a loopback address."},
	}
}

// Log says what is logged, and how.
type Log struct{ Level, Format string }

func (l *Log) settings() []setting {
	return []setting{
		{key: "level", to: &l.Level, def: "info", words: []string{"debug", "info", "warn", "error"}, doc: "The least level that is written."},
		{key: "format", to: &l.Format, def: "text", words: []string{"text", "json"}, doc: "text for people, json for machines."},
	}
}

// Limits bound what peers may use up.
type Limits struct {
	MessagesPerProject         int
	CCSStreamsPerSender        int
	CCSUnauthenticated         int
	CCSUnauthenticatedPerPeer  int
	HTTPConnections            int
	AdminConnections           int
	HTTPStreams                int
	HTTPHeaderBytes            int
	HTTPHeaderTimeout          time.Duration
	HTTPReadTimeout            time.Duration
	HTTPWriteTimeout           time.Duration
	HTTPIdleTimeout            time.Duration
	RememberedIDs              int
	RememberedFor              time.Duration
	UpstreamWaitingPerSender   int
	UnauthenticatedPeersPerSec int
}

func (l *Limits) settings() []setting {
	return []setting{
		{key: "messages_per_project", to: &l.MessagesPerProject, def: "10000", doc: "Messages of one project that wait or are on their way. At the bound: SERVICE_UNAVAILABLE, or 503."},
		{key: "ccs_streams_per_sender", to: &l.CCSStreamsPerSender, def: "1000", doc: "CCS streams of one sender id. At the bound a login is refused."},
		{key: "ccs_unauthenticated", to: &l.CCSUnauthenticated, def: "10000", doc: "CCS connections that are not logged in, in all. At the bound new ones are closed."},
		{key: "ccs_unauthenticated_per_address", to: &l.CCSUnauthenticatedPerPeer, def: "200", doc: "The same for one address; loopback is exempt."},
		{key: "ccs_connections_per_second", to: &l.UnauthenticatedPeersPerSec, def: "200", doc: "How fast one address may open CCS connections; loopback is exempt."},
		{key: "ccs_waiting_per_sender", to: &l.UpstreamWaitingPerSender, def: "10000", doc: "Upstream messages, and receipts apart from them, that wait for one sender id. At the bound the far end keeps them."},
		{key: "dedupe_window", to: &l.RememberedFor, def: "10m", doc: "How long the id of an acked message is remembered: the same message sent again gets the same ack and is not delivered twice."},
		{key: "dedupe_max", to: &l.RememberedIDs, def: "1000000", doc: "How many such ids are remembered; the oldest is forgotten first."},
		{key: "http_connections", to: &l.HTTPConnections, def: "10000", doc: "Connections to the HTTP fronts. At the bound new ones wait."},
		{key: "admin_connections", to: &l.AdminConnections, def: "100", doc: "Connections to the admin listener. At the bound new ones wait, those of probes too."},
		{key: "http_streams", to: &l.HTTPStreams, def: "100", doc: "HTTP/2 streams on one connection."},
		{key: "http_header_bytes", to: &l.HTTPHeaderBytes, def: "16384", doc: "Bytes of a request's headers. Beyond: 431, or over HTTP/2 the end of the connection."},
		{key: "http_header_timeout", to: &l.HTTPHeaderTimeout, def: "5s", doc: "For reading a request's headers."},
		{key: "http_read_timeout", to: &l.HTTPReadTimeout, def: "15s", doc: "For reading a whole request."},
		{key: "http_write_timeout", to: &l.HTTPWriteTimeout, def: "30s", doc: "From a request's headers to the end of its answer; an HTTP/2 connection whose client reads nothing ends within twice that. Longer than verdict_timeout."},
		{key: "http_idle_timeout", to: &l.HTTPIdleTimeout, def: "1m", doc: "How long a connection may be idle."},
	}
}
