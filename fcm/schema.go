package fcm

import (
	"encoding/json"
	"reflect"
	"strings"
)

// A form is how the value of a field is read and written.
type form uint8

const (
	formText form = iota
	formDate      // a string that holds a date of RFC 3339
	formEnum      // a string that holds a name
	formBool
	formDuration
	formDurations
	formInt32
	formFloat
	formFloatOrNil
	formTexts
	formMap
	formRaw    // an object that is free inside
	formObject // an object of the schema
)

// A schema is one object of the API: its members' names, their forms and
// places. It is taken from the tags of the Go struct once, so that the names
// stand there and nowhere else:
//
//   - json is the name in snake_case; camelCase is derived from it.
//   - proto is Google's name of the type, where Go's type does not tell it.
//   - enum is Google's name of the enumeration.
//   - oneof is the group of which one field may be set.
type schema struct {
	fields  []field // in the order of the struct
	byName  map[string]*field
	unknown int // the index of the struct's field for what the schema does not know
}

type field struct {
	name   string // in snake_case
	prefix string // the name in quotes and the colon
	index  int    // in the struct
	form   form
	proto  string   // the type, as Google's error texts name it
	enum   []string // the names of a formEnum
	oneof  string
	schema *schema // of a formObject
}

const (
	typePrefix = "type.googleapis.com/"
	fcmPrefix  = "google.firebase.fcm.v1."
)

// enums are the names of each enumeration, in the order of their numbers. A
// request may use others, which a newer revision may know, unless it is read
// strictly.
var enums = map[string][]string{
	"AndroidMessagePriority":                     {"NORMAL", "HIGH"},
	"AndroidNotification.NotificationPriority":   notificationPriorities,
	"AndroidNotificationV2.NotificationPriority": notificationPriorities,
	"AndroidNotification.Visibility":             visibilities,
	"AndroidNotificationV2.Visibility":           visibilities,
	"AndroidNotification.Proxy":                  {"PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"},
}

var (
	notificationPriorities = []string{"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"}
	visibilities           = []string{"VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"}
)

var (
	requestSchema = schemaOf(reflect.TypeFor[SendRequest](), make(map[reflect.Type]*schema))
	messageSchema = requestSchema.byName["message"].schema
)

// schemaOf reads the tags of t and of what it holds. known are the schemas made
// so far.
func schemaOf(t reflect.Type, known map[reflect.Type]*schema) *schema {
	if s := known[t]; s != nil {
		return s
	}
	s := &schema{byName: make(map[string]*field)}
	known[t] = s
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Type == reflect.TypeFor[Unknown]() {
			s.unknown = i
			continue
		}
		name := sf.Tag.Get("json")
		f := field{name: name, prefix: `"` + name + `":`, index: i, oneof: sf.Tag.Get("oneof")}
		f.form, f.proto = formOf(sf)
		if enum := sf.Tag.Get("enum"); f.form == formEnum {
			f.enum = enums[enum]
		}
		if f.form == formObject {
			f.schema = schemaOf(sf.Type.Elem(), known)
		}
		s.fields = append(s.fields, f)
	}
	for i := range s.fields {
		f := &s.fields[i]
		s.byName[f.name] = f
		s.byName[camelCase(f.name)] = f
	}
	return s
}

// formOf is the form of a struct's field, and the type as error texts name it.
func formOf(sf reflect.StructField) (form, string) {
	proto := sf.Tag.Get("proto")
	if !strings.Contains(proto, ".") {
		proto = fcmPrefix + proto
	}
	proto = typePrefix + proto
	switch sf.Type {
	case reflect.TypeFor[bool]():
		return formBool, "TYPE_BOOL"
	case reflect.TypeFor[*Duration]():
		return formDuration, typePrefix + "google.protobuf.Duration"
	case reflect.TypeFor[[]Duration]():
		return formDurations, typePrefix + "google.protobuf.Duration"
	case reflect.TypeFor[*int32]():
		return formInt32, "TYPE_INT32"
	case reflect.TypeFor[float64]():
		return formFloat, "TYPE_FLOAT"
	case reflect.TypeFor[*float64]():
		return formFloatOrNil, typePrefix + "google.protobuf.FloatValue"
	case reflect.TypeFor[[]string]():
		return formTexts, "TYPE_STRING"
	case reflect.TypeFor[map[string]string]():
		return formMap, "TYPE_STRING"
	case reflect.TypeFor[json.RawMessage]():
		return formRaw, typePrefix + "google.protobuf.Struct"
	}
	if sf.Type.Kind() == reflect.Pointer {
		return formObject, proto
	}
	if enum := sf.Tag.Get("enum"); enum != "" {
		return formEnum, typePrefix + fcmPrefix + enum
	}
	if sf.Tag.Get("proto") != "" {
		return formDate, proto
	}
	return formText, "TYPE_STRING"
}

// camelCase is the other spelling of a name in snake_case.
func camelCase(name string) string {
	var b strings.Builder
	for i, part := range strings.Split(name, "_") {
		if i > 0 {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		b.WriteString(part)
	}
	return b.String()
}
