package fcmsim

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// A Reception is one downstream message that came over a stream, a repeated
// copy too. Tokens stand in it whole: that is what the record is for.
type Reception struct {
	Time      time.Time             `json:"t"`
	Stream    string                `json:"stream"`
	MessageID ccs.MessageID         `json:"message_id"`
	To        ccs.RegistrationToken `json:"to"`
	Condition string                `json:"condition,omitempty"`

	Data         map[string]string `json:"data"`
	Notification map[string]string `json:"notification"`

	DryRun   bool `json:"dry_run,omitempty"`
	Repeated bool `json:"repeated,omitempty"` // a message with this id is in the record already

	Answer           string    `json:"answer"` // "ack", "nack", or "": none was written
	Error            ccs.Code  `json:"error"`
	ErrorDescription string    `json:"error_description,omitempty"`
	AnsweredAt       time.Time `json:"answered_at,omitzero"`
	// DeliveredTo are the devices that have it, those too that got it later.
	DeliveredTo []ccs.RegistrationToken `json:"delivered_to"`
	// StreamEnded is when the stream that brought it was cut or had ended;
	// zero while it lives.
	StreamEnded time.Time `json:"stream_ended,omitzero"`

	// Face is v1 for what came by HTTP v1, a request each, refused ones too;
	// legacy for what came by /fcm/send, an entry for each target; empty for
	// CCS. What follows is of HTTP. MessageID is then the one that
	// FCM gave, if it did, and Error the FcmError, or else the status.
	Face         string `json:"face,omitempty"`
	Status       int    `json:"status,omitempty"` // of HTTP; 0: none was written
	ValidateOnly bool   `json:"validate_only,omitempty"`
	// Request is the body as it came; nil if it was not JSON, or not read.
	Request json.RawMessage `json:"request,omitempty"`
}

// faceV1 marks what came by HTTP v1.
const faceV1 = "v1"

// MarshalJSON writes empty objects and lists, never null.
func (r Reception) MarshalJSON() ([]byte, error) {
	if r.Data == nil {
		r.Data = map[string]string{}
	}
	if r.Notification == nil {
		r.Notification = map[string]string{}
	}
	if r.DeliveredTo == nil {
		r.DeliveredTo = []ccs.RegistrationToken{}
	}
	type plain Reception
	return json.Marshal(plain(r))
}

// An entry is a reception as the record keeps it. It may have left the record
// already when its message is delivered. Guarded by the simulator's mutex.
type entry struct {
	Reception
	stream  *stream // nil: it came by HTTP
	request string  // of HTTP
}

// shared is the reception with maps and lists that the entry goes on using;
// they are only ever replaced or appended to. Those of a request over HTTP are
// read when somebody asks for them.
func (e *entry) shared() Reception {
	r := e.Reception
	if e.request != "" {
		var v v1Send
		if err := v.parse(e.request); err == nil || !v.broken {
			r.Request = json.RawMessage(e.request)
			message := v.get(0, "message")
			r.Data = v.pairs(message, "data")
			r.Notification = v.fields(nil, v.in(message, "notification"))
		}
	}
	if e.stream != nil {
		r.StreamEnded = e.stream.ended
	}
	return r
}

// A stream is what the simulator knows of a bound stream. Guarded by the
// simulator's mutex.
type stream struct {
	id      string
	conn    *faultConn
	ended   time.Time
	cut     bool                        // nothing that still comes is handled
	pending map[*ccs.Downstream]*entry  // no answer was written yet
	held    []heldRequest               // no answer will be written while the stream lives
	offered map[*upstreamState]struct{} // upstream messages that are unacked there
}

// A heldRequest is settled when its stream has ended: a delivered message is
// then acked, so that a copy of it gets the ack; any other id is open again.
type heldRequest struct {
	r   *ccsserver.Request
	err error
}

// hold keeps a request from being answered on this stream. A nil err means
// that the message was delivered.
func (st *stream) hold(r *ccsserver.Request, err error) {
	st.held = append(st.held, heldRequest{r, err})
}

func (st *stream) end(now time.Time) {
	st.cut = true
	if st.ended.IsZero() {
		st.ended = now
	}
}

// A recordBook holds the receptions. Guarded by the simulator's mutex.
type recordBook struct {
	entries ring[*entry]
	seen    map[ccs.MessageID]int // how many entries have that id
	epoch   int                   // counts resets, for those who read in parts
}

func (b *recordBook) add(e *entry) {
	if e.Face == "" { // the ids of HTTP are the simulator's own
		e.Repeated = b.seen[e.MessageID] > 0
		b.seen[e.MessageID]++
	}
	if old, gone := b.entries.add(e); gone && old.Face == "" {
		if b.seen[old.MessageID]--; b.seen[old.MessageID] == 0 {
			delete(b.seen, old.MessageID)
		}
	}
}

func (b *recordBook) reset() {
	b.entries.reset()
	b.seen = make(map[ccs.MessageID]int)
	b.epoch++
}

// Record returns what was received, in order, each copy of a message apart.
func (s *Sim) Record() []Reception {
	s.mu.Lock()
	list := make([]Reception, s.book.entries.len())
	for i := range list {
		list[i] = s.book.entries.at(i).shared()
	}
	s.mu.Unlock()
	for i := range list {
		r := &list[i]
		r.Data, r.Notification = maps.Clone(r.Data), maps.Clone(r.Notification)
		r.DeliveredTo = slices.Clone(r.DeliveredTo)
	}
	return list
}

// RecordDropped is how many receptions have left the record because it was
// full, since the last [Sim.ResetRecord].
func (s *Sim) RecordDropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.entries.dropped
}

// ResetRecord empties the record. Devices keep theirs.
func (s *Sim) ResetRecord() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.reset()
}

// readRecord calls f with the record in parts, so that nobody waits for a slow
// reader. It ends early when f fails or the record is reset.
func (s *Sim) readRecord(f func([]Reception) error) error {
	var part []Reception
	next, epoch := 0, -1
	for {
		s.mu.Lock()
		b := &s.book
		if epoch < 0 {
			epoch = b.epoch
		}
		part = part[:0]
		if epoch == b.epoch {
			next = max(next, b.entries.dropped)
			for len(part) < 256 && next-b.entries.dropped < b.entries.len() {
				part = append(part, b.entries.at(next-b.entries.dropped).shared())
				next++
			}
		}
		s.mu.Unlock()
		if len(part) == 0 {
			return nil
		}
		if err := f(part); err != nil {
			return err
		}
	}
}

func (s *Sim) bound(v ccsserver.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[v.ID] = &stream{
		id:      v.ID,
		conn:    s.conns[v.ID],
		pending: make(map[*ccs.Downstream]*entry),
		offered: make(map[*upstreamState]struct{}),
	}
	delete(s.conns, v.ID)
}

func (s *Sim) received(id string, m *ccs.Downstream) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &entry{stream: s.streams[id], Reception: Reception{
		Time: now, Stream: id, MessageID: m.MessageID, To: m.To, Condition: m.Condition,
		Data: m.Data, Notification: m.Notification, DryRun: m.DryRun,
	}}
	s.book.add(e)
	if e.stream != nil {
		e.stream.pending[m] = e
	}
}

func (s *Sim) answered(id string, m *ccs.Downstream, answer ccs.FromServer) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[id]
	if st == nil {
		return
	}
	if m == nil {
		s.refused(st, answer)
		return
	}
	e := st.pending[m]
	if e == nil {
		return
	}
	delete(st.pending, m)
	e.AnsweredAt = now
	switch a := answer.(type) {
	case *ccs.Ack:
		e.Answer = "ack"
	case *ccs.Nack:
		e.Answer, e.Error, e.ErrorDescription = "nack", a.Code, a.Description
	}
}

// refused records a message that was nacked for what is wrong in it: nobody
// received it as a message, but whoever looks for the nack looks here. Acks of
// the app server that were refused are no messages. Called with mu held.
func (s *Sim) refused(st *stream, answer ccs.FromServer) {
	nack, ok := answer.(*ccs.Nack)
	if !ok || nack.Code == ccs.CodeBadAck {
		return
	}
	now := s.opt.Now()
	s.book.add(&entry{stream: st, Reception: Reception{
		Time: now, Stream: st.id, MessageID: nack.MessageID, To: nack.From,
		Answer: "nack", Error: nack.Code, ErrorDescription: nack.Description, AnsweredAt: now,
	}})
}

func (s *Sim) closed(v ccsserver.Stream) {
	now := s.opt.Now()
	s.mu.Lock()
	st := s.streams[v.ID]
	if st == nil {
		s.mu.Unlock()
		return
	}
	delete(s.streams, v.ID)
	st.end(now)
	st.pending = nil
	held := st.held
	st.held = nil
	for u := range st.offered {
		u.state, u.on = UpstreamWaiting, nil
	}
	st.offered = nil
	s.mu.Unlock()
	for _, h := range held {
		h.r.Answer(nil, h.err)
	}
}
