package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

const (
	// maxBody is what a downstream message may have as JSON.
	maxBody = ccs.MaxEncoded
	// maxRequests is how many messages may wait at a time, so that a stuck
	// far end does not fill the memory.
	maxRequests = 1000
)

// A front is the HTTP side of a pool.
type front struct {
	pool    *ccsclient.Pool
	timeout time.Duration // for one answer; retries of what is worth one are made meanwhile
	places  chan struct{} // one token for each request under way
}

func newFront(pool *ccsclient.Pool, timeout time.Duration) http.Handler {
	f := &front{pool: pool, timeout: timeout, places: make(chan struct{}, maxRequests)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /messages", f.send)
	mux.HandleFunc("GET /healthz", f.health)
	return mux
}

// A reply is the body of every answer.
type reply struct {
	MessageID      ccs.MessageID         `json:"message_id,omitempty"`
	Answer         string                `json:"answer,omitempty"` // ack, nack, unknown, or none: nothing was sent
	Error          ccs.Code              `json:"error,omitempty"`
	Description    string                `json:"description,omitempty"`
	RegistrationID ccs.RegistrationToken `json:"registration_id,omitempty"` // to be used from now on
	Attempts       int                   `json:"attempts,omitempty"`
}

func (f *front) send(w http.ResponseWriter, r *http.Request) {
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	default:
		w.Header().Set("Retry-After", "1")
		write(w, http.StatusServiceUnavailable, reply{Answer: "none", Description: "too many messages wait for their answers"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		write(w, status, reply{Answer: "none", Description: err.Error()})
		return
	}
	m, err := message(body)
	if err != nil {
		write(w, http.StatusBadRequest, reply{Answer: "none", Description: err.Error()})
		return
	}
	// The request's context ends when its caller goes away: a message that was
	// not written by then never is.
	ctx, cancel := context.WithTimeout(r.Context(), f.timeout)
	defer cancel()
	a, err := f.pool.Send(ctx, m)
	status, out := judge(err)
	out.MessageID, out.RegistrationID, out.Attempts = m.MessageID, a.RegistrationID, a.Attempts
	write(w, status, out)
}

// message reads a downstream message as CCS writes it. One without message_id
// gets one; a caller that repeats a request after a broken connection gives one
// of its own, so that nothing is delivered twice.
func message(body []byte) (*ccs.Downstream, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("the body is no JSON object: %w", err)
	}
	if fields == nil {
		return nil, errors.New("the body is null")
	}
	if len(fields["message_id"]) == 0 {
		fields["message_id"], _ = json.Marshal(ccs.NewMessageID()) // a string is always JSON
		body, _ = json.Marshal(fields)
	}
	m, err := ccs.ParseFromApp(body)
	if err != nil {
		return nil, err
	}
	d, ok := m.(*ccs.Downstream)
	if !ok {
		return nil, errors.New("message_type is for answers: leave it out")
	}
	return d, nil
}

// judge says by HTTP what became of a message. Only 200 means that it was
// accepted; 504 and 409 leave open whether it was.
func judge(err error) (int, reply) {
	nack, nacked := errors.AsType[*ccs.NackError](err)
	switch {
	case err == nil:
		return http.StatusOK, reply{Answer: "ack"}
	case nacked:
		return statusOf(nack.Code), reply{Answer: "nack", Error: nack.Code, Description: nack.Text()}
	case errors.Is(err, ccsclient.ErrOutcomeUnknown):
		return http.StatusGatewayTimeout, reply{Answer: "unknown", Description: "it was sent and may have been delivered; repeat it with the same message_id"}
	case errors.Is(err, ccsclient.ErrDuplicateID):
		return http.StatusConflict, reply{Answer: "unknown", Description: "a message with this message_id is under way; repeat it later"}
	case errors.As(err, new(*ccs.FieldError)):
		return http.StatusBadRequest, reply{Answer: "none", Description: err.Error()}
	}
	return http.StatusServiceUnavailable, reply{Answer: "none", Description: "no connection, no room on one, or refused for the time being; nothing was delivered"}
}

func statusOf(code ccs.Code) int {
	switch code {
	case ccs.CodeInvalidJSON, ccs.CodeBadRegistration:
		return http.StatusBadRequest
	case ccs.CodeSenderIDMismatch:
		return http.StatusForbidden
	case ccs.CodeDeviceUnregistered:
		return http.StatusGone
	case ccs.CodeDeviceMessageRateExceeded, ccs.CodeTopicsMessageRateExceeded, ccs.CodeQuotaExceeded:
		return http.StatusTooManyRequests
	case ccs.CodeServiceUnavailable, ccs.CodeInternalServerError:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway // something is wrong between us and the connection server
}

// health is 200 while messages can leave.
func (f *front) health(w http.ResponseWriter, _ *http.Request) {
	st := f.pool.State()
	for _, s := range st.Streams {
		if s.State == ccsclient.StateOpen {
			fmt.Fprintln(w, "ok")
			return
		}
	}
	http.Error(w, "no stream is open", http.StatusServiceUnavailable)
}

func write(w http.ResponseWriter, status int, r reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // who asked may be gone
}
