package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"penstock/fcm"
	"penstock/fcmsend"
	"penstock/internal/app"
	"penstock/internal/config"
)

// impossible is a registration token that no device has: FCM's are longer, and
// have a colon.
const impossible = "penstock-doctor-no-such-token"

// fcm looks at credentials, connects, gets an access token, and has FCM check a
// message that it will not send.
func (x *examiner) fcm(ctx context.Context, p *config.Project, reached *reachedOnce) []Finding {
	f := &p.Transport.FCM
	var list []Finding
	cred, err := app.Credentials(ctx, f)
	if err != nil {
		list = append(list, Finding{Check: "credentials", Subject: p.Name, Result: Bad, Text: err.Error(),
			Fix: "make a key of the service account in the console (IAM, Service accounts, Keys) and name its file in credentials_file"})
	}
	opt, optErr := app.SenderOptions(f)
	if optErr != nil {
		return append(list, Finding{Check: "endpoint", Subject: p.Name, Result: Bad, Text: optErr.Error(), Fix: "mend that setting"})
	}
	way, ok := reached.reach(ctx, f.CAFile, opt)
	if err != nil {
		return append(list, way...)
	}
	sender, err := fcmsend.New(p.ID(), cred, opt)
	if err != nil {
		list = append(list, Finding{Check: "credentials", Subject: p.Name, Result: Bad, Text: "nothing names the project's id: " + err.Error(),
			Fix: "set project_id, or give credentials that name it"})
		return append(list, way...)
	}
	defer sender.Close()
	shown, email := credentials(p, sender.Project())
	list = append(list, shown)
	list = append(list, way...)
	if !ok {
		return append(list, Finding{Check: "fcm", Subject: p.Name, Result: Unknown, Text: "FCM was not asked: it cannot be reached"})
	}
	found := verdict(ask(ctx, sender), sender.Project(), email)
	found.Subject = p.Name
	list = append(list, tokenFinding(p.Name, sender.State(), found))
	if found.Check != "access-token" {
		list = append(list, found)
	}
	if found.Result != Good {
		return list
	}
	return append(list, number(ctx, p, cred, opt, sender.Project()))
}

// credentials tells whose they are, and the account's address. What can be said
// of a file is said; of the machine's own only the project is known.
func credentials(p *config.Project, project fcm.ProjectID) (f Finding, email string) {
	f = Finding{Check: "credentials", Subject: p.Name, Result: Good}
	var head struct {
		Type      string        `json:"type"`
		Email     string        `json:"client_email"`
		ProjectID fcm.ProjectID `json:"project_id"`
	}
	settings := &p.Transport.FCM
	text := []byte(settings.Credentials.Reveal())
	if settings.CredentialsFile != "" {
		file, err := os.Open(settings.CredentialsFile)
		if err == nil {
			text, err = io.ReadAll(io.LimitReader(file, 64<<10))
			file.Close()
		}
		if err != nil {
			f.Result, f.Text, f.Fix = Bad, err.Error(), "let the user that Penstock runs as read it"
			return f, head.Email
		}
	}
	if settings.ApplicationDefault {
		f.Text = fmt.Sprintf("application default credentials; sends for project %s", project)
		return f, head.Email
	}
	if err := json.Unmarshal(text, &head); err != nil {
		f.Result, f.Text, f.Fix = Bad, "they are no JSON of credentials", "get the file anew from the console"
		return f, head.Email
	}
	f.Text = fmt.Sprintf("%s %s; sends for project %s", head.Type, head.Email, project)
	if head.Email == "" {
		f.Text = fmt.Sprintf("%s; sends for project %s", head.Type, project)
	}
	if head.ProjectID != "" && head.ProjectID != project {
		f.Result = Warning
		f.Text = fmt.Sprintf("%s %s is of project %s, and messages are of project %s", head.Type, head.Email, head.ProjectID, project)
		f.Fix = fmt.Sprintf("if that is meant, let the account send there: %s; else set project_id: %s", grant(project, head.Email), head.ProjectID)
	}
	return f, head.Email
}

// grant is the command that lets an account send for a project.
func grant(project fcm.ProjectID, email string) string {
	if email == "" {
		email = "ACCOUNT"
	}
	return fmt.Sprintf("gcloud projects add-iam-policy-binding %s --member serviceAccount:%s --role roles/firebasecloudmessaging.admin", project, email)
}

// ask has FCM check a message to a token that cannot exist. Only who may send is
// told that the token is none.
func ask(ctx context.Context, sender *fcmsend.Sender) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := sender.Send(ctx, &fcm.SendRequest{Message: &fcm.Message{Token: impossible}, ValidateOnly: true})
	return err
}

// verdict explains what became of the message to the impossible token.
func verdict(err error, project fcm.ProjectID, email string) Finding {
	f := Finding{Check: "fcm", Result: Bad}
	if t, ok := errors.AsType[*fcmsend.TokenError](err); ok {
		return tokenTrouble(t)
	}
	failed, ok := errors.AsType[*fcm.SendError](err)
	if !ok { // FCM takes a token that cannot exist: it is no FCM
		f.Result, f.Text = Warning, "what answers there takes a message to a token that cannot exist: it is not Google's FCM"
		return f
	}
	reason := ""
	if failed.Reply != nil && failed.Reply.Info != nil {
		reason = failed.Reply.Info.Reason
	}
	switch {
	case failed.Class == fcm.MalformedToken, failed.Class == fcm.Unregistered:
		f.Result, f.Text = Good, fmt.Sprintf("it takes messages for project %s", project)
	case reason == "SERVICE_DISABLED":
		f.Text = fmt.Sprintf("the Firebase Cloud Messaging API is not enabled for project %s", project)
		f.Fix = "gcloud services enable fcm.googleapis.com --project " + string(project) + ", and wait some minutes"
	case reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
		f.Text = "the access token is not for messaging: its scopes are too few"
		f.Fix = "use a service account's key; on Google's machines give the instance the scope cloud-platform; for gcloud's, log in with --scopes " + fcmsend.Scope + ",https://www.googleapis.com/auth/cloud-platform"
	case failed.Class == fcm.Configuration && (reason == "IAM_PERMISSION_DENIED" || failed.Reply != nil && failed.Reply.Status == "PERMISSION_DENIED"):
		f.Text = fmt.Sprintf("the account may not send for project %s, or there is no such project", project)
		f.Fix = fmt.Sprintf("check project_id (Firebase console, Project settings); if it is right: %s", grant(project, email))
	case failed.Class == fcm.Configuration:
		f.Text = fmt.Sprintf("FCM does not know the project or the URL: %v", err)
		f.Fix = "check project_id and transport.fcm.endpoint"
	case failed.Class == fcm.Credential:
		f.Check, f.Text = "access-token", "FCM refuses the access token"
		f.Fix = "make a new key of the service account; look at the clock; do not reuse a key of a deleted account"
	case failed.Class == fcm.ProjectQuota, failed.Class == fcm.DeviceQuota:
		f.Result, f.Text = Warning, "the project's quota is used up at present; it may send otherwise"
		f.Fix = "send less at once, or look at the quotas of fcm.googleapis.com in the console"
	case failed.Class == fcm.Unavailable, failed.Class == fcm.Internal:
		f.Result, f.Text = Unknown, fmt.Sprintf("FCM gave no verdict: %v", err)
		f.Fix = "try again in a minute; if it stays: https://status.firebase.google.com, and proxies in between"
	default:
		f.Result, f.Text = Unknown, fmt.Sprintf("FCM answered what was not expected: %v", err)
	}
	return f
}

// tokenFinding says whether an access token was got.
func tokenFinding(project string, st fcmsend.State, found Finding) Finding {
	switch {
	case found.Check == "access-token":
		return found
	case !st.TokenExpiry.IsZero(), found.Result == Good:
		return Finding{Check: "access-token", Subject: project, Result: Good, Text: "the token endpoint takes the credentials"}
	}
	return Finding{Check: "access-token", Subject: project, Result: Unknown, Text: "none was got in time"}
}

// tokenTrouble explains why there is no access token.
func tokenTrouble(e *fcmsend.TokenError) Finding {
	f := Finding{Check: "access-token", Result: Bad, Text: e.Error()}
	switch {
	case errors.Is(e, fcmsend.ErrKeyRevoked):
		f.Fix = "make a new key of the service account in the console, and put it in place of the file: a running server takes it over"
	case errors.Is(e, fcmsend.ErrClockSkew):
		f.Fix = clockFix
	case e.Refused:
		f.Fix = "FCM takes no token of these credentials: make a new key of the service account"
	case e.Temporary() && e.Status == 0 && e.Err != nil:
		text, fix := network(e.Err)
		f.Result, f.Text, f.Fix = Unknown, "the token endpoint: "+text, fix
	case e.Temporary():
		f.Result, f.Fix = Unknown, "try again in a minute"
	default:
		f.Fix = "the credentials are refused: make a new key of the service account, or log in again with gcloud auth application-default login"
	}
	return f
}

// number has the same message checked with the project's number in its URL: the
// sender id must be that number, or devices' tokens are not the project's.
func number(ctx context.Context, p *config.Project, cred fcmsend.Credentials, opt *fcmsend.Options, project fcm.ProjectID) Finding {
	f := Finding{Check: "sender-id", Subject: p.Name, Result: Good, Text: fmt.Sprintf("%s is the number of project %s", p.SenderID, project)}
	sender, err := fcmsend.New(fcm.ProjectID(p.SenderID), cred, opt)
	if err != nil {
		f.Result, f.Text = Unknown, err.Error()
		return f
	}
	defer sender.Close()
	err = ask(ctx, sender)
	failed, ok := errors.AsType[*fcm.SendError](err)
	switch {
	case !ok, failed.Class == fcm.MalformedToken, failed.Class == fcm.Unregistered:
	case failed.Class == fcm.Configuration:
		f.Result = Warning
		f.Text = fmt.Sprintf("%s is not the number of project %s", p.SenderID, project)
		f.Fix = "set sender_id to the number that the Firebase console shows under Project settings, Cloud Messaging"
	default:
		f.Result, f.Text = Unknown, fmt.Sprintf("whether %s is the number of project %s could not be tried: %v", p.SenderID, project, err)
	}
	return f
}
