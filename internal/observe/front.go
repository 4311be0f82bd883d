package observe

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// A Front has the functions that a front's events need. The fronts' own types
// are not known here: each takes of the functions what it has a use for.
type Front struct {
	o         *Observer
	name      string
	strangers seldom // lines about requests without a key
}

// Front returns what the front of that name is to call.
func (o *Observer) Front(name string) *Front { return &Front{o: o, name: name} }

// Accepted tells of one message that is handed on.
func (f *Front) Accepted(project string) {
	f.o.metrics.accepted.WithLabelValues(project, f.name).Inc()
}

// Answered tells what became of one message: "ok", or the word of its answer.
func (f *Front) Answered(project, outcome string, took time.Duration) {
	f.o.metrics.answered.WithLabelValues(project, f.name, f.outcome(outcome)).Inc()
	f.o.metrics.answer.WithLabelValues(project, f.name).Observe(took.Seconds())
}

// outcome keeps what a far end may have invented out of the labels.
func (f *Front) outcome(word string) string {
	if f.name == "legacy" || outcomes[word] {
		return word // legacy's words are a closed set by themselves
	}
	return "other"
}

// outcomes are the codes of nacks and the classes of failure.
var outcomes = func() map[string]bool {
	m := map[string]bool{"ok": true}
	for _, code := range []ccs.Code{
		ccs.CodeInvalidJSON, ccs.CodeBadRegistration, ccs.CodeDeviceUnregistered, ccs.CodeSenderIDMismatch,
		ccs.CodeBadAck, ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeDeviceMessageRateExceeded,
		ccs.CodeTopicsMessageRateExceeded, ccs.CodeConnectionDraining, ccs.CodeInvalidAPNSCredential,
		ccs.CodeAuthenticationFailed, ccs.CodeQuotaExceeded,
	} {
		m[string(code)] = true
	}
	for class := fcm.Unregistered; class <= fcm.Expired; class++ {
		m[class.String()] = true
	}
	return m
}()

// Refused tells of an HTTP request from that address that was refused as a whole.
// Where no key told the project, it is empty.
func (f *Front) Refused(address, project string, status int) {
	f.o.metrics.refused.WithLabelValues(f.name, strconv.Itoa(status)).Inc()
	switch status {
	case http.StatusRequestEntityTooLarge:
		f.o.metrics.limits.WithLabelValues("http_body_bytes").Inc()
	case http.StatusUnauthorized:
		if leftOut, ok := f.strangers.may(); ok {
			f.o.log.Info("a request showed no key that counts here", keyFront, f.name, keyAddress, address, leftOut)
		}
		return
	}
	f.o.log.Debug("a request was refused", keyFront, f.name, keyAddress, address, keyProject, project, "status", status)
}

// NoHTTP tells of a connection to the HTTP fronts on which none came about.
func (o *Observer) NoHTTP(remote net.Addr, why error) {
	o.log.Debug("an HTTP connection came to nothing", from(remote), problem(why))
}

// Gone tells of an HTTP sender that left before its answer.
func (f *Front) Gone(project string) {
	f.o.metrics.gone.WithLabelValues(project, f.name).Inc()
}

// Failed tells of a fault of our own.
func (f *Front) Failed(project string, err error) {
	f.o.metrics.faults.WithLabelValues("front_" + f.name).Inc()
	f.o.log.Error("a fault of Penstock's own cost a message", keyFront, f.name, keyProject, project, problem(err))
}

// Ignored tells of fields of a legacy message that were passed over.
func (o *Observer) Ignored(project string, n int) {
	o.metrics.ignored.WithLabelValues(project).Add(float64(n))
}

// LimitHit tells of a listener that takes no more connections for a while, since
// there are as many as may be; limit is the setting's name, or descriptors.
func (o *Observer) LimitHit(limit string) {
	o.metrics.limits.WithLabelValues(limit).Inc()
	if leftOut, ok := o.crowded.may(); ok {
		o.log.Warn("there are as many connections as may be: new ones wait", keyReason, limit, leftOut)
	}
}

// Deaf tells of a listener that cannot take a connection, though one is there: the
// process has no descriptors left, say.
func (o *Observer) Deaf(listener net.Addr, why error) {
	if leftOut, ok := o.deaf.may(); ok {
		o.log.Error("connections cannot be taken", "listener", listener.String(), problem(why), leftOut)
	}
}
