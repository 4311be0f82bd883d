package observe

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
)

// CCS returns events for the streams of app servers.
func (o *Observer) CCS() *ccsserver.Events {
	m := &o.metrics
	var refused, failed seldom
	return &ccsserver.Events{
		Refused: func(addr net.Addr, why error) {
			if limit, ok := errors.AsType[*ccsserver.LimitError](why); ok {
				m.limits.WithLabelValues("ccs_" + string(limit.Limit)).Inc()
				if leftOut, ok := refused.may(); ok {
					o.log.Warn("a CCS connection was refused by a limit", from(addr), keyReason, limit, leftOut)
				}
				return
			}
			m.stanzaLimit(why)
			m.logins.WithLabelValues("broken_off").Inc()
			o.log.Debug("a CCS connection came to nothing", from(addr), problem(why))
		},
		AuthFailed: func(addr net.Addr, sender ccs.SenderID) {
			m.logins.WithLabelValues("wrong_credentials").Inc()
			if leftOut, ok := failed.may(); ok {
				o.log.Warn("a login was refused: sender id and server key do not fit", from(addr), keySender, stranger(sender), leftOut)
			}
		},
		Bound: func(s ccsserver.Stream) {
			m.logins.WithLabelValues("bound").Inc()
			o.log.Info("an app server logged in", keySender, s.Sender, keySession, s.ID, keyAddress, s.Address)
		},
		Closed: func(s ccsserver.Stream, err error) {
			m.stanzaLimit(err)
			o.log.Info("an app server's stream ended", keySender, s.Sender, keySession, s.ID, "unanswered", s.InFlight, "unacked", s.Unacked, problem(err))
		},
		Draining: func(s ccsserver.Stream) {
			m.drains.Inc()
			o.log.Info("the end of a stream was announced", keySender, s.Sender, keySession, s.ID)
		},
		Failed: func(sender ccs.SenderID, d *ccs.Downstream, err error) {
			m.faults.WithLabelValues("ccsserver").Inc()
			o.log.Error("a fault of Penstock's own cost a message", keySender, sender, keyMessage, d.MessageID, keyToken, d.To, problem(err))
		},
		Odd: func(stream, what string) {
			m.odd.Inc()
			o.log.Debug("an app server wrote something odd", keySession, stream, "what", what)
		},
		Settled: func(stream string, msg ccs.FromServer) {
			o.log.Debug("an app server acked a message from a device", keySession, stream, keyMessage, idOf(msg))
		},
	}
}

// stanzaLimit counts a stream that a limit of stanzas has ended.
func (m *metrics) stanzaLimit(err error) {
	if e, ok := errors.AsType[*ccs.StreamError](err); ok && e.Condition == ccs.ConditionPolicyViolation {
		m.limits.WithLabelValues("ccs_stanza").Inc()
	}
}

// longestID is more digits than a project number has.
const longestID = 20

// stranger is a name that nobody vouched for, as a log may have it. A sender id is
// all digits; anything else may be a key in the wrong place, and is cut short as
// tokens are.
func stranger(name ccs.SenderID) string {
	switch {
	case len(name) <= longestID && strings.Trim(string(name), "0123456789") == "":
		return string(name)
	case strings.HasPrefix(string(name), "/"): // a topic would stay whole
		return "…(" + strconv.Itoa(len(name)) + ")"
	}
	return ccs.RegistrationToken(name).Redacted()
}

func idOf(m ccs.FromServer) ccs.MessageID {
	switch m := m.(type) {
	case *ccs.Upstream:
		return m.MessageID
	case *ccs.Receipt:
		return m.MessageID
	}
	return ""
}

func kindOf(m ccs.FromServer) string {
	if _, ok := m.(*ccs.Receipt); ok {
		return "receipt"
	}
	return "upstream"
}

// Far returns events for the pool of a project whose far end speaks CCS.
func (o *Observer) Far(project, endpoint string) *ccsclient.Events {
	m := &o.metrics
	log := o.log.With(keyProject, project, keyEndpoint, endpoint)
	return &ccsclient.Events{
		Authenticated: func(s ccsclient.Stream) {
			m.farDials.WithLabelValues(project, "ok").Inc()
			log.Info("a stream to the far end is open", keySession, s.ID)
		},
		Draining: func(s ccsclient.Stream) {
			log.Info("the far end announced the end of a stream", keySession, s.ID)
		},
		Closed: func(s ccsclient.Stream, err error) {
			log.Info("a stream to the far end ended", keySession, s.ID, "unanswered", s.InFlight, problem(err))
		},
		ReconnectFailed: func(err error) {
			m.farDials.WithLabelValues(project, "failed").Inc()
			log.Warn("no stream to the far end", problem(err))
		},
		ReconnectingIn: func(d time.Duration) { log.Debug("the far end is tried again", "in", d) },
		Handled: func(msg ccs.FromServer, err error) {
			outcome := "acked"
			if err != nil {
				outcome = "failed"
				log.Error("a message from a device was given up", keyMessage, idOf(msg), problem(err))
			}
			m.upstream.WithLabelValues(project, kindOf(msg), outcome).Inc()
		},
		Unhandled: func(msg ccs.FromServer) {
			m.upstream.WithLabelValues(project, kindOf(msg), "left").Inc()
			log.Debug("nobody here takes a message from a device", keyMessage, idOf(msg))
		},
		Odd: func(s ccsclient.Stream, what string) {
			log.Debug("the far end wrote something odd", keySession, s.ID, "what", what)
		},
	}
}
