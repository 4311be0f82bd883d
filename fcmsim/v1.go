package fcmsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"penstock/ccs"
)

// maxSendBody bounds the body of a request to send.
const maxSendBody = 1 << 20

// A sender is what one request needs while it is handled; the pool keeps its
// buffers.
type sender struct {
	v1Send
	body bytes.Buffer
}

var senders = sync.Pool{New: func() any { return new(sender) }}

// serveSend is messages:send of HTTP v1.
func (s *Sim) serveSend(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		servePathless(w, r)
		return
	}
	compact, err := readQuery(r.URL.RawQuery)
	if err == nil {
		err = s.authenticate(r)
	}
	if err != nil {
		s.answerSend(w, r, &answer{entry: s.receive(""), err: err}, compact)
		return
	}
	v := senders.Get().(*sender)
	defer v.done()
	v.project = r.PathValue("project")
	a := s.send(v, r)
	s.answerSend(w, r, &a, compact)
}

// done gives the buffers back. Those of a giant are left to the collector.
func (v *sender) done() {
	if v.body.Cap() > 64<<10 || cap(v.nodes) > 1024 {
		return
	}
	v.v1Send = v1Send{protoParser: protoParser{nodes: v.nodes[:0], path: v.path[:0]}}
	senders.Put(v)
}

// queryParameters are those that each method of Google's APIs takes.
var queryParameters = map[string]bool{
	"$.xgafv": true, "access_token": true, "alt": true, "callback": true, "fields": true, "key": true,
	"oauth_token": true, "prettyPrint": true, "quotaUser": true, "uploadType": true, "upload_protocol": true,
}

// readQuery reports whether the answer is to be compact. Of a parameter that
// comes twice the last one counts.
func readQuery(query string) (compact bool, err *apiError) {
	if query == "" {
		return false, nil
	}
	values, parseErr := url.ParseQuery(query)
	if parseErr != nil {
		return false, &apiError{http: 400, status: invalid, message: badArgument}
	}
	var unknown []violation
	for name, list := range values {
		switch {
		case !queryParameters[name]:
			unknown = append(unknown, violation{"", "Invalid JSON payload received. Unknown name " + quoted(name) +
				": Cannot bind query parameter. Field '" + name + "' could not be found in request message."})
		case name == "prettyPrint":
			compact = list[len(list)-1] == "false"
		}
	}
	if unknown != nil {
		return compact, errJSON(unknown)
	}
	return compact, nil
}

// readBody reads the body whole.
func (v *sender) readBody(r *http.Request) *apiError {
	v.body.Reset()
	n, err := v.body.ReadFrom(io.LimitReader(r.Body, maxSendBody+1))
	switch {
	case n > maxSendBody:
		return &apiError{http: 400, status: invalid,
			message: "Request payload size exceeds the limit: " + strconv.Itoa(maxSendBody) + " bytes."}
	case err != nil:
		return errCancelled() // whoever sent it has gone
	}
	return nil
}

// An answer is what becomes of a request to send, once that is known.
type answer struct {
	entry *entry
	err   *apiError // nil: accepted
	name  string
	do    Fault
	out   []delivered // to be told when the answer is written
}

// receive records a request that begins.
func (s *Sim) receive(request string) *entry {
	e := &entry{request: request, Reception: Reception{Time: s.opt.Now(), Face: faceV1}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.add(e)
	return e
}

// send reads a request, decides, and delivers.
func (s *Sim) send(v *sender, r *http.Request) (a answer) {
	now := s.opt.Now()
	if a.err = s.takeQuota(now); a.err != nil {
		a.entry = s.receive("")
		return a
	}
	if a.err = v.readBody(r); a.err != nil {
		a.entry = s.receive("")
		return a
	}
	body := v.body.String()
	a.err = v.read(body, s.opt.MaxPayload)

	e := &entry{Reception: Reception{Time: now, Face: faceV1, ValidateOnly: v.validateOnly}}
	if !v.broken && strings.TrimSpace(body) != "" {
		e.request = body
	}
	if e.To = v.to(); v.kind == toCondition {
		e.To, e.Condition = "", v.target
	}
	a.entry = e
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.add(e)
	if a.err != nil {
		return a
	}
	d := s.address(v)
	a.do = s.applyFault(FaceHTTP, v.to(), d.other(v.to()), false)
	if !a.do.keepsBack() || a.do.Deliver {
		a.out, a.err = s.verdictV1(v, d, e, now)
	}
	if a.do.Error != "" {
		a.err = namedError(a.do.Error, errorFacts{
			project: v.project, number: string(s.state.SenderID), quota: s.opt.ProjectQuota,
			limit: s.opt.MaxPayload, path: r.URL.Path,
		})
		if a.do.RetryAfter != "" {
			a.err.setHeader("Retry-After", a.do.RetryAfter)
		}
	}
	if a.status() == http.StatusTooManyRequests {
		s.quota.giveBack()
	}
	a.name = "projects/" + v.project + "/messages/" + string(v.id)
	return a
}

// status is the status of HTTP that an answer has.
func (a *answer) status() int {
	switch {
	case a.do.Status != 0:
		return a.do.Status
	case a.err != nil:
		return a.err.http
	}
	return http.StatusOK
}

// answerSend writes the answer, or does what a fault wants in its place.
func (s *Sim) answerSend(w http.ResponseWriter, r *http.Request, a *answer, compact bool) {
	defer s.announce(a.out)
	delay := s.opt.AnswerDelay
	if a.do.Delay > 0 {
		delay = a.do.Delay
	}
	s.pause(r, delay)
	switch {
	case a.do.Cut:
		resetConn(r.Context())
		panic(http.ErrAbortHandler)
	case a.do.Silence:
		select {
		case <-r.Context().Done():
		case <-s.web.closing:
		}
		panic(http.ErrAbortHandler)
	case a.do.Reset:
		panic(http.ErrAbortHandler)
	}
	if a.do.GoAway {
		goAway(w, r)
	}

	status := a.status()
	var text []byte
	h := w.Header()
	h["Content-Type"] = jsonType
	switch {
	case a.do.Status != 0:
		text = []byte(a.do.Body)
		if a.do.ContentType != "" {
			h["Content-Type"] = []string{a.do.ContentType}
		}
		if a.do.RetryAfter != "" {
			h["Retry-After"] = []string{a.do.RetryAfter}
		}
	case a.err != nil:
		text = a.err.text(compact)
		a.err.headers(h)
	default:
		text = nameText(a.name, compact)
	}
	s.answeredV1(a, status)
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	if a.do.Short {
		_, _ = w.Write(text[:len(text)/2]) // the rest never comes
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(text) // who asked may be gone
}

// answeredV1 puts an answer into the record.
func (s *Sim) answeredV1(a *answer, status int) {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := a.entry
	e.AnsweredAt, e.Status = now, status
	switch {
	case a.do.Status >= 300, a.do.Status == 0 && a.err != nil:
		e.Answer = "nack"
		if a.do.Status == 0 {
			e.Error, e.ErrorDescription = a.err.code(), a.err.message
		}
	default:
		e.Answer = "ack"
		e.MessageID = ccs.MessageID(a.name[strings.LastIndexByte(a.name, '/')+1:])
	}
}

// nameText is the body of success.
func nameText(name string, compact bool) []byte {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err) // a string can always be written
	}
	if compact {
		return append(append([]byte(`{"name":`), quoted...), "}\n"...)
	}
	return append(append([]byte("{\n  \"name\": "), quoted...), "\n}\n"...)
}
