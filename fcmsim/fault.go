package fcmsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"penstock/ccs"
)

// maxFaults bounds the faults that are set at a time.
const maxFaults = 1000

// maxFaultDelay bounds how long a fault may hold back an answer.
const maxFaultDelay = time.Hour

// A Face is one of the ways in which messages come to the simulator.
type Face string

// The faces. The empty one, of a fault, means those that what it does fits to:
// both for Delay, Silence, Cut and Deliver.
const (
	FaceCCS  Face = "ccs"
	FaceHTTP Face = "http"
	FaceBoth Face = "both"
)

// A Fault makes something go wrong. The first six fields choose the messages
// that it applies to, the others say what happens to these. Of several faults
// the one set first applies. Over CCS a copy of a message that was acked, or is
// being worked on, gets the answer of the first copy, and no fault applies to
// it. Over HTTP a fault applies to requests to send whose body could be read.
type Fault struct {
	Face  Face                  // only messages that come by this face
	Token ccs.RegistrationToken // only messages to this token, FID, topic or condition; empty: all
	Next  int                   // it applies to so many messages and then no more; 0: no end
	Share float64               // to this share of the messages, by chance; 0: to all
	Seed  uint64                // of that chance, so that it can be repeated
	Every int                   // only to each so many-th of them; 0: to all

	// Delay holds the answer back, or the cut. Without any other field the
	// message is delivered at once and answered late.
	Delay time.Duration
	// Nack refuses with this code; the message is not delivered. NackShare
	// does so for a share of the messages that the fault applies to, by
	// chance; 0: all.
	Nack      ccs.Code
	NackShare float64
	// Silence never answers on this stream. When the stream has ended, the
	// message's id is open again. Over HTTP the request is left open.
	Silence bool
	// Cut breaks the connection as the message arrives, as a network does;
	// what comes behind it is not handled either, over HTTP/2 nor are the other
	// streams of the connection answered.
	Cut bool
	// WrongBytes writes bytes that are no XML in place of the answer, as a
	// broken proxy does. What becomes of the stream is up to the app server;
	// when it has ended, the message's id is open again.
	WrongBytes bool
	// Deliver hands the message to the device although Silence, Cut or
	// WrongBytes keeps the answer back, or an error takes its place: the app
	// server cannot know. A later copy is acked, and not delivered again; over
	// HTTP, where messages have no ids, it is delivered again.
	Deliver bool

	// Slow has the stream that brought the message read slowly from then on,
	// so many bytes a second, 10 to 1,000,000; what was read already is
	// handled. SlowFor is how long; 0: 10 s.
	Slow    int
	SlowFor time.Duration

	// What follows goes wrong over HTTP only. Error, Status, Reset, Refuse,
	// Silence and Cut exclude each other.

	// Error answers with the error of that number in docs/fcm-http.md, such as
	// E13. The message is not delivered unless Deliver is set.
	Error string
	// Status answers with this HTTP status and the text Body, which is nobody's
	// to check. ContentType goes with it; default: that of JSON. The same holds
	// for delivery, also of statuses that mean success.
	Status      int
	Body        string
	ContentType string
	// RetryAfter is that header of an answer which Error or Status asks for, as
	// it stands there: seconds, a date, or anything.
	RetryAfter string
	// Short breaks the answer off in the middle of its body.
	Short bool
	// Reset ends the stream without an answer: RST_STREAM with INTERNAL_ERROR,
	// or over HTTP/1.1 the connection.
	Reset bool
	// GoAway announces by GOAWAY with NO_ERROR that the connection takes no
	// more streams. This message, and those that came before the announcement,
	// are answered; later ones are ignored.
	GoAway bool
	// Refuse, with GoAway, has the announcement say that this message was not
	// processed either; alone it is RST_STREAM with REFUSED_STREAM. The stream
	// is not read: it cannot be chosen by Token, and goes by HTTP/2 only.
	Refuse bool
}

// The bounds of a slow reading, and how long it lasts if nobody says.
const (
	minSlow     = 10
	maxSlow     = 1_000_000
	defaultSlow = 10 * time.Second
)

// A FaultStatus is a fault that is set, and how often it was applied.
type FaultStatus struct {
	Fault
	Applied int
}

type faultState struct {
	FaultStatus
	chance *rand.Rand // nil: nothing is left to chance
	seen   int        // messages that Every counts
}

func (f *Fault) check() error {
	switch {
	case f.Face != "" && f.Face != FaceCCS && f.Face != FaceHTTP && f.Face != FaceBoth:
		return errors.New("face must be ccs, http or both")
	case f.Delay == 0 && f.Nack == "" && !f.withholds() && f.Slow == 0 && f.SlowFor == 0 && !f.httpOnly():
		return errors.New("a fault needs something to do: delay_ms, nack, silence, cut, wrong_bytes, slow, error, status, short, reset, goaway or refuse")
	case f.Next < 0:
		return errors.New("next must not be negative")
	case f.Every < 0:
		return errors.New("every must not be negative")
	case !(f.Share >= 0 && f.Share <= 1):
		return errors.New("share must be above 0 and at most 1")
	case !(f.NackShare >= 0 && f.NackShare <= 1):
		return errors.New("nack_share must be above 0 and at most 1")
	case f.NackShare > 0 && f.Nack == "":
		return errors.New("nack_share needs nack, the code")
	case f.Delay < 0 || f.Delay > maxFaultDelay:
		return fmt.Errorf("delay_ms must be between 0 and %d", maxFaultDelay.Milliseconds())
	case f.Nack != "" && !isCode(f.Nack):
		return errors.New("nack must be a code such as SERVICE_UNAVAILABLE: capital letters and underscores, at most 64")
	case f.Nack != "" && f.withholds(), f.Silence && f.Cut, f.Silence && f.WrongBytes, f.Cut && f.WrongBytes:
		return errors.New("nack, silence, cut and wrong_bytes exclude each other: set several faults, each with its own next or share")
	case (f.Silence || f.WrongBytes) && f.Delay > 0:
		return errors.New("silence and wrong_bytes never answer: leave delay_ms out")
	case f.Deliver && !f.withholds() && !f.replaces():
		return errors.New("deliver only goes with silence, cut, wrong_bytes or an error over HTTP: any other message is delivered unless it is nacked")
	case f.Slow != 0 && (f.Slow < minSlow || f.Slow > maxSlow):
		return fmt.Errorf("slow must be between %d and %d bytes a second", minSlow, maxSlow)
	case f.SlowFor < 0 || f.SlowFor > maxFaultDelay:
		return fmt.Errorf("slow_ms must be between 0 and %d", maxFaultDelay.Milliseconds())
	case f.SlowFor > 0 && f.Slow == 0:
		return errors.New("slow_ms needs slow, the bytes a second")
	}
	return f.checkHTTP()
}

func (f *Fault) checkHTTP() error {
	ways := 0
	for _, set := range [...]bool{f.Error != "", f.Status != 0, f.Reset, f.Refuse, f.withholds()} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("error, status, reset, refuse, silence, cut and wrong_bytes exclude each other: set several faults, each with its own next or share")
	case f.Error != "" && namedError(f.Error, errorFacts{}) == nil:
		return errors.New("error must be the number of an error in docs/fcm-http.md, such as E13")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status must be between 200 and 599")
	case len(f.Body) > maxFaultBody || f.Body != "" && f.Status == 0:
		return fmt.Errorf("body goes with status, and has at most %d bytes", maxFaultBody)
	case f.ContentType != "" && f.Status == 0 || !isHeaderValue(f.ContentType):
		return errors.New("content_type goes with status, and has printable characters only")
	case f.RetryAfter != "" && f.Status == 0 && f.Error == "" || !isHeaderValue(f.RetryAfter):
		return errors.New("retry_after goes with error or status, and has printable characters only")
	case f.Short && (f.withholds() || f.Reset || f.Refuse):
		return errors.New("short needs an answer that it can break off")
	case f.Refuse && (f.Token != "" || f.Delay > 0 || f.Face == FaceBoth):
		return errors.New("a stream is refused before it is read: refuse goes without token and delay_ms, and over http only")
	case f.httpOnly() && f.Face == FaceCCS:
		return errors.New("error, status, short, reset, goaway and refuse are of http: choose that face, or leave it out")
	case f.ccsOnly() && f.Face == FaceHTTP:
		return errors.New("nack, wrong_bytes and slow are of ccs: choose that face, or leave it out")
	}
	return nil
}

// maxFaultBody bounds the body that a fault answers with.
const maxFaultBody = 1 << 20

func isHeaderValue(s string) bool {
	if len(s) > 1024 {
		return false
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// httpOnly and ccsOnly report whether the fault does what only one face knows.
func (f *Fault) httpOnly() bool {
	return f.Error != "" || f.Status != 0 || f.Short || f.Reset || f.GoAway || f.Refuse
}

func (f *Fault) ccsOnly() bool { return f.Nack != "" || f.WrongBytes || f.Slow > 0 }

// on reports whether the fault applies to messages that come by a face.
func (f *Fault) on(face Face) bool {
	switch {
	case f.Face != "":
		return f.Face == face || f.Face == FaceBoth
	case face == FaceHTTP:
		return f.httpOnly() || !f.ccsOnly()
	default:
		return f.ccsOnly() || !f.httpOnly()
	}
}

// keepsBack reports whether a message is kept from its device unless Deliver is
// set.
func (f *Fault) keepsBack() bool { return f.withholds() || f.replaces() }

// replaces reports whether another answer over HTTP takes the place of FCM's.
func (f *Fault) replaces() bool { return f.Error != "" || f.Status != 0 || f.Reset }

// withholds reports whether the message gets no answer on its stream.
func (f *Fault) withholds() bool { return f.Silence || f.Cut || f.WrongBytes }

// isCode also takes codes that nobody documented: clients have to bear them.
func isCode(code ccs.Code) bool {
	if len(code) > 64 {
		return false
	}
	for _, c := range []byte(code) {
		if (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	return true
}

// SetFault sets a fault behind those that are set already.
func (s *Sim) SetFault(f Fault) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("fcmsim: fault: %w", err)
	}
	st := &faultState{FaultStatus: FaultStatus{Fault: f}}
	if f.Share > 0 || f.NackShare > 0 {
		st.chance = rand.New(rand.NewPCG(f.Seed, 0))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) >= maxFaults {
		return fmt.Errorf("fcmsim: fault: %d are set already: clear them first", maxFaults)
	}
	s.faults = append(s.faults, st)
	s.refusing = s.refusing || f.Refuse
	return nil
}

// Faults lists what is set, with those that have nothing left to do.
func (s *Sim) Faults() []FaultStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FaultStatus, len(s.faults))
	for i, f := range s.faults {
		list[i] = f.FaultStatus
	}
	return list
}

// ClearFaults removes all faults, and reads every stream at full speed. What
// they hold back stays held back.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.refusing = nil, false
	for _, st := range s.streams {
		st.conn.slow(0, 0)
	}
}

// applyFault finds the first fault that applies to a message to target, or to
// the device that also has the address alias, and returns what to do; the zero
// Fault does nothing. Those that refuse streams are told apart. Called with mu
// held.
func (s *Sim) applyFault(face Face, target, alias ccs.RegistrationToken, refuse bool) Fault {
	for _, f := range s.faults {
		if f.Refuse != refuse || !f.on(face) || f.Token != "" && f.Token != target && f.Token != alias || f.Next > 0 && f.Applied >= f.Next {
			continue
		}
		if f.Share > 0 && f.chance.Float64() >= f.Share {
			continue
		}
		if f.Every > 0 {
			if f.seen++; f.seen%f.Every != 0 {
				continue
			}
		}
		f.Applied++
		do := f.Fault
		if f.NackShare > 0 && f.chance.Float64() >= f.NackShare {
			do.Nack = ""
		}
		return do
	}
	return Fault{}
}
