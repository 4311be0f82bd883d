package fcmsim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
)

// Bounds of the instance id service and of subscriptions (docs/fcm-http.md,
// Topics).
const (
	maxBatchTokens  = 1000
	maxImportTokens = 100
	maxDeviceTopics = 2000
	// topicChangesPerSecond is how many calls that change subscriptions a
	// project has in a second, with Google's quotas.
	topicChangesPerSecond = 3000
	maxIIDBody            = 1 << 20
)

// The errors that stand beside a token in the answer to a batch.
const (
	iidNotFound        = "NOT_FOUND"
	iidInvalidArgument = "INVALID_ARGUMENT"
	iidTooManyTopics   = "TOO_MANY_TOPICS"
)

// routesIID are the paths of iid.googleapis.com.
func (s *Sim) routesIID(mux *http.ServeMux) {
	mux.HandleFunc("/iid/v1:batchAdd", s.iid(http.MethodPost, s.batch(true)))
	mux.HandleFunc("/iid/v1:batchRemove", s.iid(http.MethodPost, s.batch(false)))
	mux.HandleFunc("/iid/v1:batchImport", s.iid(http.MethodPost, s.batchImport))
	mux.HandleFunc("/iid/v1/{token}/rel/topics/{topic}", s.iid("POST, DELETE", s.relation))
	mux.HandleFunc("/iid/info/{token}", s.iid(http.MethodGet, s.instanceInfo))
}

// iid wraps a handler of the instance id service in what all have in common.
// allow are the methods, separated by commas.
func (s *Sim) iid(allow string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(", "+allow+",", " "+r.Method+",") {
			w.Header().Set("Allow", allow)
			writeIIDError(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
			return
		}
		if !s.admitIID(w, r) {
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxIIDBody)
		serve(w, r)
	}
}

// admitIID reports whether a request carries what the instance id service and
// device groups ask for, and answers it if not. An access token counts only
// beside the header access_token_auth: without, it is taken for a server key,
// and these have been refused since 2024.
func (s *Sim) admitIID(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("access_token_auth") != "true" {
		writeUnauthorized(w)
		return false
	}
	err := s.authorize(r, s.ProjectID())
	switch {
	case err == nil:
		return true
	case err.http == http.StatusUnauthorized:
		writeUnauthorized(w)
	default:
		writeIIDError(w, err.http, err.message)
	}
	return false
}

// writeUnauthorized is a page for people, also to programs, as the service
// does it.
func writeUnauthorized(w http.ResponseWriter) {
	(&apiError{
		http: http.StatusUnauthorized, page: true, header: http.Header{"Www-Authenticate": {bearerRealm}},
		message: "<p><b>401.</b> The request has no valid access token, or lacks the header access_token_auth: true.",
	}).write(w, false)
}

func writeIID(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings, numbers, lists and maps of them get here
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked may be gone
}

func writeIIDError(w http.ResponseWriter, status int, text string) {
	writeIID(w, status, map[string]string{"error": text})
}

// admitTopicChange takes one call out of the project's bucket.
func (s *Sim) admitTopicChange() bool {
	if s.opt.Quotas != QuotasGoogle {
		return true
	}
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topicChanges.fill(now, topicChangesPerSecond, time.Second)
	if s.topicChanges.tokens < 1 {
		return false
	}
	s.topicChanges.tokens--
	return true
}

// readIID reads a body into v, and answers the request if it cannot. Nothing may
// stand behind the one value.
func readIID(w http.ResponseWriter, r *http.Request, v any) bool {
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, v) != nil {
		writeIIDError(w, http.StatusBadRequest, "BadJsonFormat")
		return false
	}
	return true
}

// batch subscribes or unsubscribes up to 1,000 tokens; the results stand in
// their order.
func (s *Sim) batch(add bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			To     string                  `json:"to"`
			Tokens []ccs.RegistrationToken `json:"registration_tokens"`
		}
		if !readIID(w, r, &body) {
			return
		}
		topic, isTopic := strings.CutPrefix(body.To, topicPrefix)
		switch {
		case !isTopic || !isTopicName(topic):
			writeIIDError(w, http.StatusBadRequest, "InvalidTopicName")
			return
		case len(body.Tokens) == 0:
			writeIIDError(w, http.StatusBadRequest, "MissingRegistrationTokens")
			return
		case len(body.Tokens) > maxBatchTokens:
			writeIIDError(w, http.StatusBadRequest, "TooManyRegistrationTokens: "+
				strconv.Itoa(len(body.Tokens))+" of at most "+strconv.Itoa(maxBatchTokens))
			return
		case !s.admitTopicChange():
			writeIIDError(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED")
			return
		}
		type result struct {
			Error string `json:"error,omitempty"`
		}
		results := make([]result, len(body.Tokens))
		now := s.opt.Now()
		s.mu.Lock()
		for i, token := range body.Tokens {
			results[i].Error = s.relate(token, topic, add, now)
		}
		s.mu.Unlock()
		writeIID(w, http.StatusOK, map[string]any{"results": results})
	}
}

// relate changes one subscription, and returns why it did not. Called with mu
// held.
func (s *Sim) relate(token ccs.RegistrationToken, topic string, add bool, now time.Time) string {
	d := s.named(token)
	switch {
	case d == nil || d.sender != s.state.SenderID:
		return iidInvalidArgument
	case !d.live:
		return iidNotFound
	case !add:
		delete(d.topics, topic)
	case !d.subscribe(topic, now):
		return iidTooManyTopics
	}
	return ""
}

// subscribe reports whether d is subscribed now: it was, or had room.
func (d *device) subscribe(topic string, now time.Time) bool {
	if _, on := d.topics[topic]; on {
		return true
	}
	if len(d.topics) >= maxDeviceTopics {
		return false
	}
	d.topics[topic] = now
	return true
}

// relation makes or ends one subscription.
func (s *Sim) relation(w http.ResponseWriter, r *http.Request) {
	topic := r.PathValue("topic")
	switch {
	case !isTopicName(topic):
		writeIIDError(w, http.StatusBadRequest, "InvalidTopicName")
		return
	case !s.admitTopicChange():
		writeIIDError(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED")
		return
	}
	now := s.opt.Now()
	s.mu.Lock()
	failed := s.relate(ccs.RegistrationToken(r.PathValue("token")), topic, r.Method == http.MethodPost, now)
	s.mu.Unlock()
	switch failed {
	case "":
		writeIID(w, http.StatusOK, struct{}{})
	case iidNotFound:
		writeIIDError(w, http.StatusNotFound, failed)
	default:
		writeIIDError(w, http.StatusBadRequest, failed)
	}
}

// instanceInfo tells of one device.
func (s *Sim) instanceInfo(w http.ResponseWriter, r *http.Request) {
	type topicInfo struct {
		AddDate string `json:"addDate"`
	}
	type relations struct {
		Topics map[string]topicInfo `json:"topics"`
	}
	var info struct {
		Application        ccs.Category `json:"application"`
		ApplicationVersion string       `json:"applicationVersion"`
		AuthorizedEntity   ccs.SenderID `json:"authorizedEntity"`
		Platform           string       `json:"platform"`
		AppSigner          string       `json:"appSigner,omitempty"`
		Rel                *relations   `json:"rel,omitempty"`
	}
	details := r.URL.Query().Get("details") == "true"
	s.mu.Lock()
	d := s.named(ccs.RegistrationToken(r.PathValue("token")))
	found, live := d != nil && d.sender == s.state.SenderID, d != nil && d.live
	if found && live {
		info.Application, info.ApplicationVersion, info.AuthorizedEntity = d.category, "1", d.sender
		info.Platform = iidPlatform(d)
		if info.Platform == "ANDROID" {
			// A made-up signature that is the same for the same app.
			sum := sha256.Sum256([]byte(d.category))
			info.AppSigner = hex.EncodeToString(sum[:20])
		}
		if details && len(d.topics) > 0 {
			info.Rel = &relations{make(map[string]topicInfo, len(d.topics))}
			for topic, since := range d.topics {
				info.Rel.Topics[topic] = topicInfo{since.UTC().Format(time.DateOnly)}
			}
		}
	}
	s.mu.Unlock()
	switch {
	case !found:
		writeIIDError(w, http.StatusBadRequest, "InvalidToken")
	case !live:
		writeIIDError(w, http.StatusNotFound, "No information found about this instance id.")
	default:
		writeIID(w, http.StatusOK, info)
	}
}

// batchImport makes devices of the tokens that Apple's service gave out.
func (s *Sim) batchImport(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Application ccs.Category `json:"application"`
		Sandbox     bool         `json:"sandbox"`
		Tokens      []string     `json:"apns_tokens"`
	}
	if !readIID(w, r, &body) {
		return
	}
	switch {
	case body.Application == "":
		writeIIDError(w, http.StatusBadRequest, "MissingApplication")
		return
	case len(body.Tokens) == 0:
		writeIIDError(w, http.StatusBadRequest, "MissingApnsTokens")
		return
	case len(body.Tokens) > maxImportTokens:
		writeIIDError(w, http.StatusBadRequest, "TooManyApnsTokens: "+
			strconv.Itoa(len(body.Tokens))+" of at most "+strconv.Itoa(maxImportTokens))
		return
	}
	type result struct {
		APNSToken string                `json:"apns_token"`
		Status    string                `json:"status"`
		Token     ccs.RegistrationToken `json:"registration_token,omitempty"`
	}
	results := make([]result, len(body.Tokens))
	for i, apns := range body.Tokens {
		results[i] = result{APNSToken: apns, Status: "OK"}
		token, err := s.importAPNS(apns, body.Application)
		if err != nil {
			results[i].Status = "Internal Server Error"
			continue
		}
		results[i].Token = token
	}
	writeIID(w, http.StatusOK, map[string]any{"results": results})
}

// iidPlatform is a device's platform in the service's words.
func iidPlatform(d *device) string {
	switch d.platform {
	case PlatformIOS:
		return "IOS"
	case PlatformWeb:
		return "CHROME"
	default:
		return "ANDROID"
	}
}

// importAPNS returns the token of the device that has an APNs token, and makes
// the device if there is none.
func (s *Sim) importAPNS(apns string, app ccs.Category) (ccs.RegistrationToken, error) {
	if raw, err := hex.DecodeString(apns); err != nil || len(raw) < 32 || len(raw) > 100 {
		return "", errors.New("an APNs token has 64 to 200 hexadecimal digits")
	}
	d, err := s.newDevice(&DeviceOptions{Category: app, Platform: PlatformIOS})
	if err != nil {
		return "", err
	}
	apns = strings.ToLower(apns)
	s.mu.Lock()
	defer s.mu.Unlock()
	if token, ok := s.imported[apns]; ok {
		return token, nil
	}
	if err := s.addDevice(d); err != nil {
		return "", err
	}
	s.imported[apns] = d.token
	return d.token, nil
}
