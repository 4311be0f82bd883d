package fcm_test

import "penstock/fcm"

// An answer is one that FCM gives, or gave, to a message for that target, and
// what we make of it. The numbers are those of docs/fcm-http.md, Errors.
type answer struct {
	name   string
	target fcm.TargetKind
	http   int
	body   string
	want   fcm.Error // without HTTPStatus
	class  fcm.Class
}

const (
	invalid     = "INVALID_ARGUMENT"
	credentials = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
	missing     = "Request is missing required authentication credential. " + credentials
	wrong       = "Request had invalid authentication credentials. " + credentials
	notAToken   = "The registration token is not a valid FCM registration token"
	noEntity    = "Requested entity was not found."
	overQuota   = "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service 'fcm.googleapis.com' for consumer 'project_number:123'."
	noMembers   = "Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com/projects/X' (or it may not exist)."
	disabled    = "Firebase Cloud Messaging API has not been used in project 123 before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/fcm.googleapis.com/overview?project=123 then retry."
)

func violation(field, text string) *fcm.BadRequest {
	return &fcm.BadRequest{Violations: []fcm.FieldViolation{{Field: field, Description: text}}}
}

var answers = []answer{
	{"E1 no target", 0, 400, `{
  "error": {
    "code": 400,
    "message": "Recipient of the message is not set.",
    "status": "INVALID_ARGUMENT",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
          {
            "field": "message",
            "description": "Recipient of the message is not set."
          }
        ]
      },
      {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": "INVALID_ARGUMENT"
      }
    ]
  }
}
`, fcm.Error{
		Status: invalid, Message: "Recipient of the message is not set.", Code: fcm.CodeInvalidArgument,
		BadRequest: violation("message", "Recipient of the message is not set."),
	}, fcm.InvalidMessage},

	{"S-23 E2 malformed token", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},
  {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token",
   "description":"The registration token is not a valid FCM registration token"}]}]}}`, fcm.Error{
		Status: invalid, Message: notAToken, Code: fcm.CodeInvalidArgument, BadRequest: violation("message.token", notAToken),
	}, fcm.MalformedToken},
	{"S-23 E2 malformed FID", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.fid","description":"Invalid FID"}]},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "Request contains an invalid argument.", Code: fcm.CodeInvalidArgument, BadRequest: violation("message.fid", "Invalid FID"),
	}, fcm.MalformedToken},
	{"E2a malformed token, older, with the sentence and FcmError only", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: notAToken, Code: fcm.CodeInvalidArgument,
	}, fcm.MalformedToken},
	{"E2a malformed token, older, with the field", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},
  {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"Invalid registration token"}]}]}}`, fcm.Error{
		Status: invalid, Message: "Request contains an invalid argument.", Code: fcm.CodeInvalidArgument, BadRequest: violation("message.token", "Invalid registration token"),
	}, fcm.MalformedToken},
	{"E2a perhaps a malformed token: nothing says so", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "Request contains an invalid argument.", Code: fcm.CodeInvalidArgument,
	}, fcm.InvalidMessage},

	{"E3 bad topic name", fcm.TargetTopic, 400, `{"error":{"code":400,"message":"Topic name contains invalid characters.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message","description":"Topic name contains invalid characters."}]},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "Topic name contains invalid characters.", Code: fcm.CodeInvalidArgument,
		BadRequest: violation("message", "Topic name contains invalid characters."),
	}, fcm.InvalidMessage},

	{"S-24 E4 bad condition, without details", fcm.TargetCondition, 400, `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT"}}`, fcm.Error{
		Status: invalid, Message: "Request contains an invalid argument.",
	}, fcm.InvalidMessage},

	{"S-25 E5 too large, BadRequest without violations", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Message is too large. The maximum is 4K (4096 bytes).","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest"},{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "Message is too large. The maximum is 4K (4096 bytes).", Code: fcm.CodeInvalidArgument, BadRequest: &fcm.BadRequest{},
	}, fcm.InvalidMessage},
	{"E5a too large for Android, older", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Android message is too big","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "Android message is too big", Code: fcm.CodeInvalidArgument,
	}, fcm.InvalidMessage},
	{"E5a too large for Apple, older, without details", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"iOS message is too big","status":"INVALID_ARGUMENT"}}`, fcm.Error{
		Status: invalid, Message: "iOS message is too big",
	}, fcm.InvalidMessage},

	{"E6 web push TTL is no number", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"TTL must be a non-negative integer.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.webpush.headers.TTL","description":"TTL must be a non-negative integer."}]},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, fcm.Error{
		Status: invalid, Message: "TTL must be a non-negative integer.", Code: fcm.CodeInvalidArgument,
		BadRequest: violation("message.webpush.headers.TTL", "TTL must be a non-negative integer."),
	}, fcm.InvalidMessage},

	{"E7 reserved key", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Invalid data payload key: from","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},
  {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.data","description":"Invalid data payload key: from"}]}]}}`, fcm.Error{
		Status: invalid, Message: "Invalid data payload key: from", Code: fcm.CodeInvalidArgument,
		BadRequest: violation("message.data", "Invalid data payload key: from"),
	}, fcm.InvalidMessage},

	{"E8 JSON fault, without FcmError", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Invalid value at 'message.data[0].value' (TYPE_STRING), 12","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.data[0].value","description":"Invalid value at 'message.data[0].value' (TYPE_STRING), 12"}]}]}}`, fcm.Error{
		Status: invalid, Message: "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
		BadRequest: violation("message.data[0].value", "Invalid value at 'message.data[0].value' (TYPE_STRING), 12"),
	}, fcm.InvalidMessage},
	{"E8 unknown name at the root, a violation without field", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"to\": Cannot find field.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"description":"Invalid JSON payload received. Unknown name \"to\": Cannot find field."}]}]}}`, fcm.Error{
		Status: invalid, Message: `Invalid JSON payload received. Unknown name "to": Cannot find field.`,
		BadRequest: violation("", `Invalid JSON payload received. Unknown name "to": Cannot find field.`),
	}, fcm.InvalidMessage},

	{"S-19 E9 token dead", fcm.TargetDevice, 404, `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`, fcm.Error{
		Status: "NOT_FOUND", Message: noEntity, Code: fcm.CodeUnregistered,
	}, fcm.Unregistered},
	{"S-19 E9 token dead, other text", fcm.TargetDevice, 404, `{"error":{"code":404,"message":"NotRegistered","status":"NOT_FOUND",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`, fcm.Error{
		Status: "NOT_FOUND", Message: "NotRegistered", Code: fcm.CodeUnregistered,
	}, fcm.Unregistered},

	{"S-22 E10 Apple device gone", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"APNs device token is disabled.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"Unregistered"}]}}`, fcm.Error{
		Status: invalid, Message: "APNs device token is disabled.", APNS: &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"},
	}, fcm.Unregistered},
	{"S-22 E10 Apple device gone, with FcmError", fcm.TargetDevice, 400, `{"error":{"code":400,"message":"APNs device token is disabled.","status":"INVALID_ARGUMENT",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"Unregistered"}]}}`, fcm.Error{
		Status: invalid, Message: "APNs device token is disabled.", Code: fcm.CodeInvalidArgument, APNS: &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"},
	}, fcm.Unregistered},
	{"S-22 E10a Apple device gone, as 404", fcm.TargetDevice, 404, `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":410,"reason":"Unregistered"}]}}`, fcm.Error{
		Status: "NOT_FOUND", Message: noEntity, Code: fcm.CodeUnregistered, APNS: &fcm.APNSError{StatusCode: 410, Reason: "Unregistered"},
	}, fcm.Unregistered},

	{"S-26 E11 token of another sender", fcm.TargetDevice, 403, `{"error":{"code":403,"message":"SenderId mismatch","status":"PERMISSION_DENIED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"SENDER_ID_MISMATCH"}]}}`, fcm.Error{
		Status: "PERMISSION_DENIED", Message: "SenderId mismatch", Code: fcm.CodeSenderIDMismatch,
	}, fcm.SenderIDMismatch},

	{"E12 APNs key bad", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"Auth error from APNS or Web Push Service","status":"UNAUTHENTICATED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"THIRD_PARTY_AUTH_ERROR"},
  {"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":403,"reason":"InvalidProviderToken"}]}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: "Auth error from APNS or Web Push Service", Code: fcm.CodeThirdPartyAuth,
		APNS: &fcm.APNSError{StatusCode: 403, Reason: "InvalidProviderToken"},
	}, fcm.ThirdPartyAuth},
	{"S-16 E12a APNs key bad, with the text of our own credential's fault", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"` + missing + `","status":"UNAUTHENTICATED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"THIRD_PARTY_AUTH_ERROR"}]}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: missing, Code: fcm.CodeThirdPartyAuth,
	}, fcm.ThirdPartyAuth},
	{"E12 APNs key bad, FcmError left out", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"Auth error from APNS or Web Push Service","status":"UNAUTHENTICATED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.ApnsError","statusCode":403,"reason":"BadEnvironmentKeyInToken"}]}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: "Auth error from APNS or Web Push Service", APNS: &fcm.APNSError{StatusCode: 403, Reason: "BadEnvironmentKeyInToken"},
	}, fcm.ThirdPartyAuth},

	{"S-28 E13 project's quota", fcm.TargetDevice, 429, `{"error":{"code":429,"message":"` + overQuota + `",
 "status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",
  "reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"service":"fcm.googleapis.com",
   "consumer":"projects/123","quota_metric":"fcm.googleapis.com/send_requests","quota_limit":"SendsPerMinutePerProject",
   "quota_limit_value":"600000","quota_unit":"1/min/{project}","quota_location":"global"}},
  {"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Request a higher quota limit.","url":"https://cloud.google.com/docs/quota"}]}]}}`, fcm.Error{
		Status: "RESOURCE_EXHAUSTED", Message: overQuota, Info: &fcm.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Domain: "googleapis.com", Metadata: map[string]string{
			"service": "fcm.googleapis.com", "consumer": "projects/123", "quota_metric": "fcm.googleapis.com/send_requests",
			"quota_limit": "SendsPerMinutePerProject", "quota_limit_value": "600000", "quota_unit": "1/min/{project}", "quota_location": "global",
		}},
	}, fcm.ProjectQuota},

	{"S-29 E14 device's limit", fcm.TargetDevice, 429, `{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"},
  {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":"device","description":"Message rate exceeded"}]}]}}`, fcm.Error{
		Status: "RESOURCE_EXHAUSTED", Message: "Quota exceeded.", Code: fcm.CodeQuotaExceeded,
	}, fcm.DeviceQuota},
	{"S-30 E14 topic's limit", fcm.TargetTopic, 429, `{"error":{"code":429,"message":"Topic quota exceeded.","status":"RESOURCE_EXHAUSTED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"}]}}`, fcm.Error{
		Status: "RESOURCE_EXHAUSTED", Message: "Topic quota exceeded.", Code: fcm.CodeQuotaExceeded,
	}, fcm.TopicQuota},
	{"S-30 E14 limit of a condition's topics", fcm.TargetCondition, 429, `{"error":{"code":429,"message":"Topic quota exceeded.","status":"RESOURCE_EXHAUSTED",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"QUOTA_EXCEEDED"}]}}`, fcm.Error{
		Status: "RESOURCE_EXHAUSTED", Message: "Topic quota exceeded.", Code: fcm.CodeQuotaExceeded,
	}, fcm.TopicQuota},

	{"E15 no credential", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"` + missing + `","status":"UNAUTHENTICATED",
 "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CREDENTIALS_MISSING","domain":"googleapis.com",
  "metadata":{"method":"google.firebase.fcm.v1.FcmService.SendMessage","service":"fcm.googleapis.com"}}]}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: missing, Info: &fcm.ErrorInfo{Reason: "CREDENTIALS_MISSING", Domain: "googleapis.com", Metadata: map[string]string{
			"method": "google.firebase.fcm.v1.FcmService.SendMessage", "service": "fcm.googleapis.com",
		}},
	}, fcm.Credential},
	{"E16 credential wrong", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"` + wrong + `","status":"UNAUTHENTICATED"}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: wrong,
	}, fcm.Credential},
	{"S-15 E17 credential expired", fcm.TargetDevice, 401, `{"error":{"code":401,"message":"` + wrong + `","status":"UNAUTHENTICATED",
 "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_EXPIRED","domain":"googleapis.com"}]}}`, fcm.Error{
		Status: "UNAUTHENTICATED", Message: wrong, Info: &fcm.ErrorInfo{Reason: "ACCESS_TOKEN_EXPIRED", Domain: "googleapis.com"},
	}, fcm.Credential},

	{"S-27 E18 no permission, or no such project", fcm.TargetDevice, 403, `{"error":{"code":403,"message":"` + noMembers + `",
 "status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",
  "reason":"IAM_PERMISSION_DENIED","domain":"cloudresourcemanager.googleapis.com",
  "metadata":{"resource":"projects/X","permission":"cloudmessaging.messages.create"}}]}}`, fcm.Error{
		Status: "PERMISSION_DENIED", Message: noMembers, Info: &fcm.ErrorInfo{
			Reason: "IAM_PERMISSION_DENIED", Domain: "cloudresourcemanager.googleapis.com",
			Metadata: map[string]string{"resource": "projects/X", "permission": "cloudmessaging.messages.create"},
		},
	}, fcm.Configuration},
	{"S-27 E19 API not enabled", fcm.TargetDevice, 403, `{"error":{"code":403,"message":"` + disabled + `","status":"PERMISSION_DENIED",
 "details":[{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Google developers console API activation","url":"https://console.developers.google.com/"}]},
  {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com","metadata":{"consumer":"projects/123"}}]}}`, fcm.Error{
		Status: "PERMISSION_DENIED", Message: disabled, Info: &fcm.ErrorInfo{Reason: "SERVICE_DISABLED", Domain: "googleapis.com", Metadata: map[string]string{"consumer": "projects/123"}},
	}, fcm.Configuration},
	{"E20 scope lacking", fcm.TargetDevice, 403, `{"error":{"code":403,"message":"Request had insufficient authentication scopes.","status":"PERMISSION_DENIED",
 "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT","domain":"googleapis.com"}]}}`, fcm.Error{
		Status: "PERMISSION_DENIED", Message: "Request had insufficient authentication scopes.", Info: &fcm.ErrorInfo{Reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Domain: "googleapis.com"},
	}, fcm.Configuration},

	{"E21 internal", fcm.TargetDevice, 500, `{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INTERNAL"}]}}`, fcm.Error{
		Status: "INTERNAL", Message: "Internal error encountered.", Code: fcm.CodeInternal,
	}, fcm.Internal},
	{"E21 internal, without details", fcm.TargetDevice, 500, `{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL"}}`, fcm.Error{
		Status: "INTERNAL", Message: "Internal error encountered.",
	}, fcm.Internal},
	{"E22 overload", fcm.TargetDevice, 503, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE",
 "details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNAVAILABLE"}]}}`, fcm.Error{
		Status: "UNAVAILABLE", Message: "The service is currently unavailable.", Code: fcm.CodeUnavailable,
	}, fcm.Unavailable},
	{"E22 overload, without details", fcm.TargetDevice, 503, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE"}}`, fcm.Error{
		Status: "UNAVAILABLE", Message: "The service is currently unavailable.",
	}, fcm.Unavailable},
	{"S-35 E23 front-end trouble", fcm.TargetDevice, 502, "<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title><p>Please try again in 30 seconds.", fcm.Error{NotJSON: true}, fcm.Unavailable},
	{"S-35 E23 front-end trouble, as 500", fcm.TargetDevice, 500, "<!DOCTYPE html>\n<html lang=en><title>Error 500 (Server Error)!!1</title>", fcm.Error{NotJSON: true}, fcm.Unavailable},
	{"S-35 E23 front-end trouble, as 503", fcm.TargetDevice, 503, "<html><title>503</title></html>", fcm.Error{NotJSON: true}, fcm.Unavailable},
	{"S-21 E24 unknown path", fcm.TargetDevice, 404, "<!DOCTYPE html>\n<html lang=en><title>Error 404 (Not Found)!!1</title><p>The requested URL <code>/v1/oops</code> was not found on this server.", fcm.Error{NotJSON: true}, fcm.Configuration},
	{"S-20 JSON 404 without FcmError", fcm.TargetDevice, 404, `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}`, fcm.Error{
		Status: "NOT_FOUND", Message: noEntity,
	}, fcm.Configuration},
	{"E25 timeout inside", fcm.TargetDevice, 504, `{"error":{"code":504,"message":"Deadline exceeded.","status":"DEADLINE_EXCEEDED"}}`, fcm.Error{
		Status: "DEADLINE_EXCEEDED", Message: "Deadline exceeded.",
	}, fcm.Unavailable},
	{"E26 cancelled", fcm.TargetDevice, 499, `{"error":{"code":499,"message":"The operation was cancelled.","status":"CANCELLED"}}`, fcm.Error{
		Status: "CANCELLED", Message: "The operation was cancelled.",
	}, fcm.Unavailable},
}
