package v1

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/fcm"
)

// An answerer writes one answer.
type answerer struct {
	w       http.ResponseWriter
	compact bool
}

// err writes an error in FCM's envelope.
func (a answerer) err(e *fcm.Error) { a.json(e.HTTPStatus, e.Append(nil)) }

// name writes that the message was accepted, under a name in the caller's own
// spelling of the project. FCM is free to give none, and other far ends have
// none; SDKs want one.
func (a answerer) name(segment, name string) {
	_, id, ok := strings.Cut(name, "/messages/")
	if !ok || id == "" {
		id = string(ccs.NewMessageID())
	}
	text, _ := json.Marshal("projects/" + segment + "/messages/" + id) // a string always can be
	a.json(http.StatusOK, append(append([]byte("{\n  \"name\": "), text...), "\n}\n"...))
}

// json writes text, which is laid out for people, perhaps without its blanks.
func (a answerer) json(status int, text []byte) {
	if a.compact {
		var b bytes.Buffer
		if json.Compact(&b, text) == nil { // it is JSON: we wrote it
			text = append(b.Bytes(), '\n')
		}
	}
	write(a.w, status, "application/json; charset=UTF-8", text)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	head := w.Header()
	head.Set("Content-Type", kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked may be gone
}

// seconds is a wait as Retry-After has it: whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
