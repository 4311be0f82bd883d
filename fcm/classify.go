package fcm

// malformedToken is FCM's sentence for an address that is none. It decides only
// where older replies tell nothing but INVALID_ARGUMENT, without BadRequest.
const malformedToken = "The registration token is not a valid FCM registration token"

// Classify says what e, the answer to a message for that kind of target, means.
// The first of these that is there and known decides (docs/fcm-http.md,
// Outcomes):
//
//  1. Apple's 410 Unregistered, unless FcmError says more than
//     INVALID_ARGUMENT or UNSPECIFIED_ERROR;
//  2. the code of FcmError;
//  3. Apple's 403: it does not accept the project's key;
//  4. the reason of ErrorInfo;
//  5. a violation of the field message.token or message.fid;
//  6. the status, then that of HTTP.
//
// Google's sentence never decides where there is a detail, with one exception,
// and a status never does: 401 may be about our access token or about Apple's
// key, 404 about a device or about a URL. A nil Error is one that never came.
func Classify(target TargetKind, e *Error) Class {
	if e == nil {
		return Unavailable
	}
	if e.APNS != nil && e.APNS.StatusCode == 410 && e.APNS.Reason == "Unregistered" {
		switch e.Code {
		case "", CodeInvalidArgument, CodeUnspecified:
			return Unregistered
		}
	}
	if c := classOfCode(target, e); c != 0 {
		return c
	}
	if e.APNS != nil && e.APNS.StatusCode == 403 {
		return ThirdPartyAuth
	}
	if e.Info != nil {
		switch e.Info.Reason {
		case "RATE_LIMIT_EXCEEDED":
			return ProjectQuota
		case "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING":
			return Credential
		case "IAM_PERMISSION_DENIED", "SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
			return Configuration
		}
	}
	if e.blamesToken() {
		return MalformedToken
	}
	if c := classOfStatus(e.Status); c != 0 {
		return c
	}
	return classOfHTTP(e.HTTPStatus, e.NotJSON)
}

// classOfCode is what FcmError says; 0: nothing, or nothing known.
func classOfCode(target TargetKind, e *Error) Class {
	switch e.Code {
	case CodeUnregistered:
		return Unregistered
	case CodeSenderIDMismatch:
		return SenderIDMismatch
	case CodeThirdPartyAuth:
		return ThirdPartyAuth
	case CodeQuotaExceeded:
		if target == TargetTopic || target == TargetCondition {
			return TopicQuota
		}
		return DeviceQuota
	case CodeUnavailable:
		return Unavailable
	case CodeInternal:
		return Internal
	case CodeInvalidArgument:
		if e.blamesToken() || e.BadRequest == nil && e.Message == malformedToken {
			return MalformedToken
		}
		return InvalidMessage
	}
	return 0
}

// blamesToken reports whether a violation is about the address. INVALID_ARGUMENT
// alone proves nothing against it.
func (e *Error) blamesToken() bool {
	if e.BadRequest == nil {
		return false
	}
	for _, v := range e.BadRequest.Violations {
		if v.Field == "message.token" || v.Field == "message.fid" {
			return true
		}
	}
	return false
}

// classOfStatus is what a canonical status says by itself; 0: it is none.
func classOfStatus(status string) Class {
	switch status {
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE":
		return InvalidMessage
	case "UNAUTHENTICATED":
		return Credential
	case "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED":
		return Configuration
	case "RESOURCE_EXHAUSTED":
		return ProjectQuota
	case "INTERNAL", "UNKNOWN", "DATA_LOSS":
		return Internal
	case "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED":
		return Unavailable
	}
	return 0
}

// classOfHTTP is what the status of HTTP says by itself. An unknown 4xx holds
// the lane and loses no message.
func classOfHTTP(status int, notJSON bool) Class {
	switch {
	case status == 400, status == 413:
		return InvalidMessage
	case status == 401:
		return Credential
	case status == 429:
		return ProjectQuota
	case status == 500 && !notJSON:
		return Internal
	case status == 408, status == 499, status < 300, status >= 500:
		return Unavailable
	}
	return Configuration
}
