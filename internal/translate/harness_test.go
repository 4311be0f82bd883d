package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcm"
	"penstock/internal/translate"
)

// at is a message that was accepted at Unix time 1000 and waited that long.
func at(waited time.Duration) translate.Times {
	accepted := time.Unix(1000, 0)
	return translate.Times{Accepted: accepted, Now: accepted.Add(waited)}
}

// ordered is JSON with its keys in order, numbers digit by digit.
func ordered(t *testing.T, text []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// overHTTP is the message of a legacy request for one target.
func overHTTP(t *testing.T, request string) *ccs.Downstream {
	t.Helper()
	l, err := translate.ParseLegacyJSON([]byte(request), nil)
	if err != nil {
		t.Fatalf("ParseLegacyJSON(%s): %v", request, err)
	}
	m, err := l.At(0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// overXMPP is the same request as a CCS sender writes it.
func overXMPP(t *testing.T, request string) *ccs.Downstream {
	t.Helper()
	m, err := ccs.ParseFromApp([]byte(`{"message_id":"m1",` + strings.TrimPrefix(request, "{")))
	if err != nil {
		t.Fatalf("ParseFromApp(%s): %v", request, err)
	}
	return m.(*ccs.Downstream)
}

// ways are the two protocols that bring the same words.
var ways = []struct {
	name string
	read func(*testing.T, string) *ccs.Downstream
}{{"HTTP", overHTTP}, {"XMPP", overXMPP}}

// wantV1 translates m and compares.
func wantV1(t *testing.T, m *ccs.Downstream, at translate.Times, opt *translate.Options, want string) {
	t.Helper()
	r, err := translate.ToV1(m, at, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Errorf("breaks a rule of v1: %v", err)
	}
	written := r.Append(nil)
	if _, err := fcm.ParseStrict(written); err != nil {
		t.Errorf("is not v1: %v\n%s", err, written)
	}
	if got, want := ordered(t, written), ordered(t, []byte(want)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// wantClass checks err for class and, if one is given, the field that it names.
func wantClass(t *testing.T, err error, class fcm.Class, field string) *fcm.SendError {
	t.Helper()
	e, ok := errors.AsType[*fcm.SendError](err)
	if !ok || e.Class != class {
		t.Fatalf("got %v, want class %v", err, class)
	}
	if field == "" {
		return e
	}
	if v := e.Violations(); len(v) != 1 || v[0].Field != field || v[0].Description == "" {
		t.Errorf("names %+v, want %s", v, field)
	}
	return e
}
