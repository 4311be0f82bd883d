package ccsclient

import (
	"fmt"
	"strings"
	"time"

	"penstock/ccs"
)

// A Direction is out, towards the server, or in.
type Direction string

// The directions of a [Trace].
const (
	Out Direction = "out"
	In  Direction = "in"
)

// A Trace is one message as it went over a stream, decoded. Tokens are
// shortened, of payloads only the sizes are told, keys never appear.
type Trace struct {
	Time      time.Time
	Slot      int
	Direction Direction
	Text      string
}

func (s *Session) trace(d Direction, m any) {
	s.opt.Trace(Trace{Time: time.Now(), Slot: s.slot, Direction: d, Text: describe(m)})
}

func describe(m any) string {
	switch m := m.(type) {
	case *ccs.Downstream:
		var b strings.Builder
		fmt.Fprintf(&b, "downstream %s to %s", m.MessageID, m.Target().Redacted())
		if m.TTL != nil {
			fmt.Fprintf(&b, " ttl %v", *m.TTL)
		}
		if m.CollapseKey != "" {
			b.WriteString(" collapsible")
		}
		if m.DeliveryReceiptRequested {
			b.WriteString(" receipt requested")
		}
		if m.DryRun {
			b.WriteString(" dry run")
		}
		fmt.Fprintf(&b, ", %d data keys, %d notification keys", len(m.Data), len(m.Notification))
		return b.String()
	case *ccs.Ack:
		if m.To != "" {
			return fmt.Sprintf("ack %s to %s", m.MessageID, m.To.Redacted())
		}
		s := fmt.Sprintf("ack %s from %s", m.MessageID, m.From.Redacted())
		if m.RegistrationID != "" {
			s += ", canonical token " + m.RegistrationID.Redacted()
		}
		return s
	case *ccs.Nack:
		return fmt.Sprintf("nack %s from %s: %s", m.MessageID, m.From.Redacted(), m.Code)
	case *ccs.Upstream:
		return fmt.Sprintf("upstream %s from %s, %d data keys", m.MessageID, m.From.Redacted(), len(m.Data))
	case *ccs.Receipt:
		return fmt.Sprintf("receipt %s for %s: %s", m.MessageID, m.Device.Redacted(), m.Status)
	case *ccs.Control:
		return fmt.Sprintf("control %s", m.Type)
	case *ccs.Unknown:
		return fmt.Sprintf("unknown message type %q", m.MessageType)
	}
	return "?"
}
