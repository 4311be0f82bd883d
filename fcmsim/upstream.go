package fcmsim

import (
	"errors"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/ccsserver"
)

// maxUpstreamStates bounds how many upstream messages' states are remembered;
// the oldest is forgotten first.
const maxUpstreamStates = 100_000

// An Upstream is what an app on a device sends. The zero value is an empty
// message of the device's app with an id of its own.
type Upstream struct {
	Category  ccs.Category // default: the device's
	Data      map[string]string
	MessageID ccs.MessageID  // default: a new one
	TTL       *time.Duration // whole seconds, at most four weeks; nil: absent, which means 24 hours
}

// The states of an upstream message.
const (
	UpstreamWaiting = "waiting" // for a stream of the app server
	UpstreamOffered = "offered" // written to a stream that lives, and not acked
	UpstreamAcked   = "acked"
	UpstreamExpired = "expired" // its time to live was over first
)

// An UpstreamStatus tells how far an upstream message has come.
type UpstreamStatus struct {
	MessageID ccs.MessageID         `json:"message_id"`
	From      ccs.RegistrationToken `json:"from"`
	State     string                `json:"state"`
	Offers    int                   `json:"offers"` // how many times it was written to a stream
}

type upstreamKey struct {
	from ccs.RegistrationToken
	id   ccs.MessageID
}

// An upstreamState is guarded by the simulator's mutex.
type upstreamState struct {
	key     upstreamKey
	state   string
	offers  int
	on      *stream // unacked there
	settled bool
}

// ErrUnknownUpstream means that no such upstream message is remembered.
var ErrUnknownUpstream = errors.New("no upstream message has this id, or it was forgotten")

// Upstream sends a message from a device to the app server. It does not wait:
// the message is offered to one stream after another until it is acked or its
// time to live is over.
func (s *Sim) Upstream(token ccs.RegistrationToken, m Upstream) (ccs.MessageID, error) {
	id, err := s.upstream(token, m)
	if err != nil {
		return "", fmt.Errorf("fcmsim: upstream from %s: %w", token.Redacted(), err)
	}
	return id, nil
}

func (s *Sim) upstream(token ccs.RegistrationToken, m Upstream) (ccs.MessageID, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	if m.MessageID == "" {
		m.MessageID = ccs.NewMessageID()
	}
	u := &upstreamState{key: upstreamKey{token, m.MessageID}, state: UpstreamWaiting}

	s.mu.Lock()
	d := s.devices[token]
	var err error
	switch {
	case d == nil:
		err = ErrUnknownToken
	case !d.online || !d.live:
		err = ErrDeviceOffline
	case s.upstreams[u.key] != nil && !s.upstreams[u.key].settled:
		err = ccsserver.ErrInWork
	}
	if err != nil {
		s.mu.Unlock()
		return "", err
	}
	before, latest := s.upstreams[u.key], s.latest[m.MessageID]
	// Registered before it is offered: the offer may be settled before Offer
	// returns.
	s.upstreams[u.key], s.latest[m.MessageID] = u, u
	if m.Category == "" {
		m.Category = d.category
	}
	sender := d.sender
	s.mu.Unlock()

	err = s.srv.Offer(sender, &ccs.Upstream{
		From: token, Category: m.Category, MessageID: m.MessageID, Data: maps.Clone(m.Data), TTL: m.TTL,
	}, ccsserver.OfferOptions{
		Offered: func(stream string, n int) { s.offered(u, stream, n) },
		Done:    func(o ccsserver.Outcome) { s.settled(u, o) },
	})

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		putBack(s.upstreams, u.key, u, before)
		putBack(s.latest, m.MessageID, u, latest)
		return "", err
	}
	if old, gone := s.upstreamOrder.add(u); gone {
		putBack(s.upstreams, old.key, old, nil)
		putBack(s.latest, old.key.id, old, nil)
	}
	return m.MessageID, nil
}

// putBack takes u out of a map, unless another one is there by now.
func putBack[K comparable](in map[K]*upstreamState, key K, u, before *upstreamState) {
	switch {
	case in[key] != u:
	case before != nil:
		in[key] = before
	default:
		delete(in, key)
	}
}

func (m *Upstream) check() error {
	size := 0
	for k, v := range m.Data {
		size += len(k) + len(v)
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return errors.New("data must be valid UTF-8")
		}
	}
	switch {
	case size > ccs.MaxPayload:
		return fmt.Errorf("data has %d bytes of keys and values: at most %d are allowed", size, ccs.MaxPayload)
	case len(m.MessageID) > ccs.MaxMessageID:
		return fmt.Errorf("message_id has more than %d bytes", ccs.MaxMessageID)
	case !utf8.ValidString(string(m.MessageID)) || !utf8.ValidString(string(m.Category)):
		return errors.New("message_id and category must be valid UTF-8")
	case m.TTL != nil && (*m.TTL < 0 || *m.TTL > ccs.MaxTTL || *m.TTL%time.Second != 0):
		return fmt.Errorf("time_to_live must be whole seconds between 0 and %d", ccs.MaxTTL/time.Second)
	}
	return nil
}

func (s *Sim) offered(u *upstreamState, stream string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.offers = max(u.offers, n)
	if u.settled || n < u.offers {
		return // the ack was quicker, or a later offer's call
	}
	if u.on != nil {
		delete(u.on.offered, u)
		u.on, u.state = nil, UpstreamWaiting
	}
	if st := s.streams[stream]; st != nil { // else it is gone already
		u.on, u.state = st, UpstreamOffered
		st.offered[u] = struct{}{}
	}
}

func (s *Sim) settled(u *upstreamState, o ccsserver.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.settled = true
	if u.on != nil {
		delete(u.on.offered, u)
		u.on = nil
	}
	switch o {
	case ccsserver.Acked:
		u.state = UpstreamAcked
	case ccsserver.Expired:
		u.state = UpstreamExpired
	default: // the server has closed: nobody will get it
		u.state = UpstreamWaiting
	}
}

// UpstreamState tells how far an upstream message has come. Ids are unique for
// one device only: an empty token means the latest message with that id.
func (s *Sim) UpstreamState(token ccs.RegistrationToken, id ccs.MessageID) (UpstreamStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.latest[id]
	if token != "" {
		u = s.upstreams[upstreamKey{token, id}]
	}
	if u == nil {
		return UpstreamStatus{}, fmt.Errorf("fcmsim: upstream state: %w", ErrUnknownUpstream)
	}
	return UpstreamStatus{MessageID: u.key.id, From: u.key.from, State: u.state, Offers: u.offers}, nil
}
