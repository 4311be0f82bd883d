package fcmsim

import (
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// downstream gives the verdict on the first copy of a message. It is called on
// the goroutine that reads the stream; nothing here waits.
func (s *Sim) downstream(r *ccsserver.Request) {
	m := r.Message
	now := s.opt.Now()
	s.mu.Lock()
	st := s.streams[r.Stream]
	if st == nil {
		// The server tells of a stream before it reads it.
		s.mu.Unlock()
		r.Answer(nil, &ccs.NackError{Code: ccs.CodeInternalServerError})
		return
	}
	e := st.pending[m]
	if e == nil {
		e = &entry{}
	}
	if st.cut {
		// What the reader still had in its buffer when the stream was cut: a
		// machine that has died reads no more.
		st.hold(r, errWithheld)
		s.mu.Unlock()
		return
	}
	do := s.applyFault(FaceCCS, m.Target(), "", false)
	if do.Slow > 0 {
		st.conn.slow(do.Slow, do.SlowFor)
	}

	var out []delivered
	var err error
	switch {
	case do.Nack != "":
		err = &ccs.NackError{Code: do.Nack}
	case do.withholds() && !do.Deliver:
		err = errWithheld
	default:
		out, err = s.verdict(m, e, now)
	}
	delay := s.opt.AnswerDelay
	if do.Delay > 0 {
		delay = do.Delay
	}
	if do.withholds() {
		st.hold(r, err)
		if do.Cut && delay == 0 {
			st.end(now)
		}
		s.mu.Unlock()
		s.announce(out)
		switch {
		case do.WrongBytes:
			st.conn.garble()
		case do.Cut && delay == 0:
			s.srv.Cut([]string{r.Stream})
		case do.Cut:
			s.delays.add(delay, func() { s.Cut([]string{r.Stream}) })
		}
		return
	}
	s.mu.Unlock()
	if delay > 0 {
		s.delays.add(delay, func() { s.answer(r, err, out) })
		return
	}
	s.answer(r, err, out)
}

// answer writes the answer first: the receipt of a message, or a device's
// reply to it, would else reach the app server before the ack.
func (s *Sim) answer(r *ccsserver.Request, err error, out []delivered) {
	r.Answer(nil, err)
	s.announce(out)
}

// errWithheld is the verdict on a message that a fault has kept from its
// device: the id is open again once its stream has ended.
var errWithheld = &ccs.NackError{Code: ccs.CodeServiceUnavailable}

// verdict decides what becomes of a message and does it: delivers, stores, or
// says by a *ccs.NackError why not. Called with mu held.
func (s *Sim) verdict(m *ccs.Downstream, e *entry, now time.Time) ([]delivered, error) {
	if m.Condition != "" {
		c, err := parseCondition(m.Condition)
		if err != nil {
			return nil, &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "Invalid condition: " + err.Error()}
		}
		return s.publish(m, e, now, func(d *device) bool { return c(d.follows) }), nil
	}
	if name, ok := strings.CutPrefix(string(m.To), topicPrefix); ok {
		if !isTopicName(name) {
			return nil, &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "Invalid topic name on 'to' field: letters, digits and -_.~% only"}
		}
		return s.publish(m, e, now, func(d *device) bool { _, on := d.topics[name]; return on }), nil
	}

	d, p := s.devices[m.To], parcelOf(m)
	switch {
	case d == nil:
		return nil, &ccs.NackError{Code: ccs.CodeBadRegistration, Description: "Invalid token on 'to' field: " + m.To.Redacted()}
	case d.sender != s.state.SenderID:
		return nil, &ccs.NackError{Code: ccs.CodeSenderIDMismatch}
	case !d.live:
		return nil, &ccs.NackError{Code: ccs.CodeDeviceUnregistered}
	case !d.admits(p):
		return nil, &ccs.NackError{Code: ccs.CodeInvalidJSON, Description: "restricted_package_name is not that of the app with this token"}
	case s.opt.Quotas == QuotasGoogle && !d.admit(p, now):
		return nil, &ccs.NackError{Code: ccs.CodeDeviceMessageRateExceeded}
	case m.DryRun:
		return nil, nil
	}
	return d.take(p, e, now, nil), nil
}

// publish hands m to every live device of the sender that on chooses. Nobody
// being subscribed is no error.
func (s *Sim) publish(m *ccs.Downstream, e *entry, now time.Time, on func(*device) bool) []delivered {
	if m.DryRun {
		return nil
	}
	var out []delivered
	p := parcelOf(m)
	for _, d := range s.order {
		if d.live && d.sender == s.state.SenderID && d.admits(p) && on(d) {
			out = d.take(p, e, now, out)
		}
	}
	return out
}

// admits reports whether m is meant for the app on the device.
func (d *device) admits(m *parcel) bool { return m.pkg == "" || m.pkg == string(d.category) }
