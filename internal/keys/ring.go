package keys

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"penstock/ccs"
)

// A Front is one of the doors at which keys are shown.
type Front string

// The fronts.
const (
	CCS    Front = "ccs"
	Legacy Front = "legacy"
	V1     Front = "v1"
)

// Fronts lists them all.
func Fronts() []Front { return []Front{CCS, Legacy, V1} }

// A Record is a server key as it is kept.
type Record struct {
	Name    string    `json:"name"` // for people
	Hash    Hash      `json:"hash"`
	Fronts  []Front   `json:"fronts,omitempty"` // where it counts; empty: at all of them
	Created time.Time `json:"created,omitzero"`
}

// A Project is whom a key speaks for.
type Project struct {
	Name      string       // the operator's own; unique
	ProjectID string       // Firebase's, or empty
	SenderID  ccs.SenderID // the project's number, or empty: then nobody logs in by CCS
	Keys      []Record
}

// Answers reports whether the project is the one that a URL names: by its name,
// its id or its number.
func (p *Project) Answers(segment string) bool {
	return segment != "" && (segment == p.Name || segment == p.ProjectID || segment == string(p.SenderID))
}

// ErrUnknown is the answer to a sender or key that is not known. It does not
// say which of them is wrong.
var ErrUnknown = errors.New("unknown sender id or server key")

// A Ring holds the keys of all projects. Its methods may be called by any
// goroutine.
type Ring struct {
	secret Secret
	keys   atomic.Pointer[table]
}

// A table is the content of a ring; it does not change. Keys are found by the
// beginning of their hashes.
type table struct {
	slots   map[uint64][]slot
	names   map[string]*Project
	senders map[ccs.SenderID]*Project
}

// A slot is one key.
type slot struct {
	hash    Hash
	project *Project
	name    string
	fronts  []Front
}

// NewRing makes a ring of the projects' keys, which were hashed with secret.
func NewRing(secret Secret, projects []Project) (*Ring, error) {
	if secret.key == nil {
		return nil, errors.New("keys: there is no secret")
	}
	r := &Ring{secret: secret}
	if err := r.Replace(projects); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace puts other projects in place of those that the ring has: every call
// that begins later sees them. With an error the ring stays as it is. What
// would make it unclear for whom a key speaks is refused: two projects of one
// name or sender id, one key in two projects; and so is a front that there is
// none of.
func (r *Ring) Replace(projects []Project) error {
	t := &table{
		slots:   make(map[uint64][]slot),
		names:   make(map[string]*Project, len(projects)),
		senders: make(map[ccs.SenderID]*Project, len(projects)),
	}
	for i, p := range projects {
		switch {
		case p.Name == "":
			return fmt.Errorf("keys: project %d has no name", i+1)
		case t.names[p.Name] != nil:
			return fmt.Errorf("keys: two projects have the name %q", p.Name)
		case t.senders[p.SenderID] != nil:
			return fmt.Errorf("keys: two projects have the sender id %q", p.SenderID)
		}
		p.Keys = slices.Clone(p.Keys)
		t.names[p.Name] = &p
		if p.SenderID != "" {
			t.senders[p.SenderID] = &p
		}
		for j := range p.Keys {
			if err := t.add(&p, &p.Keys[j]); err != nil {
				return err
			}
		}
	}
	r.keys.Store(t)
	return nil
}

func (t *table) add(p *Project, rec *Record) error {
	for _, f := range rec.Fronts {
		if !slices.Contains(Fronts(), f) {
			return fmt.Errorf("keys: project %q, key %q: there is no front %q, only %q", p.Name, rec.Name, f, Fronts())
		}
	}
	rec.Fronts = slices.Clone(rec.Fronts)
	start := begin(rec.Hash)
	for _, s := range t.slots[start] {
		if s.hash == rec.Hash && s.project != p {
			return fmt.Errorf("keys: key %q of project %q and key %q of project %q are the same", s.name, s.project.Name, rec.Name, p.Name)
		}
	}
	t.slots[start] = append(t.slots[start], slot{hash: rec.Hash, project: p, name: rec.Name, fronts: rec.Fronts})
	return nil
}

// begin is what a hash is found by. A guesser does not know the secret, so how
// long that takes tells nothing of a key.
func begin(h Hash) uint64 { return binary.BigEndian.Uint64(h[:8]) }

// Lookup returns the project that key speaks for at a front. Nobody may change
// what it points at. Whether the key is unknown or counts at other fronts only,
// the answer is the same and costs the same.
func (r *Ring) Lookup(key string, front Front) (*Project, bool) {
	got := r.secret.Hash(key)
	slots := r.keys.Load().slots[begin(got)]
	if len(slots) == 0 {
		slots = nobody[:]
	}
	var found *Project
	for i := range slots {
		s := &slots[i]
		same := hmac.Equal(s.hash[:], got[:])
		if same && s.project != nil && (len(s.fronts) == 0 || slices.Contains(s.fronts, front)) {
			found = s.project
		}
	}
	return found, found != nil
}

// nobody is compared where there is nothing to compare.
var nobody [1]slot

// Authenticate returns nil if key is one of the sender's that counts for CCS,
// and else [ErrUnknown]. An unknown sender costs what a known one costs.
func (r *Ring) Authenticate(_ context.Context, sender ccs.SenderID, key string) error {
	p, ok := r.Lookup(key, CCS)
	if !ok || sender == "" || p.SenderID != sender {
		return ErrUnknown
	}
	return nil
}

// Sender returns the project of a sender id. Nobody may change what it points at.
func (r *Ring) Sender(sender ccs.SenderID) (*Project, bool) {
	p := r.keys.Load().senders[sender]
	return p, p != nil
}
