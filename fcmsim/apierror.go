package fcmsim

import (
	"bytes"
	"encoding/json"
	"fmt"
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
