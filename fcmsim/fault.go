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

// A Fault makes something go wrong. The first three fields choose the messages
// that it applies to, the others say what happens to these. Of several faults
// the one set first applies. A copy of a message that was acked, or is being
// worked on, gets the answer of the first copy, and no fault applies to it.
type Fault struct {
	Token ccs.RegistrationToken // only messages to this token, topic or condition; empty: all
	Next  int                   // it applies to so many messages and then no more; 0: no end
	Share float64               // to this share of the messages, by chance; 0: to all
	Seed  uint64                // of that chance, so that it can be repeated

	// Delay holds the answer back, or the cut. Without any other field the
	// message is delivered at once and answered late.
	Delay time.Duration
	// Nack refuses with this code; the message is not delivered. NackShare
	// does so for a share of the messages that the fault applies to, by
	// chance; 0: all.
	Nack      ccs.Code
	NackShare float64
	// Silence never answers on this stream. When the stream has ended, the
	// message's id is open again.
	Silence bool
	// Cut breaks the connection as the message arrives, as a network does;
	// what comes behind it is not handled either.
	Cut bool
	// WrongBytes writes bytes that are no XML in place of the answer, as a
	// broken proxy does. What becomes of the stream is up to the app server;
	// when it has ended, the message's id is open again.
	WrongBytes bool
	// Deliver hands the message to the device although Silence, Cut or
	// WrongBytes keeps the answer back: the app server cannot know. A later
	// copy is acked, and not delivered again.
	Deliver bool

	// Slow has the stream that brought the message read slowly from then on,
	// so many bytes a second, 10 to 1,000,000; what was read already is
	// handled. SlowFor is how long; 0: 10 s.
	Slow    int
	SlowFor time.Duration
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
}

func (f *Fault) check() error {
	switch {
	case f.Delay == 0 && f.Nack == "" && !f.withholds() && f.Slow == 0 && f.SlowFor == 0:
		return errors.New("a fault needs something to do: delay_ms, nack, silence, cut, wrong_bytes or slow")
	case f.Next < 0:
		return errors.New("next must not be negative")
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
	case f.Deliver && !f.withholds():
		return errors.New("deliver only goes with silence, cut or wrong_bytes: any other message is delivered unless it is nacked")
	case f.Slow != 0 && (f.Slow < minSlow || f.Slow > maxSlow):
		return fmt.Errorf("slow must be between %d and %d bytes a second", minSlow, maxSlow)
	case f.SlowFor < 0 || f.SlowFor > maxFaultDelay:
		return fmt.Errorf("slow_ms must be between 0 and %d", maxFaultDelay.Milliseconds())
	case f.SlowFor > 0 && f.Slow == 0:
		return errors.New("slow_ms needs slow, the bytes a second")
	}
	return nil
}

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
	s.faults = nil
	for _, st := range s.streams {
		st.conn.slow(0, 0)
	}
}

// applyFault finds the first fault that applies to m and returns what to do;
// the zero Fault does nothing. Called with mu held.
func (s *Sim) applyFault(m *ccs.Downstream) Fault {
	for _, f := range s.faults {
		if f.Token != "" && f.Token != m.Target() || f.Next > 0 && f.Applied >= f.Next {
			continue
		}
		if f.Share > 0 && f.chance.Float64() >= f.Share {
			continue
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
