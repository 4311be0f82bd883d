package fcmsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
)

// Page sizes of a list of subscriptions (docs/fcm-http.md, Topics).
const (
	defaultPage = 1000
	maxPage     = 2000
)

// A topicSubscription is a subscription in HTTP v1's words.
type topicSubscription struct {
	Name       string    `json:"name"`
	TopicName  string    `json:"topicName"`
	CreateTime time.Time `json:"createTime"`
}

// routesSubscriptions are the paths by which HTTP v1 subscribes.
func (s *Sim) routesSubscriptions(mux *http.ServeMux) {
	const collection = "/v1/projects/{project}/registrations/{registration}/topicSubscriptions"
	mux.HandleFunc("GET "+collection, s.subscriptionCall(s.listSubscriptions))
	mux.HandleFunc("POST "+collection, s.subscriptionCall(s.createSubscription))
	mux.HandleFunc("GET "+collection+"/{topic}", s.subscriptionCall(s.getSubscription))
	mux.HandleFunc("PATCH "+collection+"/{topic}", s.subscriptionCall(s.patchSubscription))
	mux.HandleFunc("DELETE "+collection+"/{topic}", s.subscriptionCall(s.deleteSubscription))
}

// A subscriptionHandler is called with mu held. d is a live device of the
// simulator's sender.
type subscriptionHandler func(r *http.Request, d *device, now time.Time) (any, *apiError)

// subscriptionCall wraps a handler in what all have in common.
func (s *Sim) subscriptionCall(serve subscriptionHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		compact := parameter(r, "prettyPrint", "prettyPrint") == "false"
		v, err := s.subscription(w, r, serve)
		if err != nil {
			err.write(w, compact)
			return
		}
		writeAPI(w, v, compact)
	}
}

func (s *Sim) subscription(w http.ResponseWriter, r *http.Request, serve subscriptionHandler) (any, *apiError) {
	if err := s.authenticate(r); err != nil {
		return nil, err
	}
	if r.Method != http.MethodGet && !s.admitTopicChange() {
		return nil, errQuota("Topic management")
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if err := readSubscription(http.MaxBytesReader(w, r.Body, maxControlBody)); err != nil {
			return nil, err
		}
	}
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.registration(ccs.RegistrationToken(r.PathValue("registration")))
	if err != nil {
		return nil, err
	}
	return serve(r, d, now)
}

// registration is the device that a registration's name stands for. Called
// with mu held.
func (s *Sim) registration(token ccs.RegistrationToken) (*device, *apiError) {
	d := s.named(token)
	switch {
	case d == nil:
		return nil, errBadToken("name")
	case d.sender != s.state.SenderID:
		return nil, errSenderMismatch()
	case !d.live:
		return nil, errUnregistered()
	}
	return d, nil
}

// readSubscription reads a body that may name what the server decides itself.
func readSubscription(body io.Reader) *apiError {
	var fields map[string]json.RawMessage
	text, err := io.ReadAll(body)
	switch {
	case err == nil && len(bytes.TrimSpace(text)) == 0:
		return nil
	case err != nil || json.Unmarshal(text, &fields) != nil || fields == nil:
		return errJSON([]violation{{Description: "Invalid JSON payload received. Unexpected token."}})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := subscriptionType.lookup[name]
		if f == nil {
			return errJSON([]violation{{
				Field:       "topic_subscription",
				Description: fmt.Sprintf("Invalid JSON payload received. Unknown name %q at 'topic_subscription': Cannot find field.", name),
			}})
		}
		if json.Unmarshal(fields[name], new(string)) != nil {
			field := "topic_subscription." + f.name
			return errJSON([]violation{{
				Field: field, Description: fmt.Sprintf("Invalid value at '%s' (%s), %.80s", field, f.typeName(), fields[name]),
			}})
		}
	}
	return nil
}

// parameter is a query parameter under either of its two spellings. The last
// one counts.
func parameter(r *http.Request, camel, snake string) string {
	value := ""
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, v, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != camel && key != snake {
			continue
		}
		if v, err := url.QueryUnescape(v); err == nil {
			value = v
		}
	}
	return value
}

func (s *Sim) describeSubscription(r *http.Request, topic string, since time.Time) topicSubscription {
	return topicSubscription{
		Name: "projects/" + r.PathValue("project") + "/registrations/" + r.PathValue("registration") +
			"/topicSubscriptions/" + topic,
		TopicName: topic, CreateTime: since.UTC(),
	}
}

func (s *Sim) createSubscription(r *http.Request, d *device, now time.Time) (any, *apiError) {
	topic := parameter(r, "topicName", "topic_name")
	if !isTopicName(topic) {
		return nil, errBadTopic()
	}
	if _, on := d.topics[topic]; on {
		return nil, &apiError{http: http.StatusConflict, status: "ALREADY_EXISTS", message: "Requested entity already exists"}
	}
	return s.makeSubscription(r, d, topic, now)
}

func (s *Sim) makeSubscription(r *http.Request, d *device, topic string, now time.Time) (any, *apiError) {
	if !d.subscribe(topic, now) {
		return nil, &apiError{
			http: http.StatusBadRequest, status: "FAILED_PRECONDITION",
			message: "The registration is subscribed to 2000 topics, and no more are possible.",
		}
	}
	return s.describeSubscription(r, topic, now), nil
}

func (s *Sim) getSubscription(r *http.Request, d *device, _ time.Time) (any, *apiError) {
	topic := r.PathValue("topic")
	since, on := d.topics[topic]
	if !on {
		return nil, errNoSubscription()
	}
	return s.describeSubscription(r, topic, since), nil
}

func (s *Sim) patchSubscription(r *http.Request, d *device, now time.Time) (any, *apiError) {
	topic := r.PathValue("topic")
	if since, on := d.topics[topic]; on {
		return s.describeSubscription(r, topic, since), nil
	}
	switch {
	case parameter(r, "allowMissing", "allow_missing") != "true":
		return nil, errNoSubscription()
	case !isTopicName(topic):
		return nil, errBadTopic()
	}
	return s.makeSubscription(r, d, topic, now)
}

func (s *Sim) deleteSubscription(r *http.Request, d *device, _ time.Time) (any, *apiError) {
	topic := r.PathValue("topic")
	if _, on := d.topics[topic]; !on && parameter(r, "allowMissing", "allow_missing") != "true" {
		return nil, errNoSubscription()
	}
	delete(d.topics, topic)
	return struct{}{}, nil
}

// listSubscriptions gives a page in the order of names. A page token is the
// last name of the page before, so that changes in between skip nothing else.
func (s *Sim) listSubscriptions(r *http.Request, d *device, _ time.Time) (any, *apiError) {
	size := defaultPage
	if text := parameter(r, "pageSize", "page_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, errJSON([]violation{{
				Field: "page_size", Description: "Invalid value at 'page_size' (TYPE_INT32), " + strconv.Quote(text),
			}})
		}
		if n > 0 {
			size = min(n, maxPage)
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(parameter(r, "pageToken", "page_token"))
	if err != nil {
		return nil, errBadCondition()
	}
	names := slices.Sorted(maps.Keys(d.topics))
	from, _ := slices.BinarySearch(names, string(after)+"\x00") // the first name behind it
	names = names[from:]
	var page struct {
		Subscriptions []topicSubscription `json:"topicSubscriptions,omitempty"`
		Next          string              `json:"nextPageToken,omitempty"`
	}
	if len(names) > size {
		names = names[:size]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(names[size-1]))
	}
	for _, name := range names {
		page.Subscriptions = append(page.Subscriptions, s.describeSubscription(r, name, d.topics[name]))
	}
	return page, nil
}

func errNoSubscription() *apiError {
	return &apiError{http: http.StatusNotFound, status: "NOT_FOUND", message: notFound}
}

// writeAPI answers a call of HTTP v1 that succeeded.
func writeAPI(w http.ResponseWriter, v any, compact bool) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !compact {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		panic(err) // strings and times can always be written
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}
