package v1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/keys"
	"penstock/internal/translate"
)

// MaxBody bounds a request's body, as it was sent and inflated: 1 MiB.
const MaxBody = 1 << 20

// A Lane is the way of one project's messages; see [downstream.Lane].
type Lane interface {
	// Submit takes charge of m and calls answer once, on any goroutine, maybe
	// before it returns. It does not block. The error is a *fcm.SendError or a
	// *ccs.NackError.
	Submit(m *downstream.Message, answer func(downstream.Answer, error))
}

var _ Lane = (*downstream.Lane)(nil)

// Options are what may be left out. A nil pointer is the zero value.
type Options struct {
	// Strict refuses fields and names of enumerations that the schema does not
	// know, as FCM does. Otherwise they are passed on, so that a program may use
	// tomorrow's fields today.
	Strict bool
	Events *Events
}

// Events tell what happens. They are called on the goroutines of the front and
// of the lane, so they must be quick. A nil one is left out.
type Events struct {
	// Accepted tells of one message that is about to be handed to its lane.
	Accepted func(project string)
	// Answered tells what became of one message: "ok", or the word of a
	// [fcm.Class] or the code of a nack, which a far end may have invented. It is
	// told also where the caller has gone. took counts from when the request was
	// read.
	Answered func(project, outcome string, took time.Duration)
	// Refused tells of a request that was refused at the door. address is the far
	// end of its connection; project is empty where no key told which.
	Refused func(address, project string, status int)
	// Gone tells of a caller that left before its answer was there.
	Gone func(project string)
	// Failed tells of a fault of our own.
	Failed func(project string, err error)
}

// A Handler serves POST /v1/projects/{project}/messages:send, where {project}
// is the name, the id or the number of the project that the caller's key speaks
// for. Any other path is not there; whoever shows no key of the ring that
// counts here learns nothing but that. Several goroutines may call.
type Handler struct {
	ring  *keys.Ring
	lanes func(project string) Lane
	opt   Options
}

// New makes a handler that asks ring whose key a request shows. lanes returns
// the lane of a project by its name, or nil if it has none now.
func New(ring *keys.Ring, lanes func(project string) Lane, opt *Options) *Handler {
	h := &Handler{ring: ring, lanes: lanes}
	if opt != nil {
		h.opt = *opt
	}
	if h.opt.Events == nil {
		h.opt.Events = new(Events)
	}
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	project := ""
	a := answerer{w: w}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		h.failed(project, panicked(v))
		h.refuse(a, r, project, replyOf(http.StatusInternalServerError, "INTERNAL", "Internal error encountered."))
	}()

	if len(r.TransferEncoding) > 0 {
		// The body came in chunks. A proxy that had gone by a Content-Length
		// beside them would take its rest for a request (RFC 9112, 6.1), and
		// net/http does not tell of one.
		w.Header().Set("Connection", "close")
	}
	// Before anything else: who has no key shall not learn what is here.
	p, refused := h.authenticate(r)
	if refused != nil {
		challenge := `Bearer realm="penstock"`
		if len(r.Header.Values("Authorization")) > 0 {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		if r.ProtoMajor == 1 {
			// Strangers keep no places. Over HTTP/2 this would be a GOAWAY in front of
			// the answer, at which some clients read no further.
			w.Header().Set("Connection", "close")
		}
		h.refuse(a, r, project, refused)
		return
	}
	project = p.Name
	segment, ok := projectOf(r.URL)
	switch {
	case !ok:
		h.page(w, r, project, http.StatusNotFound, "There is nothing at this path")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		h.page(w, r, project, http.StatusMethodNotAllowed, "This path takes POST only")
		return
	case !p.Answers(segment):
		h.refuse(a, r, project, foreign(segment))
		return
	}
	query, refused := readQuery(r.URL.RawQuery)
	a.compact = query.compact
	var body []byte
	if refused == nil {
		body, refused = readBody(w, r)
	}
	if refused != nil {
		h.refuse(a, r, project, refused)
		return
	}
	accepted := time.Now()
	req, refused := h.parse(body)
	if refused != nil {
		h.refuse(a, r, project, refused)
		return
	}
	o, ok := h.send(r.Context(), project, &downstream.Message{V1: req, Accepted: accepted})
	switch {
	case !ok:
		if f := h.opt.Events.Gone; f != nil {
			f(project)
		}
		// Returning would answer 200 with nothing in it, and whoever closed only
		// one half of the connection reads on.
		panic(http.ErrAbortHandler)
	case o.err != nil:
		if o.wait > 0 {
			w.Header().Set("Retry-After", seconds(o.wait))
		}
		a.err(o.err)
	default:
		a.name(segment, o.answer.Name)
	}
}

// authenticate finds the project that the request's key speaks for.
func (h *Handler) authenticate(r *http.Request) (*keys.Project, *fcm.Error) {
	if name, found := secretInURL(r.URL.RawQuery); found {
		return nil, replyOf(http.StatusUnauthorized, "UNAUTHENTICATED",
			"The query parameter "+name+" is not read, since URLs end up in logs: send the key in the header Authorization: Bearer KEY, and give this one up if it was right.")
	}
	key, shown := keys.FromHeader(r.Header)
	p, known := h.ring.Lookup(key, keys.V1)
	switch {
	case known:
		return p, nil
	case shown:
		return nil, replyOf(http.StatusUnauthorized, "UNAUTHENTICATED",
			"Request had invalid authentication credentials. Expected a server key of this service in the header Authorization: Bearer KEY.")
	}
	missing := replyOf(http.StatusUnauthorized, "UNAUTHENTICATED",
		"Request is missing required authentication credential. Expected a server key of this service in the header Authorization: Bearer KEY.")
	missing.Info = &fcm.ErrorInfo{Reason: "CREDENTIALS_MISSING", Domain: "googleapis.com", Metadata: map[string]string{
		"method": "google.firebase.fcm.v1.FcmService.SendMessage", "service": "fcm.googleapis.com",
	}}
	return nil, missing
}

// foreign is the answer about a project that the key does not speak for, or
// that is none: which of the two does not show. The segment was looked at
// before and holds nothing strange.
func foreign(segment string) *fcm.Error {
	const permission = "cloudmessaging.messages.create"
	e := replyOf(http.StatusForbidden, "PERMISSION_DENIED",
		"Permission '"+permission+"' denied on resource '//cloudresourcemanager.googleapis.com/projects/"+segment+"' (or it may not exist).")
	e.Info = &fcm.ErrorInfo{Reason: "IAM_PERMISSION_DENIED", Domain: "cloudresourcemanager.googleapis.com", Metadata: map[string]string{
		"resource": "projects/" + segment, "permission": permission,
	}}
	return e
}

// parse reads and checks a message, so that what is sure to be refused is not
// sent.
func (h *Handler) parse(body []byte) (*fcm.SendRequest, *fcm.Error) {
	read := fcm.ParseSendRequest
	if h.opt.Strict {
		read = fcm.ParseStrict
	}
	req, err := read(body)
	if err != nil {
		return nil, replyTo(err)
	}
	if err := req.Validate(); err != nil {
		return nil, replyTo(err)
	}
	return req, nil
}

// replyTo is what FCM would answer to a request with such a fault.
func replyTo(err error) *fcm.Error {
	if e, ok := errors.AsType[interface {
		error
		Reply() *fcm.Error
	}](err); ok {
		return e.Reply()
	}
	return replyOf(http.StatusBadRequest, "INVALID_ARGUMENT", "Request contains an invalid argument.")
}

// errNoLane is the outcome of a message whose project was taken away, or is
// about to come.
var errNoLane = &fcm.SendError{Class: fcm.Unavailable, Err: errors.New("the project has no lane now")}

// An outcome is what became of a message.
type outcome struct {
	answer downstream.Answer
	err    *fcm.Error    // nil: it was accepted
	wait   time.Duration // before the caller tries again; 0: nothing is said of it
}

// judge says what the lane's answer means.
func judge(a downstream.Answer, err error) outcome {
	return outcome{answer: a, err: translate.Envelope(err), wait: translate.RetryAfter(err)}
}

// word is a lane's error as metrics have it.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*fcm.SendError](err); ok {
		return e.Class.String()
	}
	if e, ok := errors.AsType[*ccs.NackError](err); ok {
		return string(e.Code)
	}
	return fcm.Internal.String()
}

// send hands m to the lane and waits for its answer. It is not ok if the caller
// leaves first; what was begun goes on.
func (h *Handler) send(ctx context.Context, project string, m *downstream.Message) (_ outcome, ok bool) {
	var o outcome
	done := make(chan struct{})
	settle := func(a downstream.Answer, err error) {
		// The lane's goroutine is no place to panic on.
		defer func() {
			if v := recover(); v != nil {
				o = judge(a, panicked(v))
				h.failed(project, panicked(v))
			}
			close(done)
		}()
		o = judge(a, err)
		if f := h.opt.Events.Answered; f != nil {
			f(project, word(err), time.Since(m.Accepted))
		}
	}
	if lane := h.lanes(project); lane != nil {
		if f := h.opt.Events.Accepted; f != nil {
			f(project)
		}
		lane.Submit(m, settle)
	} else {
		settle(downstream.Answer{}, errNoLane)
	}
	select {
	case <-done:
		return o, true
	case <-ctx.Done():
		return outcome{}, false
	}
}

// panicked is the error of a panic, called where it was recovered.
func panicked(v any) error { return fmt.Errorf("front/v1: panic: %v\n%s", v, debug.Stack()) }

func (h *Handler) failed(project string, err error) {
	if f := h.opt.Events.Failed; f != nil {
		f(project, err)
	}
}

func (h *Handler) refuse(a answerer, r *http.Request, project string, e *fcm.Error) {
	if f := h.opt.Events.Refused; f != nil {
		f(r.RemoteAddr, project, e.HTTPStatus)
	}
	a.err(e)
}

// page answers what has no form in FCM's envelope that could not be mistaken: an
// SDK takes the status NOT_FOUND for a dead token. So it is HTML, as Google's.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, project string, status int, text string) {
	if f := h.opt.Events.Refused; f != nil {
		f(r.RemoteAddr, project, status)
	}
	title := http.StatusText(status)
	write(w, status, "text/html; charset=UTF-8", fmt.Appendf(nil,
		"<!DOCTYPE html>\n<html>\n<head><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<p>Error %d: %s</p>\n</body>\n</html>\n",
		title, title, status, text))
}
