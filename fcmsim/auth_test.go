package fcmsim_test

import (
	"fmt"
	"testing"
	"time"

	"penstock/fcmsim"
)

const authTail = "Expected OAuth 2 access token, login cookie or other valid authentication credential. " +
	"See https://developers.google.com/identity/sign-in/web/devconsole-project."

// realm begins what a 401 says in WWW-Authenticate.
const realm = `Bearer realm="https://accounts.google.com/"`

// wantError compares an error of HTTP v1 with its body.
func (r reply) wantError(code int, status, message, details string) {
	r.t.Helper()
	if details != "" {
		details = `,"details":` + details
	}
	r.want(code, fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q%s}}`, code, message, status, details))
}

func (r reply) wantChallenge(want string) {
	r.t.Helper()
	if got := r.header.Get("WWW-Authenticate"); got != want {
		r.t.Errorf("WWW-Authenticate is %q, want %q", got, want)
	}
}

func TestM_15_EachTroubleWithACredentialHasItsOwnBody(t *testing.T) {
	c := newClock()
	f := newFace(t, fcmsim.Options{Now: c.now})
	const noCredential = "Request is missing required authentication credential. " + authTail
	const badCredential = "Request had invalid authentication credentials. " + authTail
	const method = `"metadata":{"method":"google.firebase.fcm.v1.FcmService.SendMessage","service":"fcm.googleapis.com"}`
	const missing = `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CREDENTIALS_MISSING","domain":"googleapis.com",` + method + `}]`

	for name, header := range map[string][]string{
		"no header":         nil,
		"a server key":      {"Authorization", "key=" + f.ServerKey()},
		"another scheme":    {"Authorization", "Basic " + f.AccessToken()},
		"an empty token":    {"Authorization", "Bearer "},
		"the scheme alone":  {"Authorization", "Bearer"},
		"a token and no it": {"Authorization", f.AccessToken()},
	} {
		t.Run("M-15 "+name, func(t *testing.T) {
			r := f.send(f.ProjectID(), header...)
			r.t = t
			r.wantError(401, "UNAUTHENTICATED", noCredential, missing)
			r.wantChallenge(realm)
		})
	}
	t.Run("M-15 a token in the URL does not count", func(t *testing.T) {
		r := f.do("POST", "/v1/projects/"+f.ProjectID()+"/messages:send?access_token="+f.AccessToken(), "{}")
		r.t = t
		r.wantError(401, "UNAUTHENTICATED", noCredential, missing)
	})
	t.Run("M-15 an unknown bearer", func(t *testing.T) {
		r := f.send(f.ProjectID(), "Authorization", "Bearer ya29.unknown")
		r.t = t
		r.wantError(401, "UNAUTHENTICATED", badCredential, "")
		r.wantChallenge(realm + `, error="invalid_token"`)
	})
	t.Run("M-15 an expired one", func(t *testing.T) {
		header := f.bearer()
		c.pass(time.Hour)
		r := f.send(f.ProjectID(), header...)
		r.t = t
		r.wantError(401, "UNAUTHENTICATED", badCredential,
			`[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_EXPIRED","domain":"googleapis.com",`+method+`}]`)
		r.wantChallenge(realm + `, error="invalid_token"`)
	})
	t.Run("M-15 the scheme's case is free", func(t *testing.T) {
		if r := f.send(f.ProjectID(), "Authorization", "bearer "+f.AccessToken()); r.status != 200 {
			t.Errorf("got %d %s", r.status, r.body)
		}
	})
	t.Run("M-15 headers that SDKs add are passed over", func(t *testing.T) {
		header := append(f.bearer(), "X-Goog-User-Project", "another", "X-Goog-Api-Client", "gl-go/1.26", "X-Firebase-Client", "fire-admin-go/4.21.0",
			"X-GOOG-API-FORMAT-VERSION", "2", "access_token_auth", "true")
		if r := f.send(f.ProjectID(), header...); r.status != 200 {
			t.Errorf("got %d %s", r.status, r.body)
		}
	})
}

func TestM_16_WhoMayNotSendAndAnUnknownProjectGetOneAnswer(t *testing.T) {
	f := newFace(t, fcmsim.Options{})
	header := f.bearer()
	denied := func(r reply, project string) {
		t.Helper()
		r.wantError(403, "PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied on resource "+
			"'//cloudresourcemanager.googleapis.com/projects/"+project+"' (or it may not exist).",
			`[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"IAM_PERMISSION_DENIED","domain":"cloudresourcemanager.googleapis.com",`+
				`"metadata":{"resource":"projects/`+project+`","permission":"cloudmessaging.messages.create"}}]`)
	}
	denied(f.send("another-project", header...), "another-project")
	denied(f.send("0"+string(f.SenderID()), header...), "0"+string(f.SenderID()))
	f.SetAccess(fcmsim.Access{PermissionDenied: true})
	denied(f.send(f.ProjectID(), header...), f.ProjectID())
	if r := f.send("another-project"); r.status != 401 {
		t.Errorf("without a credential the project counts: %d", r.status)
	}

	f.SetAccess(fcmsim.Access{APIDisabled: true, PermissionDenied: true})
	n := string(f.SenderID())
	url := "https://console.developers.google.com/apis/api/fcm.googleapis.com/overview?project=" + n
	f.send(f.ProjectID(), header...).wantError(403, "PERMISSION_DENIED",
		"Firebase Cloud Messaging API has not been used in project "+n+" before or it is disabled. Enable it by visiting "+url+
			" then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.",
		`[{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Google developers console API activation","url":"`+url+`"}]},`+
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com",`+
			`"metadata":{"service":"fcm.googleapis.com","consumer":"projects/`+n+`"}}]`)

	const scopes = messagingScope + "x https://www.googleapis.com/auth/devstorage.read_only"
	a := f.assertion(time.Now())
	a.claims["scope"] = scopes
	lacking := f.exchange(a.signed(t)).accessToken()
	wantScope := func(r reply) {
		t.Helper()
		r.wantError(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.",
			`[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT","domain":"googleapis.com",`+
				`"metadata":{"method":"google.firebase.fcm.v1.FcmService.SendMessage","service":"fcm.googleapis.com"}}]`)
		r.wantChallenge(realm + `, error="insufficient_scope", scope="https://www.googleapis.com/auth/cloud-platform ` + messagingScope + `"`)
	}
	wantScope(f.send(f.ProjectID(), "Authorization", "Bearer "+lacking))
	f.SetAccess(fcmsim.Access{ScopeLacking: true})
	wantScope(f.send(f.ProjectID(), header...))
	f.SetAccess(fcmsim.Access{})
	for _, scope := range []string{"https://www.googleapis.com/auth/cloud-platform", "email " + messagingScope} {
		a := f.assertion(time.Now())
		a.claims["scope"] = scope
		for _, project := range []string{f.ProjectID(), string(f.SenderID())} {
			if r := f.send(project, "Authorization", "Bearer "+f.exchange(a.signed(t)).accessToken()); r.status != 200 {
				t.Errorf("%s, %s: %d %s", scope, project, r.status, r.body)
			}
		}
	}
}
