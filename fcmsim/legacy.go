package fcmsim

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"penstock/ccs"
)

// Bounds of the legacy HTTP protocol.
const (
	maxLegacyBody    = 1 << 20
	maxLegacyPayload = 4096 // bytes of keys and values of data and notification
	maxTopicPayload  = 2048 // the same for a topic
)

// serveLegacy is /fcm/send: what it was while the legacy protocol lived, or
// what became of it (docs/fcm-http.md, Legacy HTTP).
func (s *Sim) serveLegacy(w http.ResponseWriter, r *http.Request) {
	if s.opt.Legacy != Legacy2019 {
		writeSmallPage(w, http.StatusNotFound, "Not Found")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeSmallPage(w, http.StatusMethodNotAllowed, "HTTP method "+r.Method+" is not supported by this URL")
		return
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "key=")
	switch {
	case !ok:
		writeSmallPage(w, http.StatusUnauthorized, "Unauthorized")
		return
	case key != s.state.ServerKey:
		writeSmallPage(w, http.StatusUnauthorized, "INVALID_KEY")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLegacyBody))
	if err != nil {
		writeSmallPage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		req, code := parseLegacyForm(body)
		switch code {
		case "":
			s.sendLegacy(w, r, req)
		case "InvalidParameters":
			writeLegacyText(w, http.StatusBadRequest, "Error="+code)
		default:
			writeLegacyText(w, http.StatusOK, "Error="+code)
		}
		return
	}
	req, err := parseLegacyJSON(body)
	if err != nil {
		writeLegacyText(w, http.StatusBadRequest, err.Error())
		return
	}
	s.sendLegacy(w, r, req)
}

// serveGCM is the endpoint that was older still, and ended in 2019.
func (s *Sim) serveGCM(w http.ResponseWriter, r *http.Request) {
	if s.opt.Legacy != Legacy2019 {
		servePathless(w, r)
		return
	}
	writeLegacyText(w, http.StatusBadRequest, "Error=DeprecatedEndpoint")
}

// isJSON reports whether a content type is JSON's. A form is assumed where
// there is none.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// A legacyResult is the answer to one message. It has an id or an error.
type legacyResult struct {
	MessageID string `json:"message_id,omitempty"`
	Error     string `json:"error,omitempty"`
}

// sendLegacy delivers a request's messages and answers it.
func (s *Sim) sendLegacy(w http.ResponseWriter, r *http.Request, req *legacyRequest) {
	if req.message.Condition != "" || strings.HasPrefix(string(req.to), topicPrefix) {
		s.sendLegacyTopic(w, r, req)
		return
	}
	to := req.many
	var group *legacyGroup
	if to == nil {
		to = []ccs.RegistrationToken{req.to}
		group = s.legacyGroup(req.to)
	}
	results, wait := s.legacyTokens(r, req, to, group)
	s.pause(r, wait)
	if req.plain {
		if code := results[0].Error; code != "" {
			writeLegacyText(w, http.StatusOK, "Error="+code)
			return
		}
		writeLegacyText(w, http.StatusOK, "id="+results[0].MessageID)
		return
	}
	if group != nil && results[0].Error == "" {
		writeIID(w, http.StatusOK, group)
		return
	}
	var answer struct {
		MulticastID uint64         `json:"multicast_id"`
		Success     int            `json:"success"`
		Failure     int            `json:"failure"`
		Canonical   int            `json:"canonical_ids"`
		Results     []legacyResult `json:"results"`
	}
	answer.MulticastID, answer.Results = randomID(), results
	for _, res := range results {
		if res.Error == "" {
			answer.Success++
		} else {
			answer.Failure++
		}
	}
	writeIID(w, http.StatusOK, answer)
}

// legacyTokens gives a message to each token, or to the one group, and says how
// long the answer is to wait.
func (s *Sim) legacyTokens(r *http.Request, req *legacyRequest, to []ccs.RegistrationToken, group *legacyGroup) (results []legacyResult, wait time.Duration) {
	results = make([]legacyResult, len(to))
	for i, token := range to {
		if req.many != nil && strings.HasPrefix(string(token), topicPrefix) {
			results[i].Error = legacyCodes[ccs.CodeBadRegistration]
			continue
		}
		m := req.message
		m.To = token
		code, delay := s.legacyMessage(r, &m, group)
		wait = max(wait, delay)
		switch {
		case code != "":
			results[i].Error = code
		case m.DryRun:
			results[i].MessageID = "fake_message_id"
		default:
			results[i].MessageID = string(m.MessageID)
		}
	}
	return results, wait
}

// sendLegacyTopic answers with one number.
func (s *Sim) sendLegacyTopic(w http.ResponseWriter, r *http.Request, req *legacyRequest) {
	m := req.message
	m.To = req.to
	code, wait := s.legacyMessage(r, &m, nil)
	s.pause(r, wait)
	switch {
	case legacyStatus(&m, code) != http.StatusOK && req.plain:
		writeLegacyText(w, legacyStatus(&m, code), "Error="+code)
	case legacyStatus(&m, code) != http.StatusOK:
		writeLegacyText(w, legacyStatus(&m, code), code+": the topic or the condition is not legal")
	case req.plain && code != "":
		writeLegacyText(w, http.StatusOK, "Error="+code)
	case req.plain:
		writeLegacyText(w, http.StatusOK, "id="+string(m.MessageID))
	case code != "":
		writeIID(w, http.StatusOK, map[string]string{"error": code})
	default:
		writeIID(w, http.StatusOK, map[string]json.Number{"message_id": json.Number(m.MessageID)})
	}
}

// A legacyGroup is the answer to a message to a device group.
type legacyGroup struct {
	Success int                     `json:"success"`
	Failure int                     `json:"failure"`
	Failed  []ccs.RegistrationToken `json:"failed_registration_ids,omitempty"`

	members []*device
}

// legacyGroup is the answer that is to be filled; nil: no group has that key.
func (s *Sim) legacyGroup(key ccs.RegistrationToken) *legacyGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	members, ok := s.groupMembers(string(key))
	if !ok {
		return nil
	}
	return &legacyGroup{members: members}
}

// deliver gives m to the members. Called with mu held.
func (g *legacyGroup) deliver(m *ccs.Downstream, e *entry, now time.Time) (out []delivered) {
	p := parcelOf(m)
	for _, d := range g.members {
		if !d.live || !d.admits(p) {
			g.Failure++
			g.Failed = append(g.Failed, d.token)
			continue
		}
		g.Success++
		if !m.DryRun {
			out = d.take(p, e, now, out)
		}
	}
	return out
}

// legacyMessage does with one message what CCS would, faults too, and gives it
// its id. It returns the legacy protocol's code for what is wrong with it, and
// how long the answer has to wait. group is whom it is for; nil: no group.
func (s *Sim) legacyMessage(r *http.Request, m *ccs.Downstream, group *legacyGroup) (code string, wait time.Duration) {
	now := s.opt.Now()
	var out []delivered
	s.mu.Lock()
	if toMany(m) {
		m.MessageID = s.digitsID(now)
	} else {
		m.MessageID = s.tokenID(now)
	}
	e := s.legacyEntry(m, now)
	do := s.applyFault(FaceCCS, m.Target(), "", false)
	switch {
	case do.Nack != "":
		code = legacyCode(do.Nack)
	case !do.withholds() || do.Deliver:
		out, code = s.legacyVerdict(m, group, e, now)
	}
	switch {
	case do.withholds():
	case code == "":
		e.Answer, e.Status, e.AnsweredAt = "ack", http.StatusOK, now
	default:
		e.Answer, e.Error, e.Status, e.AnsweredAt = "nack", ccs.Code(code), legacyStatus(m, code), now
	}
	s.mu.Unlock()
	s.announce(out)
	if do.withholds() {
		s.withholdLegacy(r, do)
	}
	return code, max(s.opt.AnswerDelay, do.Delay)
}

// toMany reports whether a message goes to a topic or a condition.
func toMany(m *ccs.Downstream) bool {
	return m.Condition != "" || strings.HasPrefix(string(m.To), topicPrefix)
}

// legacyStatus is the status of HTTP that goes with a code.
func legacyStatus(m *ccs.Downstream, code string) int {
	if code == "InvalidParameters" && toMany(m) {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// withholdLegacy ends a request without an answer.
func (s *Sim) withholdLegacy(r *http.Request, do Fault) {
	if do.Silence {
		select {
		case <-r.Context().Done():
		case <-s.web.closing:
		}
	} else {
		s.pause(r, do.Delay)
		resetConn(r.Context())
	}
	panic(http.ErrAbortHandler)
}

// legacyVerdict delivers a message, or says why not. Called with mu held.
func (s *Sim) legacyVerdict(m *ccs.Downstream, group *legacyGroup, e *entry, now time.Time) (out []delivered, code string) {
	limit, size := maxLegacyPayload, 0
	if toMany(m) {
		limit = maxTopicPayload
	}
	for _, object := range []map[string]string{m.Data, m.Notification} {
		for k, v := range object {
			size += len(k) + len(v)
		}
	}
	d := s.devices[m.To]
	switch {
	case size > limit:
		return nil, "MessageTooBig"
	case group != nil:
		return group.deliver(m, e, now), ""
	case d != nil && d.live && d.sender == s.state.SenderID && !d.admits(parcelOf(m)):
		return nil, "InvalidPackageName"
	}
	out, err := s.verdict(m, e, now)
	if nack, ok := errors.AsType[*ccs.NackError](err); ok {
		return nil, legacyCode(nack.Code)
	}
	return out, ""
}

// faceLegacy marks what came by /fcm/send in the record.
const faceLegacy = "legacy"

// legacyEntry records a message. Called with mu held.
func (s *Sim) legacyEntry(m *ccs.Downstream, now time.Time) *entry {
	e := &entry{Reception: Reception{
		Time: now, Face: faceLegacy, MessageID: m.MessageID, To: m.To, Condition: m.Condition,
		Data: m.Data, Notification: m.Notification, DryRun: m.DryRun,
	}}
	s.book.add(e)
	return e
}

// legacyCodes are the codes of CCS in the words of the legacy protocol.
var legacyCodes = map[ccs.Code]string{
	ccs.CodeBadRegistration:           "InvalidRegistration",
	ccs.CodeDeviceUnregistered:        "NotRegistered",
	ccs.CodeSenderIDMismatch:          "MismatchSenderId",
	ccs.CodeServiceUnavailable:        "Unavailable",
	ccs.CodeConnectionDraining:        "Unavailable",
	ccs.CodeInternalServerError:       "InternalServerError",
	ccs.CodeDeviceMessageRateExceeded: "DeviceMessageRateExceeded",
	ccs.CodeTopicsMessageRateExceeded: "TopicsMessageRateExceeded",
	ccs.CodeInvalidAPNSCredential:     "InvalidApnsCredential",
}

func legacyCode(code ccs.Code) string {
	if word, ok := legacyCodes[code]; ok {
		return word
	}
	return "InvalidParameters"
}

// randomID is positive in 63 bits.
func randomID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>1 | 1<<60
}

func writeLegacyText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // who asked may be gone
}

// writeSmallPage is a page of the servlet that the legacy protocol was.
func writeSmallPage(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Server", "GSE")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<HTML>\n<HEAD>\n<TITLE>%s</TITLE>\n</HEAD>\n<BODY BGCOLOR=\"#FFFFFF\" TEXT=\"#000000\">\n<H1>%s</H1>\n<H2>Error %d</H2>\n</BODY>\n</HTML>\n", title, title, status) // who asked may be gone
}
