package fcmsim

import "strings"

// A fieldKind is what a field of a proto message holds.
type fieldKind uint8

const (
	kindString fieldKind = iota
	kindBool
	kindInt32
	kindFloat
	kindEnum
	kindDuration
	kindTimestamp
	kindMessage
	kindStringMap // map<string, string>
	kindStruct    // an object of any JSON, passed on as it is
)

// A messageType is one message of the schema.
type messageType struct {
	name   string // in package google.firebase.fcm.v1
	fields []*fieldType
	lookup map[string]*fieldType // by both spellings
}

// A fieldType is one field of a messageType.
type fieldType struct {
	name  string // snake_case, as in the proto; errors name it so
	kind  fieldKind
	list  bool
	oneof string       // of which at most one field may be set; empty: of none
	sub   *messageType // of kindMessage
	enum  *enumType    // of kindEnum
}

// An enumType is a set of names; the index of each is its number.
type enumType struct {
	name   string
	values []string
}

func message(name string, fields ...*fieldType) *messageType {
	m := &messageType{name: name, fields: fields, lookup: make(map[string]*fieldType, 2*len(fields))}
	for _, f := range fields {
		m.lookup[f.name] = f
		m.lookup[camelCase(f.name)] = f
	}
	return m
}

func of(kind fieldKind, names ...string) []*fieldType {
	list := make([]*fieldType, len(names))
	for i, name := range names {
		list[i] = &fieldType{name: name, kind: kind}
	}
	return list
}

func listOf(kind fieldKind, names ...string) []*fieldType {
	list := of(kind, names...)
	for _, f := range list {
		f.list = true
	}
	return list
}

func sub(name string, m *messageType) *fieldType {
	return &fieldType{name: name, kind: kindMessage, sub: m}
}

func enumOf(name string, e *enumType) *fieldType {
	return &fieldType{name: name, kind: kindEnum, enum: e}
}

func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		if w := words[i]; w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// typeName is how errors call what a field holds.
func (f *fieldType) typeName() string {
	switch f.kind {
	case kindBool:
		return "TYPE_BOOL"
	case kindInt32:
		return "TYPE_INT32"
	case kindFloat:
		return "TYPE_FLOAT"
	case kindEnum:
		return typePrefix + "google.firebase.fcm.v1." + f.enum.name
	case kindDuration:
		return typePrefix + "google.protobuf.Duration"
	case kindTimestamp:
		return typePrefix + "google.protobuf.Timestamp"
	case kindMessage:
		if strings.HasPrefix(f.sub.name, "google.") {
			return typePrefix + f.sub.name
		}
		return typePrefix + "google.firebase.fcm.v1." + f.sub.name
	case kindStringMap:
		return "Map"
	case kindStruct:
		return typePrefix + "google.protobuf.Struct"
	default:
		return "TYPE_STRING"
	}
}

// value is the enum's name that a request means: names in any case, as senders
// write them, and numbers.
func (e *enumType) value(text string) (string, bool) {
	for _, v := range e.values {
		if strings.EqualFold(v, text) {
			return v, true
		}
	}
	return "", false
}
