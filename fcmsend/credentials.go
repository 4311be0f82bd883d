package fcmsend

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"penstock/fcm"
)

// Scope is what an access token must allow.
const Scope = "https://www.googleapis.com/auth/firebase.messaging"

// maxCredentialFile bounds what is read of a credential file.
const maxCredentialFile = 64 << 10

// Credentials give access tokens. A [Sender] asks when it needs one, one call
// at a time, and remembers it for all its messages.
type Credentials interface {
	// Token gets a new access token. It uses client for all HTTP and returns
	// soon after ctx ends. If it cannot see a way to another token than last
	// time, it may return that one.
	Token(ctx context.Context, client *http.Client) (Token, error)
}

// A Token is an access token and the time of its end; a zero Expiry: none.
type Token struct {
	Value  string
	Expiry time.Time
}

// hidden stands where a token is not shown.
const hidden = "[access token]"

// Format implements [fmt.Formatter] for every verb, and leaves the value out.
func (Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue leaves the value out.
func (Token) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText makes encoders leave the value out.
func (Token) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Static gives the same token for ever, for a far end that wants a fixed key: a
// simulator, or another connection server.
func Static(value string) Credentials {
	return static{func() Token { return Token{Value: value} }}
}

type static struct {
	token func() Token // a function: formatting a struct around it does not show it
}

func (s static) Token(context.Context, *http.Client) (Token, error) { return s.token(), nil }

// FromTokenSource takes tokens from ts, which must not cache them beyond their
// end and bounds its own requests.
func FromTokenSource(ts oauth2.TokenSource) Credentials { return tokenSource{ts} }

type tokenSource struct{ ts oauth2.TokenSource }

func (s tokenSource) Token(context.Context, *http.Client) (Token, error) {
	return fromOAuth(s.ts.Token())
}

func fromOAuth(t *oauth2.Token, err error) (Token, error) {
	if err != nil {
		return Token{}, err
	}
	return Token{Value: t.AccessToken, Expiry: t.Expiry}, nil
}

// Inline reads credentials from JSON: a service account's key, workload
// identity (external_account), a user's credentials of gcloud, or one of these
// that impersonates a service account. The file's URLs are trusted.
func Inline(data []byte) (Credentials, error) {
	c, err := parseCredentials(data)
	if err != nil {
		return nil, fmt.Errorf("fcmsend: read credentials: %w", err)
	}
	return c, nil
}

// File is [Inline] with the content of a file. While a sender is in use, and
// while FCM or the token endpoint refuses what it has, it looks every few seconds
// whether the file has changed, and takes the new content for its next token.
// Content that cannot be used is reported to [Events], and the sender stays with
// what it had.
func File(path string) (Credentials, error) {
	f := &credentialFile{path: path}
	if _, err := f.reload(); err != nil {
		return nil, fmt.Errorf("fcmsend: read credentials: %w", err)
	}
	return f, nil
}

// Default finds the credentials of the machine: the file that
// GOOGLE_APPLICATION_CREDENTIALS names, the one that gcloud wrote, both followed
// as [File] does, or the metadata server, whose host GCE_METADATA_HOST may
// change. The metadata server is asked for the project at once, as long as ctx
// lasts.
func Default(ctx context.Context) (Credentials, error) {
	if path := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); path != "" {
		c, err := File(path)
		if err != nil {
			return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err)
		}
		return c, nil
	}
	if path := gcloudFile(); path != "" {
		return File(path)
	}
	return machineCredentials(ctx)
}

var errNoDefault = errors.New("there is no usable file and no metadata server")

// gcloudFile is the path of the file that gcloud wrote; empty: there is none.
func gcloudFile() string {
	var base string
	var err error
	if runtime.GOOS == "windows" {
		base, err = os.UserConfigDir()
	} else if base, err = os.UserHomeDir(); err == nil {
		base = filepath.Join(base, ".config")
	}
	if err != nil {
		return ""
	}
	path := filepath.Join(base, "gcloud", "application_default_credentials.json")
	if _, err = os.Stat(path); err != nil {
		return ""
	}
	return path
}

// machineCredentials are those of the service account of the machine.
func machineCredentials(ctx context.Context) (Credentials, error) {
	if !metadata.OnGCEWithContext(ctx) {
		return nil, fmt.Errorf("fcmsend: find default credentials: %w", errNoDefault)
	}
	project, err := metadata.GetWithContext(ctx, "project/project-id")
	if ctx.Err() != nil {
		return nil, errors.New("fcmsend: find default credentials: the metadata server does not answer")
	}
	if err != nil {
		project = "" // it need not know
	}
	return metadataServer{fcm.ProjectID(strings.TrimSpace(project))}, nil
}

type metadataServer struct{ project fcm.ProjectID }

func (m metadataServer) projectID() fcm.ProjectID { return m.project }

// Token goes to the metadata server by the library's own client, which no proxy
// stands before.
func (m metadataServer) Token(ctx context.Context, _ *http.Client) (Token, error) {
	answer, err := metadata.GetWithContext(ctx, "instance/service-accounts/default/token?scopes="+url.QueryEscape(Scope))
	if err != nil {
		return Token{}, err
	}
	var got struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"` // seconds
	}
	if json.Unmarshal([]byte(answer), &got) != nil || got.ExpiresIn <= 0 || got.ExpiresIn > 1<<30 {
		return Token{}, errors.New("the metadata server's answer holds no token")
	}
	return Token{Value: got.AccessToken, Expiry: time.Now().Add(time.Duration(got.ExpiresIn) * time.Second)}, nil
}

// A keyFile is the content of a credential file.
type keyFile struct {
	data    []byte
	kind    google.CredentialsType
	project fcm.ProjectID
}

func (k *keyFile) projectID() fcm.ProjectID { return k.project }

func (k *keyFile) String() string   { return fmt.Sprintf("[credentials of kind %s]", k.kind) }
func (k *keyFile) GoString() string { return k.String() }

func (k *keyFile) Token(ctx context.Context, client *http.Client) (Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	c, err := google.CredentialsFromJSONWithType(ctx, k.data, k.kind, Scope)
	if err != nil {
		return Token{}, err
	}
	return fromOAuth(c.TokenSource.Token())
}

// parseCredentials looks at all that can be looked at without a request, so
// that a damaged file is refused before it replaces a good one. Its errors
// repeat nothing of the file but its kind.
func parseCredentials(data []byte) (*keyFile, error) {
	var head struct {
		Type        google.CredentialsType `json:"type"`
		ProjectID   fcm.ProjectID          `json:"project_id"`
		ClientEmail string                 `json:"client_email"`
		PrivateKey  string                 `json:"private_key"`
		TokenURI    string                 `json:"token_uri"`
	}
	if json.Unmarshal(data, &head) != nil {
		return nil, errors.New("they are no JSON object with the fields of credentials")
	}
	switch head.Type {
	case google.ServiceAccount:
		if head.ClientEmail == "" {
			return nil, errors.New("client_email is missing")
		}
		if !isRSAKey(head.PrivateKey) {
			return nil, errors.New("private_key is missing or no RSA key in PEM")
		}
	case google.AuthorizedUser, google.ExternalAccount, google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount:
	default:
		return nil, fmt.Errorf("type is %.40q, and service_account, external_account, authorized_user and impersonated_service_account are known", head.Type)
	}
	k := &keyFile{data: data, kind: head.Type, project: head.ProjectID}
	if _, err := google.CredentialsFromJSONWithType(context.Background(), data, head.Type, Scope); err != nil {
		return nil, fmt.Errorf("fields of %s are missing or wrong", head.Type)
	}
	return k, nil
}

func isRSAKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		_, isRSA := key.(*rsa.PrivateKey)
		return isRSA
	}
	_, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	return err == nil
}

// A credentialFile is a keyFile that follows its file.
type credentialFile struct {
	path string

	mu    sync.Mutex // guards what follows
	cur   *keyFile
	seen  os.FileInfo // of the file when it was last read, good or not
	wrong string      // why it could not be read the last time; empty: it could
}

func (f *credentialFile) String() string   { return f.path }
func (f *credentialFile) GoString() string { return f.path }

func (f *credentialFile) Token(ctx context.Context, client *http.Client) (Token, error) {
	f.mu.Lock()
	cur := f.cur
	f.mu.Unlock()
	return cur.Token(ctx, client)
}

func (f *credentialFile) projectID() fcm.ProjectID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cur.project
}

// reload takes the file's new content and reports whether it did. A file that
// has not changed since it was last read is left alone: it is the same one, with
// the same time and size. So is what is in use when the new content is no good.
// A file that is briefly missing, because it is being replaced, is no change.
// One that cannot be read is tried again, and complained of once.
func (f *credentialFile) reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		if f.cur != nil && errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return false, f.unreadable(err)
	}
	if f.seen != nil && os.SameFile(info, f.seen) && info.Size() == f.seen.Size() && info.ModTime().Equal(f.seen.ModTime()) {
		return false, nil
	}
	data, err := readFile(f.path)
	if err != nil {
		return false, f.unreadable(err)
	}
	f.seen, f.wrong = info, ""
	next, err := parseCredentials(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.path, err)
	}
	if f.cur != nil && next.project != f.cur.project {
		return false, fmt.Errorf("%s: it is of project %.100q now, and was of %.100q", f.path, next.project, f.cur.project)
	}
	f.cur = next
	return true, nil
}

// unreadable is err, unless it was returned before. The lock is held.
func (f *credentialFile) unreadable(err error) error {
	if f.wrong == err.Error() {
		return nil
	}
	f.wrong = err.Error()
	return err
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxCredentialFile+1))
	if err == nil && len(data) > maxCredentialFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxCredentialFile)
	}
	return data, err
}
