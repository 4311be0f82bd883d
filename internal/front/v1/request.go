package v1

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"

	"penstock/fcm"
)

// projectOf takes the project out of a path, as it was sent: a spelling that
// only resolves to such a path is another path. The colon of messages:send may
// be escaped, as some programs do.
func projectOf(u *url.URL) (segment string, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/v1/projects/")
	if !ok || u.Scheme != "" && u.Host == "" {
		return "", false
	}
	segment, method, _ := strings.Cut(rest, "/")
	switch method {
	case "messages:send", "messages%3Asend", "messages%3asend":
	default:
		return "", false
	}
	if strings.Trim(segment, ".") == "" {
		return "", false
	}
	for i := range len(segment) {
		c := segment[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return "", false
		}
	}
	return segment, true
}

// secrets are the query parameters in which Google takes credentials.
var secrets = [...]string{"access_token", "key", "oauth_token"}

// secretInURL looks for a credential among the query parameters. It looks at
// their names alone, by hand: also what does not parse may hold one.
func secretInURL(query string) (name string, found bool) {
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		part, _, _ = strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(part); err == nil {
			part = plain
		}
		for _, s := range secrets {
			if strings.EqualFold(part, s) {
				return s, true
			}
		}
	}
	return "", false
}

// A query is what the parameters ask for.
type query struct{ compact bool }

// readQuery takes the parameters that every method of Google's has. Of equal
// names the last counts; unknown ones are ignored, and so are those that choose
// parts or versions of an answer that has but one.
func readQuery(raw string) (query, *fcm.Error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, invalid("The query parameters cannot be read.")
	}
	last := func(name string) string {
		if list := values[name]; len(list) > 0 {
			return list[len(list)-1]
		}
		return ""
	}
	if alt := last("alt") + last("$alt"); alt != "" && !strings.HasPrefix(alt, "json") {
		return query{}, invalid(`The query parameter alt must be "json".`)
	}
	if last("callback") != "" {
		return query{}, invalid("The query parameter callback is not supported.")
	}
	pretty := last("prettyPrint") + last("$prettyPrint")
	return query{compact: strings.EqualFold(pretty, "false") || pretty == "0"}, nil
}

// readBody takes the body of a request that is labelled as it should be,
// inflated if it was compressed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *fcm.Error) {
	if !isJSON(r.Header.Values("Content-Type")) {
		return nil, replyOf(http.StatusUnsupportedMediaType, "INVALID_ARGUMENT", "Content-Type must be application/json.")
	}
	zipped := false
	switch enc := r.Header.Values("Content-Encoding"); {
	case len(enc) == 0:
	case len(enc) == 1 && (enc[0] == "" || strings.EqualFold(enc[0], "identity")):
	case len(enc) == 1 && strings.EqualFold(enc[0], "gzip"):
		zipped = true
	default:
		w.Header().Set("Accept-Encoding", "gzip")
		return nil, replyOf(http.StatusUnsupportedMediaType, "INVALID_ARGUMENT", "Content-Encoding must be gzip, or absent.")
	}
	if r.ContentLength > MaxBody {
		return nil, tooLarge()
	}
	sent := http.MaxBytesReader(w, r.Body, MaxBody)
	if !zipped {
		body, err := io.ReadAll(sent)
		return body, readError(err)
	}
	z, err := gzip.NewReader(sent)
	if err != nil {
		return nil, readError(err)
	}
	body, err := io.ReadAll(io.LimitReader(z, MaxBody+1))
	if len(body) > MaxBody {
		return nil, tooLarge()
	}
	return body, readError(err)
}

// readError is the answer about a body that could not be read.
func readError(err error) *fcm.Error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*http.MaxBytesError)):
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return replyOf(http.StatusRequestTimeout, "INVALID_ARGUMENT", "The body took too long.")
	}
	return invalid("The body could not be read.")
}

// isJSON takes a missing type for the only one that there is.
func isJSON(types []string) bool {
	switch {
	case len(types) == 0 || len(types) == 1 && types[0] == "":
		return true
	case len(types) > 1:
		return false
	}
	kind, _, err := mime.ParseMediaType(types[0])
	return kind == "application/json" && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

func tooLarge() *fcm.Error {
	return replyOf(http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "The body is too large: at most 1048576 bytes are allowed.")
}

func invalid(text string) *fcm.Error {
	return replyOf(http.StatusBadRequest, "INVALID_ARGUMENT", text)
}

func replyOf(status int, name, text string) *fcm.Error {
	return &fcm.Error{HTTPStatus: status, Status: name, Message: text}
}
