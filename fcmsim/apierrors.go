package fcmsim

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
)

// The errors stand here by their numbers in docs/fcm-http.md, Error bodies.

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
