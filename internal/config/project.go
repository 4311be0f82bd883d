package config

import (
	"bytes"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/http/httpproxy"

	"penstock/ccs"
	"penstock/fcm"
)

// A Project is one project of Firebase: who may send for it, and whereto.
type Project struct {
	Name           string
	ProjectID      string
	SenderID       string
	Keys           []*Key
	Transport      Transport
	VerdictTimeout time.Duration // 0: as the configuration's
	Reply          Reply
	Quotas         Quotas
	Translate      Translate
	Upstream       Upstream
}

func (p *Project) settings() []setting {
	return []setting{
		{key: "name", to: &p.Name, doc: "What the project is called here: in paths, logs and metrics. Lower-case letters, digits, hyphens."},
		{key: "sender_id", to: &p.SenderID, doc: "The project's number, with which app servers log in over CCS."},
		{key: "project_id", to: &p.ProjectID, doc: "The project's id at Firebase. Default: the one in the credentials."},
		{key: "keys", to: list[Key, *Key]{"key", &p.Keys}, doc: "Server keys: what senders show. Penstock's own, not Google's."},
		{key: "transport", to: &p.Transport, doc: "Where messages go: fcm or ccs, exactly one."},
		{key: "verdict_timeout", to: &p.VerdictTimeout, def: "0s", doc: "As the general one, for this project; not longer. 0s: the general one."},
		{key: "reply", to: &p.Reply, doc: "When each front answers."},
		{key: "quotas", to: &p.Quotas, doc: "How fast messages go to FCM."},
		{key: "translate", to: &p.Translate, doc: "How messages of the legacy dialects become those of HTTP v1."},
		{key: "upstream", to: &p.Upstream, doc: "What devices send to app servers; it comes from far ends that speak CCS."},
	}
}

// Sender is the sender id as the wire knows it.
func (p *Project) Sender() ccs.SenderID { return ccs.SenderID(p.SenderID) }

// ID is the project id as the wire knows it; empty: that of the credentials.
func (p *Project) ID() fcm.ProjectID { return fcm.ProjectID(p.ProjectID) }

// A Key is one server key: its text, or its hash.
type Key struct {
	Name       string
	Secret     Secret
	SecretFile string
	Hash       string
	SecretID   string   // of the secret that Hash was made with; empty: not known
	Fronts     []string // empty: all
	Created    string   // a date of RFC 3339, or empty

	read Secret // from SecretFile
}

// Text is the key itself, wherever it stands; empty if only its hash is known.
func (k *Key) Text() Secret {
	if k.SecretFile != "" {
		return k.read
	}
	return k.Secret
}

func (k *Key) settings() []setting {
	return []setting{
		{key: "name", to: &k.Name, doc: "What the key is called, so that one can be taken away."},
		{key: "secret_file", to: &k.SecretFile, path: true, doc: "The file that holds the key; white space around it is cut off."},
		{key: "secret", to: &k.Secret, doc: "The key itself. Better in a file, or in the environment."},
		{key: "hash", to: &k.Hash, doc: "The key's hash under the secret in the data directory, as `penstock project key` writes it."},
		{key: "secret_id", to: &k.SecretID, doc: "Which secret the hash was made with, so that another one is noticed; `penstock project key` writes it too."},
		{key: "fronts", to: &k.Fronts, words: []string{"ccs", "legacy", "v1"}, doc: "Where the key counts. Default: everywhere."},
		{key: "created", to: &k.Created, doc: "When the key was made; for people."},
	}
}

// A Transport is where messages go: one of the two is given.
type Transport struct {
	FCM    FCM
	CCS    FarCCS
	HasFCM bool
	HasCCS bool
}

func (t *Transport) settings() []setting {
	return []setting{
		{key: "fcm", to: &t.FCM, given: &t.HasFCM, doc: "FCM HTTP v1."},
		{key: "ccs", to: &t.CCS, given: &t.HasCCS, doc: "Any endpoint that speaks CCS, such as another Penstock. Upstream messages and receipts come back from there."},
	}
}

// FCM is FCM HTTP v1. One of the three kinds of credentials is given.
type FCM struct {
	CredentialsFile    string
	Credentials        Secret
	ApplicationDefault bool
	Endpoint           string
	CAFile             string
	MaxConnections     int
	Proxy              URL // or none
}

func (f *FCM) settings() []setting {
	return []setting{
		{key: "credentials_file", to: &f.CredentialsFile, path: true, doc: "A service account's JSON file, or another credential file of Google's. A changed file is taken over."},
		{key: "credentials", to: &f.Credentials, doc: "The same JSON itself."},
		{key: "application_default", to: &f.ApplicationDefault, def: "false", doc: "Google's application default credentials: the file of GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, or the metadata server. A changed file is taken over."},
		{key: "endpoint", to: &f.Endpoint, def: "https://fcm.googleapis.com", doc: "Where FCM is: a simulator's address, for instance."},
		{key: "ca_file", to: &f.CAFile, path: true, doc: "Trust the CAs in this PEM file, and no others, for the endpoint and for tokens. Default: the system's."},
		{key: "max_connections", to: &f.MaxConnections, def: "40", doc: "HTTP/2 connections at most; each carries as many messages at a time as FCM allows, 100."},
		{key: "proxy", to: &f.Proxy, doc: "An HTTP proxy's URL; a password in it is a secret. Default: the environment's HTTPS_PROXY and NO_PROXY; `none` for no proxy at all."},
	}
}

// FarCCS is a far end that speaks CCS.
type FarCCS struct {
	Endpoint string
	CAFile   string
	SenderID string
	KeyFile  string
	Key      Secret
	Streams  int

	read Secret // from KeyFile
}

// Text is the server key, wherever it stands.
func (f *FarCCS) Text() Secret {
	if f.KeyFile != "" {
		return f.read
	}
	return f.Key
}

func (f *FarCCS) settings() []setting {
	return []setting{
		{key: "endpoint", to: &f.Endpoint, doc: "Host and port; TLS from the first byte."},
		{key: "ca_file", to: &f.CAFile, path: true, doc: "Trust the CAs in this PEM file, and no others. Default: the system's."},
		{key: "sender_id", to: &f.SenderID, doc: "The sender id to log in with. Default: the project's."},
		{key: "key_file", to: &f.KeyFile, path: true, doc: "The file that holds the server key to log in with; white space around it is cut off."},
		{key: "key", to: &f.Key, doc: "The key itself. Better in a file, or in the environment."},
		{key: "streams", to: &f.Streams, def: "1", doc: "How many streams are kept. With one, messages leave in the order in which they came."},
	}
}

// Reply is the policy of each front.
type Reply struct{ CCS, Legacy, V1 string }

func (r *Reply) settings() []setting {
	policies := []string{"auto", "verdict", "stored"}
	return []setting{
		{key: "ccs", to: &r.CCS, def: "auto", words: policies, doc: "verdict: only FCM's verdict is an answer, and transient trouble is told as such. auto: will keep such messages once there is a store; until then it is the same."},
		{key: "legacy", to: &r.Legacy, def: "verdict", words: policies, doc: "The same for legacy HTTP."},
		{key: "v1", to: &r.V1, def: "verdict", words: policies, doc: "The same for HTTP v1."},
	}
}

// Quotas are the pace towards FCM.
type Quotas struct {
	PerMinute int
	Ramp      time.Duration
	PerDevice bool
	InFlight  int
}

func (q *Quotas) settings() []setting {
	return []setting{
		{key: "per_minute", to: &q.PerMinute, def: "600000", doc: "Messages a minute; FCM's own default for a project. 0: no limit."},
		{key: "ramp", to: &q.Ramp, def: "1m", doc: "How long the way from nothing to that rate takes, as FCM asks for. 0s: no time."},
		{key: "per_device", to: &q.PerDevice, def: "true", doc: "Keep to FCM's limits for one device and one topic, so that they are told here and not there."},
		{key: "in_flight", to: &q.InFlight, def: "1000", doc: "Messages that may be on their way to FCM at a time."},
	}
}

// Translate are the translator's settings.
type Translate struct {
	NullData      string
	Strict        bool
	RefuseUnknown bool
	OddPriority   string
	PassThrough   bool
	ThreadFromTag bool
	WebTag        bool
	MessageIDKey  string
	SizeLimit     int
}

func (t *Translate) settings() []setting {
	return []setting{
		{key: "null_data", to: &t.NullData, def: "drop", words: []string{"drop", "empty", "text"}, doc: "Legacy HTTP: what becomes of null in data. The key is dropped, or its value is an empty text, or the text null."},
		{key: "strict", to: &t.Strict, def: "false", doc: "Legacy HTTP: answer a missing recipient, a reserved key or an odd time_to_live with 400 and a sentence, as Google's server did at last, and not with 200 and a word, as Google documented."},
		{key: "refuse_unknown", to: &t.RefuseUnknown, def: "false", doc: "Legacy HTTP: refuse keys that nobody documented, and do not pass over them."},
		{key: "odd_priority", to: &t.OddPriority, def: "reject", words: []string{"reject", "normal"}, doc: "Legacy HTTP: what becomes of a priority that is neither normal nor high, a number such as 10 for one. CCS always refuses one."},
		{key: "pass_through", to: &t.PassThrough, def: "false", doc: "Pass keys of notification that only HTTP v1 knows on to Android."},
		{key: "thread_from_tag", to: &t.ThreadFromTag, def: "false", doc: "Make a notification's tag the thread on Apple devices too."},
		{key: "web_tag", to: &t.WebTag, def: "false", doc: "Make a notification's tag the tag in browsers too."},
		{key: "message_id_key", to: &t.MessageIDKey, doc: "The key in data under which a message's id travels to the device if its sender asked for a receipt. Default: it does not travel."},
		{key: "size_limit", to: &t.SizeLimit, def: "0", doc: "Refuse data and notification of more bytes than this. 0: leave it to FCM; the CCS front always keeps to 4096."},
	}
}

// Upstream says who gets upstream messages and receipts.
type Upstream struct{ To []string }

func (u *Upstream) settings() []setting {
	return []setting{
		{key: "to", to: &u.To, def: "ccs", words: []string{"ccs"}, doc: "Who gets them: ccs is the project's CCS streams. Empty: nobody, and the far end keeps them."},
	}
}

// clone is a copy that shares nothing which changes.
func (p *Project) clone() *Project {
	n := *p
	n.Keys = make([]*Key, len(p.Keys))
	for i, k := range p.Keys {
		key := *k
		n.Keys[i] = &key
	}
	return &n
}

// HasKey reports whether p has a key that is k and counts where k does.
func (p *Project) HasKey(k *Key) bool {
	return slices.ContainsFunc(p.Keys, func(o *Key) bool {
		return o.Hash == k.Hash && o.Text().Reveal() == k.Text().Reveal() && slices.Equal(o.Fronts, k.Fronts)
	})
}

// inFile is p's key that stands in the same file as k and counts where k does,
// whatever the file holds; nil: there is none.
func (p *Project) inFile(k *Key) *Key {
	i := slices.IndexFunc(p.Keys, func(o *Key) bool {
		return k.SecretFile != "" && o.SecretFile == k.SecretFile && o.Name == k.Name && slices.Equal(o.Fronts, k.Fronts)
	})
	if i < 0 {
		return nil
	}
	return p.Keys[i]
}

// SameWay reports whether p goes the same way as q, whoever may send for it:
// all but the keys is alike.
func (p *Project) SameWay(q *Project) bool {
	way := func(p *Project) string {
		c := *p
		c.Keys = nil
		var b bytes.Buffer
		_ = writeJSON(&b, tree(&c, showOptions{secrets: true})) // of texts alone: it cannot fail
		return b.String()
	}
	return way(p) == way(q) && p.Transport.CCS.Text().Reveal() == q.Transport.CCS.Text().Reveal()
}

// ProxyFor is the proxy for target, if there is one: the one that is set, or the
// environment's. Its error may hold a password.
func (f *FCM) ProxyFor(target *url.URL) (*url.URL, error) {
	switch f.Proxy.Reveal() {
	case "":
		return httpproxy.FromEnvironment().ProxyFunc()(target)
	case "none":
		return nil, nil
	}
	return url.Parse(f.Proxy.Reveal())
}
