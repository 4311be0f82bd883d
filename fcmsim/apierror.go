package fcmsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"

	"penstock/ccs"
)

// An apiError is an error reply as Google's servers write it (docs/fcm-http.md,
// Error bodies). Its status is always a canonical name of gRPC: SDKs look it up
// in a closed set.
type apiError struct {
	http    int
	status  string
	message string
	details []any // of the types below; order as Google was seen to write it

	// header has what the reply needs beyond Content-Type; nil: nothing.
	header http.Header
	// page makes it HTML: what Google's front end writes when no API is reached.
	page bool
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.http, e.status, e.message) }

// typePrefix is the first half of each detail's @type.
const typePrefix = "type.googleapis.com/"

// The details of errors.
type (
	fcmError struct {
		Type string `json:"@type"`
		Code string `json:"errorCode"`
	}
	apnsError struct {
		Type   string `json:"@type"`
		Status int    `json:"statusCode"`
		Reason string `json:"reason"`
	}
	badRequest struct {
		Type       string      `json:"@type"`
		Violations []violation `json:"fieldViolations,omitempty"`
	}
	// A violation without Field is one of the whole request.
	violation struct {
		Field       string `json:"field,omitempty"`
		Description string `json:"description"`
	}
	errorInfo struct {
		Type     string            `json:"@type"`
		Reason   string            `json:"reason"`
		Domain   string            `json:"domain"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}
	help struct {
		Type  string     `json:"@type"`
		Links []helpLink `json:"links"`
	}
	helpLink struct {
		Description string `json:"description"`
		URL         string `json:"url"`
	}
)

func fcmCode(code string) fcmError {
	return fcmError{typePrefix + "google.firebase.fcm.v1.FcmError", code}
}

func apns(status int, reason string) apnsError {
	return apnsError{typePrefix + "google.firebase.fcm.v1.ApnsError", status, reason}
}

func violations(list ...violation) badRequest {
	return badRequest{typePrefix + "google.rpc.BadRequest", list}
}

func info(reason, domain string, metadata map[string]string) errorInfo {
	return errorInfo{typePrefix + "google.rpc.ErrorInfo", reason, domain, metadata}
}

func links(description, url string) help {
	return help{typePrefix + "google.rpc.Help", []helpLink{{description, url}}}
}

// What stands in several errors.
const (
	fcmService  = "fcm.googleapis.com"
	apisDomain  = "googleapis.com"
	iamDomain   = "cloudresourcemanager.googleapis.com"
	sendMethod  = "google.firebase.fcm.v1.FcmService.SendMessage"
	invalid     = "INVALID_ARGUMENT"
	authTail    = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
	bearerRealm = `Bearer realm="https://accounts.google.com/"`

	noCredential  = "Request is missing required authentication credential. " + authTail
	badCredential = "Request had invalid authentication credentials. " + authTail
	badToken      = "The registration token is not a valid FCM registration token"
	badArgument   = "Request contains an invalid argument."
	notFound      = "Requested entity was not found."
)

// badField is what FCM itself says of a message: E1, E3, and their like.
func badField(field, text string) *apiError {
	return &apiError{http: 400, status: invalid, message: text,
		details: []any{violations(violation{field, text}), fcmCode(invalid)}}
}

// E1.
func errNoRecipient() *apiError { return badField("message", "Recipient of the message is not set.") }

// E2; field is message.token, or message.fid.
func errBadToken(field string) *apiError {
	return &apiError{http: 400, status: invalid, message: badToken,
		details: []any{fcmCode(invalid), violations(violation{field, badToken})}}
}

// E3.
func errBadTopic() *apiError { return badField("message", "Topic name contains invalid characters.") }

// E4 has no details.
func errBadCondition() *apiError { return &apiError{http: 400, status: invalid, message: badArgument} }

// E5: a BadRequest that names nothing.
func errTooLarge(limit int) *apiError {
	return &apiError{http: 400, status: invalid,
		message: fmt.Sprintf("Message is too large. The maximum is %dK (%d bytes).", limit/1024, limit),
		details: []any{violations(), fcmCode(invalid)}}
}

// E6.
func errWebpushTTL() *apiError {
	return badField("message.webpush.headers.TTL", "TTL must be a non-negative integer.")
}

// E7.
func errReservedKey(field, key string) *apiError {
	text := "Invalid data payload key: " + key
	return &apiError{http: 400, status: invalid, message: text,
		details: []any{fcmCode(invalid), violations(violation{field, text})}}
}

// E8: what the API's front says of JSON, without a word of FCM.
func errJSON(list []violation) *apiError {
	text := ""
	for i, v := range list {
		if i > 0 {
			text += "\n"
		}
		text += v.Description
	}
	return &apiError{http: 400, status: invalid, message: text, details: []any{violations(list...)}}
}

// E9.
func errUnregistered() *apiError {
	return &apiError{http: 404, status: "NOT_FOUND", message: notFound, details: []any{fcmCode("UNREGISTERED")}}
}

// E10.
func errAPNSDisabled() *apiError {
	return &apiError{http: 400, status: invalid, message: "APNs device token is disabled.",
		details: []any{apns(410, "Unregistered")}}
}

// E10a.
func errAPNSUnregistered() *apiError {
	return &apiError{http: 404, status: "NOT_FOUND", message: notFound,
		details: []any{fcmCode("UNREGISTERED"), apns(410, "Unregistered")}}
}

// E11.
func errSenderMismatch() *apiError {
	return &apiError{http: 403, status: "PERMISSION_DENIED", message: "SenderId mismatch",
		details: []any{fcmCode("SENDER_ID_MISMATCH")}}
}

// E12, and with the gateway's own text E12a.
func errThirdParty() *apiError {
	return &apiError{http: 401, status: "UNAUTHENTICATED", message: "Auth error from APNS or Web Push Service",
		details: []any{fcmCode("THIRD_PARTY_AUTH_ERROR"), apns(403, "InvalidProviderToken")}}
}

func errThirdPartyOther() *apiError {
	return &apiError{http: 401, status: "UNAUTHENTICATED", message: noCredential,
		details: []any{fcmCode("THIRD_PARTY_AUTH_ERROR")}}
}

// E13: number is the project's, limit its messages a minute. It has no
// FcmError, so that SDKs do not see a quota in it.
func errProjectQuota(number string, limit int) *apiError {
	return &apiError{http: 429, status: "RESOURCE_EXHAUSTED",
		message: "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service '" +
			fcmService + "' for consumer 'project_number:" + number + "'.",
		details: []any{
			info("RATE_LIMIT_EXCEEDED", apisDomain, map[string]string{
				"service": fcmService, "consumer": "projects/" + number,
				"quota_metric": fcmService + "/send_requests", "quota_limit": "SendsPerMinutePerProject",
				"quota_limit_value": strconv.Itoa(limit), "quota_unit": "1/min/{project}", "quota_location": "global",
			}),
			links("Request a higher quota limit.", "https://cloud.google.com/docs/quotas/help/request_increase"),
		}}
}

// E14: what is the limit's subject, such as Topic.
func errQuota(subject string) *apiError {
	return &apiError{http: 429, status: "RESOURCE_EXHAUSTED", message: subject + " quota exceeded.",
		details: []any{fcmCode("QUOTA_EXCEEDED")}}
}

// E15.
func errNoCredential() *apiError {
	return &apiError{http: 401, status: "UNAUTHENTICATED", message: noCredential,
		header: http.Header{"Www-Authenticate": {bearerRealm}},
		details: []any{info("CREDENTIALS_MISSING", apisDomain, map[string]string{
			"method": sendMethod, "service": fcmService,
		})}}
}

// E16 has no details.
func errBadCredential() *apiError {
	return &apiError{http: 401, status: "UNAUTHENTICATED", message: badCredential,
		header: http.Header{"Www-Authenticate": {bearerRealm + `, error="invalid_token"`}}}
}

// E17 is E16 with a reason.
func errCredentialExpired() *apiError {
	e := errBadCredential()
	e.details = []any{info("ACCESS_TOKEN_EXPIRED", apisDomain, map[string]string{
		"method": sendMethod, "service": fcmService,
	})}
	return e
}

// E18: no permission, or no such project; Google does not say which.
func errPermission(project string) *apiError {
	const permission = "cloudmessaging.messages.create"
	return &apiError{http: 403, status: "PERMISSION_DENIED",
		message: "Permission '" + permission + "' denied on resource '//" + iamDomain + "/projects/" + project + "' (or it may not exist).",
		details: []any{info("IAM_PERMISSION_DENIED", iamDomain, map[string]string{
			"resource": "projects/" + project, "permission": permission,
		})}}
}

// E19.
func errDisabled(number string) *apiError {
	url := "https://console.developers.google.com/apis/api/" + fcmService + "/overview?project=" + number
	return &apiError{http: 403, status: "PERMISSION_DENIED",
		message: "Firebase Cloud Messaging API has not been used in project " + number + " before or it is disabled. " +
			"Enable it by visiting " + url + " then retry. If you enabled this API recently, wait a few minutes " +
			"for the action to propagate to our systems and retry.",
		details: []any{
			links("Google developers console API activation", url),
			info("SERVICE_DISABLED", apisDomain, map[string]string{"service": fcmService, "consumer": "projects/" + number}),
		}}
}

// E20.
func errScope() *apiError {
	return &apiError{http: 403, status: "PERMISSION_DENIED", message: "Request had insufficient authentication scopes.",
		header: http.Header{"Www-Authenticate": {bearerRealm + `, error="insufficient_scope", scope="` + messagingScopes + `"`}},
		details: []any{info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", apisDomain, map[string]string{
			"method": sendMethod, "service": fcmService,
		})}}
}

const messagingScopes = "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/firebase.messaging"

// E21.
func errInternal() *apiError {
	return &apiError{http: 500, status: "INTERNAL", message: "Internal error encountered.", details: []any{fcmCode("INTERNAL")}}
}

// E22.
func errUnavailable() *apiError {
	return &apiError{http: 503, status: "UNAVAILABLE", message: "The service is currently unavailable.",
		details: []any{fcmCode("UNAVAILABLE")}}
}

// E23 and E24 are pages of Google's front end.
func errBadGateway() *apiError {
	return &apiError{http: 502, page: true,
		message: "<p><b>502.</b> <ins>That’s an error.</ins><p>The server encountered a temporary error and could not " +
			"complete your request.<p>Please try again in 30 seconds. <ins>That’s all we know.</ins>"}
}

func errNoPath(path string) *apiError {
	return &apiError{http: 404, page: true,
		message: "<p><b>404.</b> <ins>That’s an error.</ins><p>The requested URL <code>" + html.EscapeString(path) +
			"</code> was not found on this server. <ins>That’s all we know.</ins>"}
}

// E25, E26.
func errDeadline() *apiError {
	return &apiError{http: 504, status: "DEADLINE_EXCEEDED", message: "The request took too long."}
}

func errCancelled() *apiError {
	return &apiError{http: 499, status: "CANCELLED", message: "The operation was cancelled."}
}

// errorFacts are what errors say of the simulator.
type errorFacts struct {
	project, number string // the project as the URL names it, and its number
	quota, limit    int    // messages a minute, and bytes
	path            string
}

// namedError is the error of a number in docs/fcm-http.md; nil: there is none.
// Where a number has several texts, letters behind it tell them apart.
func namedError(name string, of errorFacts) *apiError {
	switch name {
	case "E1":
		return errNoRecipient()
	case "E2":
		return errBadToken("message.token")
	case "E2a":
		return &apiError{http: 400, status: invalid, message: badArgument,
			details: []any{fcmCode(invalid), violations(violation{"message.token", "Invalid registration token"})}}
	case "E3":
		return errBadTopic()
	case "E4":
		return errBadCondition()
	case "E5":
		return errTooLarge(of.limit)
	case "E5a":
		return &apiError{http: 400, status: invalid, message: "Android message is too big", details: []any{fcmCode(invalid)}}
	case "E6":
		return errWebpushTTL()
	case "E7":
		return errReservedKey("message.data[0].key", "from")
	case "E8":
		return errJSON([]violation{{"message.data[0].value", "Invalid value at 'message.data[0].value' (TYPE_STRING), 12"}})
	case "E9":
		return errUnregistered()
	case "E10":
		return errAPNSDisabled()
	case "E10a":
		return errAPNSUnregistered()
	case "E11":
		return errSenderMismatch()
	case "E12":
		return errThirdParty()
	case "E12a":
		return errThirdPartyOther()
	case "E13":
		return errProjectQuota(of.number, of.quota)
	case "E14":
		return errQuota("Device")
	case "E15":
		return errNoCredential()
	case "E16":
		return errBadCredential()
	case "E17":
		return errCredentialExpired()
	case "E18":
		return errPermission(of.project)
	case "E19":
		return errDisabled(of.number)
	case "E20":
		return errScope()
	case "E21":
		return errInternal()
	case "E22":
		return errUnavailable()
	case "E23":
		return errBadGateway()
	case "E24":
		return errNoPath(of.path)
	case "E25":
		return errDeadline()
	case "E26":
		return errCancelled()
	}
	return nil
}

// text is the body, as JSON with two spaces a level or, compact, with none; or
// as a page.
func (e *apiError) text(compact bool) []byte {
	if e.page {
		title := fmt.Sprintf("Error %d (%s)!!1", e.http, pageTitles[e.http])
		return []byte("<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>" + title + "</title>\n  " + e.message + "\n")
	}
	var body struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Status  string `json:"status"`
			Details []any  `json:"details,omitempty"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message, body.Error.Status, body.Error.Details = e.http, e.message, e.status, e.details
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !compact {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(&body); err != nil {
		panic(err) // strings and numbers can always be written
	}
	return b.Bytes()
}

var pageTitles = map[int]string{401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 500: "Server Error", 502: "Server Error", 503: "Service Unavailable"}

// headers writes those of the reply.
func (e *apiError) headers(h http.Header) {
	for k, v := range e.header {
		h[k] = v
	}
	h["Content-Type"] = jsonType
	if e.page {
		h["Content-Type"] = []string{"text/html; charset=UTF-8"}
	}
}

// setHeader adds a header to the reply; an empty value adds none.
func (e *apiError) setHeader(name, value string) {
	if value == "" {
		return
	}
	if e.header == nil {
		e.header = make(http.Header)
	}
	e.header.Set(name, value)
}

// code is FCM's own word for the error, or else its status.
func (e *apiError) code() ccs.Code {
	for _, d := range e.details {
		if f, ok := d.(fcmError); ok {
			return ccs.Code(f.Code)
		}
	}
	return ccs.Code(e.status)
}

// write answers a request with the error.
func (e *apiError) write(w http.ResponseWriter, compact bool) {
	text := e.text(compact)
	h := w.Header()
	e.headers(h)
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(e.http)
	_, _ = w.Write(text) // who asked may be gone
}

var jsonType = []string{"application/json; charset=UTF-8"}
