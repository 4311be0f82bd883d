package legacy

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"penstock/internal/downstream"
	"penstock/internal/keys"
	"penstock/internal/translate"
)

// MaxBody bounds a request's body: 1 MiB is enough for 1,000 registration_ids.
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
	// Parse says how the requests of a project are read. It may return nil, and
	// be nil, for the defaults.
	Parse  func(project string) *translate.LegacyOptions
	Events *Events
}

// Events tell what happens. They are called on the goroutines of the front and
// of the lane, so they must be quick. A nil one is left out.
type Events struct {
	// Accepted tells of one message that is about to be handed to its lane.
	Accepted func(project string)
	// Answered tells what became of one recipient: "ok", or the word of legacy
	// HTTP for what went wrong, out of the closed set in [translate]. It is told
	// also of those that were not handed on, and where the caller has gone. took
	// counts from when the request was read.
	Answered func(project, outcome string, took time.Duration)
	// Refused tells of a request that was refused as a whole, nothing of it
	// sent. address is the far end of its connection; project is empty where no
	// key told which.
	Refused func(address, project string, status int)
	// Ignored tells of a request with n keys that nobody knows, or that have no
	// effect, which were passed over.
	Ignored func(project string, n int)
	// Gone tells of a caller that left before its answer was there.
	Gone func(project string)
	// Failed tells of a fault of our own.
	Failed func(project string, err error)
}

// A Handler serves POST /fcm/send and POST /gcm/send. Any other path is not
// there; whoever shows no key of the ring that counts here learns nothing but
// that. Several goroutines may call.
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
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		h.failed(project, panicked(v))
		h.refuse(w, r, project, &fault{status: http.StatusInternalServerError, text: "Internal error; try again later"})
	}()

	if len(r.TransferEncoding) > 0 {
		// The body came in chunks. A proxy that had gone by a Content-Length
		// beside them would take its rest for a request (RFC 9112, 6.1), and
		// net/http does not tell of one.
		w.Header().Set("Connection", "close")
	}
	// Before anything else: who has no key shall not learn what is here.
	key, shown := keys.FromHeader(r.Header)
	p, known := h.ring.Lookup(key, keys.Legacy)
	if !known {
		h.unauthorized(w, r, shown)
		return
	}
	project = p.Name
	body, form, err := h.read(w, r)
	if err != nil {
		h.refuseError(w, r, project, err)
		return
	}
	accepted := time.Now()
	q, word, err := h.parse(project, body, form)
	if err != nil {
		h.refuseError(w, r, project, err)
		return
	}
	if f := h.opt.Events.Ignored; f != nil && q.Ignored > 0 {
		f(project, q.Ignored)
	}
	results, ok := h.send(r.Context(), project, q, word, accepted)
	if !ok {
		if f := h.opt.Events.Gone; f != nil {
			f(project)
		}
		// Returning would answer 200 with nothing in it, and whoever closed only
		// one half of the connection reads on.
		panic(http.ErrAbortHandler)
	}
	answer(w, q, results)
}

// parse reads a body. The word, if there is one, is what each recipient is told,
// so that nothing is sent. The error is a *fault.
func (h *Handler) parse(project string, body []byte, form bool) (q *translate.Legacy, word string, err error) {
	var opt *translate.LegacyOptions
	if h.opt.Parse != nil {
		opt = h.opt.Parse(project)
	}
	if form {
		// Semicolons separate nothing in a form; old senders write them as they are.
		values, broken := url.ParseQuery(strings.ReplaceAll(string(body), ";", "%3B"))
		if broken != nil {
			return nil, "", &fault{http.StatusBadRequest, "Error=" + translate.InvalidParameters}
		}
		q, err = translate.ParseLegacyForm(values, opt)
	} else {
		q, err = translate.ParseLegacyJSON(body, opt)
	}
	refused, ok := errors.AsType[*translate.LegacyError](err)
	switch {
	case !ok:
		return q, "", err
	case refused.Status == http.StatusOK:
		return q, refused.Code, nil
	}
	return nil, "", &fault{refused.Status, refused.Text}
}

// A fault is why a request is refused as a whole: nothing of it was sent. Its
// text is for the caller.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

// read takes the body of a request that is addressed and labelled as it should
// be. The error is a *fault, or one of the connection. form tells that the body
// is none of JSON.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (body []byte, form bool, err error) {
	// As it was sent: a spelling that only resolves to the path is another path.
	path := r.URL.EscapedPath()
	if path != "/fcm/send" && path != "/gcm/send" || r.URL.Scheme != "" && r.URL.Host == "" {
		return nil, false, &fault{status: http.StatusNotFound, text: "There is nothing at this path"}
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, false, &fault{status: http.StatusMethodNotAllowed, text: "This path takes POST only"}
	}
	if enc := r.Header.Values("Content-Encoding"); len(enc) > 1 || len(enc) == 1 && enc[0] != "" && enc[0] != "identity" {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, false, &fault{status: http.StatusUnsupportedMediaType, text: "The body must not be compressed"}
	}
	if form, err = isForm(r.Header.Values("Content-Type")); err != nil {
		return nil, false, err
	}
	if r.ContentLength > MaxBody {
		return nil, false, errTooLarge
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	return body, form, err
}

var errTooLarge = &fault{status: http.StatusRequestEntityTooLarge, text: "The body is too large: at most 1048576 bytes are allowed"}

// isForm tells the two types apart that there are. A missing one means a form.
// Google's server took what it did not know for a form, too; here it is refused,
// since a JSON text that was sent as text/plain would be a form without a
// recipient.
func isForm(types []string) (bool, error) {
	wrong := &fault{
		status: http.StatusUnsupportedMediaType,
		text:   "Content-Type must be application/json or application/x-www-form-urlencoded",
	}
	if len(types) > 1 {
		return false, wrong
	}
	if len(types) == 0 || types[0] == "" {
		return true, nil
	}
	switch kind, _, err := mime.ParseMediaType(types[0]); {
	case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter):
		return false, wrong
	case kind == "application/json":
		return false, nil
	case kind == "application/x-www-form-urlencoded":
		return true, nil
	}
	return false, wrong
}

// refuseError answers a fault, or what kept the body from being read.
func (h *Handler) refuseError(w http.ResponseWriter, r *http.Request, project string, err error) {
	f, isFault := errors.AsType[*fault](err)
	switch {
	case isFault:
	case errors.As(err, new(*http.MaxBytesError)):
		f = errTooLarge // and net/http ends the connection
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = &fault{status: http.StatusRequestTimeout, text: "The body took too long"}
	default: // broken off, or broken: whoever is left learns that
		f = &fault{status: http.StatusBadRequest, text: "The body could not be read"}
	}
	h.refuse(w, r, project, f)
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, project string, f *fault) {
	if h.opt.Events.Refused != nil {
		h.opt.Events.Refused(r.RemoteAddr, project, f.status)
	}
	switch f.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		page(w, f.status, http.StatusText(f.status), f.text)
	default:
		write(w, f.status, "text/plain; charset=UTF-8", []byte(f.text))
	}
}

// unauthorized answers as Google did: one page for a missing key, another for a
// wrong one. Both have the word Unauthorized: there are senders that tell a 401
// from other trouble by that word, and repeat the request without it.
func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request, shown bool) {
	if h.opt.Events.Refused != nil {
		h.opt.Events.Refused(r.RemoteAddr, "", http.StatusUnauthorized)
	}
	challenge, title := `Bearer realm="penstock"`, "Unauthorized"
	text := "The request shows no server key: send the header Authorization: key=SERVER_KEY. Keys in a URL or a body are not looked at."
	if shown {
		challenge += `, error="invalid_token"`
		title = "INVALID_KEY"
		text = "Unauthorized: the server key is unknown, or does not count for this endpoint."
	}
	w.Header().Set("WWW-Authenticate", challenge)
	if r.ProtoMajor == 1 {
		// Strangers keep no places. Over HTTP/2 this would be a GOAWAY in front of
		// the answer, at which some clients read no further.
		w.Header().Set("Connection", "close")
	}
	page(w, http.StatusUnauthorized, title, text)
}

// panicked is the error of a panic, called where it was recovered.
func panicked(v any) error { return fmt.Errorf("front/legacy: panic: %v\n%s", v, debug.Stack()) }

func (h *Handler) failed(project string, err error) {
	if h.opt.Events.Failed != nil {
		h.opt.Events.Failed(project, err)
	}
}

// page writes a small one of HTML. Its texts are our own.
func page(w http.ResponseWriter, status int, title, text string) {
	write(w, status, "text/html; charset=UTF-8", fmt.Appendf(nil,
		"<!DOCTYPE html>\n<html>\n<head><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<p>Error %d: %s</p>\n</body>\n</html>\n",
		title, title, status, text))
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	head := w.Header()
	head.Set("Content-Type", kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked may be gone
}

// seconds is a wait as Retry-After has it: whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
