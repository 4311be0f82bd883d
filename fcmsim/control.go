package fcmsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// recordWriteTime is how long a reader of the record may take for one part.
const recordWriteTime = 30 * time.Second

// ControlHandler is the HTTP API by which programs in any language watch and
// steer the simulator (docs/simulator.md). It asks nobody who they are: it
// belongs on loopback. Browsers are kept out: a request with an Origin is
// refused, and so is one whose Host is a name other than localhost, since a web
// page could have made that name point here.
func (s *Sim) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]control{
		"/record":                   {"GET": s.getRecord, "DELETE": s.deleteRecord},
		"/streams":                  {"GET": s.getStreams},
		"/drain":                    {"POST": s.postDrain},
		"/cut":                      {"POST": s.postCut},
		"/fault":                    {"GET": s.getFaults, "POST": s.postFault, "DELETE": s.deleteFaults},
		"/devices":                  {"GET": s.getDevices, "POST": s.postDevice},
		"/devices/{token}":          {"GET": s.getDevice},
		"/devices/{token}/upstream": {"POST": s.postUpstream},
		"/devices/{token}/state":    {"POST": s.postState},
		"/upstream/{message_id}":    {"GET": s.getUpstream},
		"/access":                   {"GET": s.getAccess, "POST": s.postAccess, "DELETE": s.deleteAccess},
		"/access/token":             {"POST": s.postAccessToken},
		"/groups":                   {"GET": s.getGroups},
	} {
		mux.Handle(path, dispatch(methods))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &statusError{http.StatusNotFound, errors.New(
			"nothing is here: try /record, /streams, /drain, /cut, /fault, /devices, /upstream/{message_id}, /access or /groups")})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Origin") != "":
			writeError(w, &statusError{http.StatusForbidden, errors.New(
				"requests of web pages are refused: call without an Origin header")})
		case !isLocalName(r.Host):
			writeError(w, &statusError{http.StatusForbidden, errors.New(
				"the Host is neither an IP address nor localhost: call by one of these")})
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
			mux.ServeHTTP(w, r)
		}
	})
}

// ControlServer is an HTTP server for [Sim.ControlHandler] with timeouts. The
// caller serves, and closes it.
func (s *Sim) ControlServer() *http.Server {
	return &http.Server{
		Handler:           s.ControlHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      recordWriteTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func isLocalName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil
}

// A control handles one method of one path. What it returns is the answer: an
// error, a value for JSON, or nil for 204.
type control func(w http.ResponseWriter, r *http.Request) (any, error)

// written is returned by a control that has written its answer itself.
type written struct{}

func dispatch(methods map[string]control) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := methods[r.Method]
		if f == nil {
			w.Header().Set("Allow", allow)
			writeError(w, &statusError{http.StatusMethodNotAllowed, fmt.Errorf("this path takes %s", allow)})
			return
		}
		v, err := f(w, r)
		switch v.(type) {
		case written:
			return
		}
		switch {
		case err != nil:
			writeError(w, err)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			writeJSON(w, http.StatusOK, v)
		}
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked may be gone
}

// A statusError is an error with the HTTP status that means it.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var se *statusError
	switch {
	case errors.As(err, &se):
		status = se.status
	case errors.Is(err, ErrUnknownToken), errors.Is(err, ErrUnknownUpstream):
		status = http.StatusNotFound
	case errors.Is(err, ErrTokenTaken), errors.Is(err, ErrFIDTaken), errors.Is(err, ErrDeviceOffline), errors.Is(err, ccsserver.ErrInWork):
		status = http.StatusConflict
	case errors.Is(err, ccsserver.ErrFull), errors.Is(err, ccsserver.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]string{"error": strings.TrimPrefix(err.Error(), "fcmsim: ")})
}

func (s *Sim) getRecord(w http.ResponseWriter, _ *http.Request) (any, error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Penstock-Dropped", strconv.Itoa(s.RecordDropped()))
	rc := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	_ = s.readRecord(func(part []Reception) error {
		_ = rc.SetWriteDeadline(time.Now().Add(recordWriteTime))
		for i := range part {
			if err := enc.Encode(&part[i]); err != nil {
				return err // the reader has gone
			}
		}
		return nil
	})
	return written{}, nil
}

func (s *Sim) deleteRecord(http.ResponseWriter, *http.Request) (any, error) {
	s.ResetRecord()
	return nil, nil
}

func (s *Sim) getStreams(http.ResponseWriter, *http.Request) (any, error) {
	return orEmpty(s.Streams()), nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// A streamChoice is "all" or a list of stream ids; nil means all.
type streamChoice []string

func (c *streamChoice) UnmarshalJSON(text []byte) error {
	var word string
	if json.Unmarshal(text, &word) == nil {
		if word != "all" {
			return errors.New(`streams must be "all" or a list of stream ids: see GET /streams`)
		}
		return nil
	}
	var ids []string
	if err := json.Unmarshal(text, &ids); err != nil {
		return errors.New(`streams must be "all" or a list of stream ids: see GET /streams`)
	}
	*c = orEmpty(ids)
	return nil
}

// maxDrain is when a draining stream closes in any case (docs/protocol.md, Draining).
const maxDrain = 30 * time.Second

func (s *Sim) postDrain(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Streams    streamChoice `json:"streams"`
		Announce   string       `json:"announce"`
		CloseAfter *int64       `json:"close_after_ms"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	opt := ccsserver.DrainOptions{Streams: body.Streams}
	switch body.Announce {
	case "", "control":
	case "nack":
		opt.Announce = ccsserver.ByNack
	default:
		return nil, errors.New(`announce must be "control" or "nack"`)
	}
	if ms := body.CloseAfter; ms != nil {
		if *ms < 0 || *ms > maxDrain.Milliseconds() {
			return nil, fmt.Errorf("close_after_ms must be between 0 and %d: any draining stream closes within that time", maxDrain.Milliseconds())
		}
		// Zero would mean the default.
		after := max(time.Duration(*ms)*time.Millisecond, time.Millisecond)
		opt.Times = ccsserver.DrainTimes{CloseAfter: after, LastCall: after}
	}
	return map[string][]string{"streams": orEmpty(s.Drain(opt))}, nil
}

func (s *Sim) postCut(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Streams streamChoice `json:"streams"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	return map[string][]string{"streams": orEmpty(s.Cut(body.Streams))}, nil
}

// A faultBody is a Fault on the wire. Pointers tell what is absent, which
// means something else than zero.
type faultBody struct {
	Face      Face                  `json:"face,omitempty"`
	Token     ccs.RegistrationToken `json:"token,omitempty"`
	Next      *int                  `json:"next,omitempty"`
	Share     *float64              `json:"share,omitempty"`
	Seed      uint64                `json:"seed,omitempty"`
	Every     *int                  `json:"every,omitempty"`
	DelayMS   int64                 `json:"delay_ms,omitempty"`
	Nack      ccs.Code              `json:"nack,omitempty"`
	NackShare *float64              `json:"nack_share,omitempty"`
	Silence   bool                  `json:"silence,omitempty"`
	Cut       bool                  `json:"cut,omitempty"`
	Deliver   bool                  `json:"deliver,omitempty"`
	Wrong     bool                  `json:"wrong_bytes,omitempty"`
	Slow      *int                  `json:"slow,omitempty"` // bytes a second
	SlowMS    *int64                `json:"slow_ms,omitempty"`
	Applied   *int                  `json:"applied,omitempty"` // in answers only

	Error       string `json:"error,omitempty"`
	Status      int    `json:"status,omitempty"`
	Body        string `json:"body,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	RetryAfter  string `json:"retry_after,omitempty"`
	Short       bool   `json:"short,omitempty"`
	Reset       bool   `json:"reset,omitempty"`
	GoAway      bool   `json:"goaway,omitempty"`
	Refuse      bool   `json:"refuse,omitempty"`
}

func (b *faultBody) fault() (Fault, error) {
	f := Fault{
		Face: b.Face, Token: b.Token, Seed: b.Seed, Nack: b.Nack,
		Silence: b.Silence, Cut: b.Cut, Deliver: b.Deliver, WrongBytes: b.Wrong,
		Error: b.Error, Status: b.Status, Body: b.Body, ContentType: b.ContentType, RetryAfter: b.RetryAfter,
		Short: b.Short, Reset: b.Reset, GoAway: b.GoAway, Refuse: b.Refuse,
	}
	switch {
	case b.Applied != nil:
		return f, errors.New("applied is counted here: leave it out")
	case b.DelayMS < 0 || b.DelayMS > maxFaultDelay.Milliseconds():
		return f, fmt.Errorf("delay_ms must be between 0 and %d", maxFaultDelay.Milliseconds())
	case b.Next != nil && *b.Next <= 0:
		return f, errors.New("next must be above 0: leave it out for all messages")
	case b.Every != nil && *b.Every <= 0:
		return f, errors.New("every must be above 0: leave it out for all messages")
	case b.Share != nil && *b.Share <= 0:
		return f, errors.New("share must be above 0 and at most 1")
	case b.NackShare != nil && *b.NackShare <= 0:
		return f, errors.New("nack_share must be above 0 and at most 1")
	case b.Slow != nil && *b.Slow <= 0:
		return f, fmt.Errorf("slow must be between %d and %d bytes a second", minSlow, maxSlow)
	case b.SlowMS != nil && (*b.SlowMS <= 0 || *b.SlowMS > maxFaultDelay.Milliseconds()):
		return f, fmt.Errorf("slow_ms must be above 0 and at most %d", maxFaultDelay.Milliseconds())
	}
	if b.Slow != nil {
		f.Slow = *b.Slow
	}
	if b.SlowMS != nil {
		f.SlowFor = time.Duration(*b.SlowMS) * time.Millisecond
	}
	f.Delay = time.Duration(b.DelayMS) * time.Millisecond
	if b.Next != nil {
		f.Next = *b.Next
	}
	if b.Every != nil {
		f.Every = *b.Every
	}
	if b.Share != nil {
		f.Share = *b.Share
	}
	if b.NackShare != nil {
		f.NackShare = *b.NackShare
	}
	return f, nil
}

func faultBodyOf(f FaultStatus) faultBody {
	b := faultBody{
		Face: f.Face, Token: f.Token, Seed: f.Seed, DelayMS: f.Delay.Milliseconds(), Nack: f.Nack,
		Silence: f.Silence, Cut: f.Cut, Deliver: f.Deliver, Wrong: f.WrongBytes, Applied: &f.Applied,
		Error: f.Error, Status: f.Status, Body: f.Body, ContentType: f.ContentType, RetryAfter: f.RetryAfter,
		Short: f.Short, Reset: f.Reset, GoAway: f.GoAway, Refuse: f.Refuse,
	}
	if f.Slow > 0 {
		b.Slow = &f.Slow
	}
	if f.SlowFor > 0 {
		ms := f.SlowFor.Milliseconds()
		b.SlowMS = &ms
	}
	if f.Next > 0 {
		b.Next = &f.Next
	}
	if f.Every > 0 {
		b.Every = &f.Every
	}
	if f.Share > 0 {
		b.Share = &f.Share
	}
	if f.NackShare > 0 {
		b.NackShare = &f.NackShare
	}
	return b
}

func (s *Sim) postFault(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body faultBody
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	f, err := body.fault()
	if err == nil {
		err = s.SetFault(f)
	}
	if err != nil {
		return nil, err
	}
	return faultBodyOf(FaultStatus{Fault: f}), nil
}

func (s *Sim) getFaults(http.ResponseWriter, *http.Request) (any, error) {
	list := []faultBody{}
	for _, f := range s.Faults() {
		list = append(list, faultBodyOf(f))
	}
	return list, nil
}

func (s *Sim) deleteFaults(http.ResponseWriter, *http.Request) (any, error) {
	s.ClearFaults()
	return nil, nil
}

func (s *Sim) getDevices(http.ResponseWriter, *http.Request) (any, error) {
	return s.Devices(), nil
}

func (s *Sim) getDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	d, ok := s.Device(ccs.RegistrationToken(r.PathValue("token")))
	if !ok {
		return nil, ErrUnknownToken
	}
	return d, nil
}

func (s *Sim) postDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Token    ccs.RegistrationToken `json:"token"`
		FID      string                `json:"fid"`
		Platform Platform              `json:"platform"`
		SenderID ccs.SenderID          `json:"sender_id"`
		Category ccs.Category          `json:"category"`
		Topics   []string              `json:"topics"`
		Online   *bool                 `json:"online"`
		Live     *bool                 `json:"live"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	return s.AddDevice(&DeviceOptions{
		Token: body.Token, FID: body.FID, Platform: body.Platform, SenderID: body.SenderID, Category: body.Category, Topics: body.Topics,
		Offline: body.Online != nil && !*body.Online,
		Dead:    body.Live != nil && !*body.Live,
	})
}

func (s *Sim) postState(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Online *bool `json:"online"`
		Live   *bool `json:"live"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if body.Online == nil && body.Live == nil {
		return nil, errors.New("a state needs online, live, or both: true or false")
	}
	if err := s.SetDevice(ccs.RegistrationToken(r.PathValue("token")), body.Online, body.Live); err != nil {
		return nil, err
	}
	return s.getDevice(nil, r)
}

func (s *Sim) postUpstream(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Category  ccs.Category      `json:"category"`
		Data      map[string]string `json:"data"`
		MessageID ccs.MessageID     `json:"message_id"`
		TTL       *int64            `json:"time_to_live"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	m := Upstream{Category: body.Category, Data: body.Data, MessageID: body.MessageID}
	if body.TTL != nil {
		// Clamped where no Duration could hold it; both ends are refused.
		ttl := time.Duration(min(max(*body.TTL, -1), int64(ccs.MaxTTL/time.Second)+1)) * time.Second
		m.TTL = &ttl
	}
	id, err := s.Upstream(ccs.RegistrationToken(r.PathValue("token")), m)
	if err != nil {
		return nil, err
	}
	return map[string]ccs.MessageID{"message_id": id}, nil
}

func (s *Sim) getUpstream(_ http.ResponseWriter, r *http.Request) (any, error) {
	token := ccs.RegistrationToken(r.URL.Query().Get("token"))
	return s.UpstreamState(token, ccs.MessageID(r.PathValue("message_id")))
}
