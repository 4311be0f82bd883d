package xmpp_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// roomy are limits that what was written anew keeps, too: escapes and
// declarations make it longer.
var roomy = xmpp.Limits{Bytes: 4 << 20, Elements: 64, Depth: 8, Attrs: 64}

// appendElement writes an element as it was understood: names by namespace,
// under prefixes of our own, texts decoded and escaped anew, text in front of
// children.
func appendElement(dst []byte, e xmpp.Element) []byte {
	const reserved = "http://www.w3.org/XML/1998/namespace"
	declare := func(prefix, space string) {
		dst = fmt.Appendf(dst, " xmlns:%s='", prefix)
		dst = append(xmpp.AppendEscaped(dst, space), '\'')
	}
	name := string(e.Local())
	switch space := string(e.Space()); space {
	case "":
		dst = append(append(dst, '<'), name...)
		dst = append(dst, " xmlns=''"...)
	case reserved:
		name = "xml:" + name
		dst = append(append(dst, '<'), name...)
	default:
		name = "e:" + name
		dst = append(append(dst, '<'), name...)
		declare("e", space)
	}
	i := 0
	e.Attrs(func(space, local, value string) {
		prefix := ""
		switch space {
		case "":
		case reserved:
			prefix = "xml:"
		default:
			i++
			declare(fmt.Sprint("a", i), space)
			prefix = fmt.Sprintf("a%d:", i)
		}
		dst = fmt.Appendf(dst, " %s%s='", prefix, local)
		dst = append(xmpp.AppendEscaped(dst, value), '\'')
	})
	dst = xmpp.AppendText(append(dst, '>'), e.Text())
	for c := range e.Children() {
		dst = appendElement(dst, c)
	}
	return append(append(append(dst, "</"...), name...), '>')
}

// FuzzReaderAgain writes what was read, reads that, and writes it again: both
// readings must be the same. The first is lenient towards payloads, the second
// is not: whatever we accept has one meaning for everybody when we have written
// it.
func FuzzReaderAgain(f *testing.F) {
	seeds(f)
	for _, s := range []string{
		`<a xml:lang='de' xmlns:b='u' b:c='&#10;&#13;&#9;' c="'">&#13;&gt;]]&gt;<b:d/></a>`,
		`<xml:a/>`, `<a xmlns=''><b xmlns='u&#38;v'/></a>`,
		`<message><gcm xmlns="google:mobile:data">{"k":"</x></gcm><gcm xmlns='google:mobile:data'>"}</gcm></message>`,
	} {
		f.Add(s, uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, _ uint8) {
		r := xmpp.NewReader(strings.NewReader(okHeader+text), xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			first := appendElement(nil, e)
			second, err := readOne(first)
			if err != nil {
				t.Fatalf("what we wrote we do not read: %v:\n%s", err, first)
			}
			if again := appendElement(nil, second); !bytes.Equal(first, again) {
				t.Fatalf("%q\nfirst  %q\nsecond %q", text, first, again)
			}
		}
	})
}

// readOne reads one element, strictly.
func readOne(text []byte) (xmpp.Element, error) {
	r := xmpp.NewReader(strings.NewReader(okHeader+string(text)), xmpp.ReaderOptions{Limits: roomy, StrictPayload: true})
	if _, err := r.Header(); err != nil {
		return xmpp.Element{}, err
	}
	return r.Next()
}

// FuzzStanzaToMessage goes the whole way of a payload, from bytes of a stream to
// the message that a program is given, then back and there again.
func FuzzStanzaToMessage(f *testing.F) {
	for _, payload := range []string{
		`{"to":"T","message_id":"m-1","data":{"k":"a & b < c > d"}}`,
		`{&quot;to&quot;:&quot;T&quot;,&#34;message_id&#34;:"m-1"}`,
		`<![CDATA[{"to":"T","message_id":"m-1","data":{"k":"]]]]><![CDATA[>"}}]]>`,
		`{"to":"T","message_id":"m-1","data":{"k":"<b></gcm></message>"}}`,
		`{"to":"/topics/x","message_id":"\u003c\ud83d\ude00","time_to_live":"60","notification":{"title":"é€😀"},"dry_run":true}`,
		`{"to":"T","message_id":"m-1","message_type":"ack"}`,
		`{"message_type":"nack"}`, `{"message_id":12}`, `[]`, ``,
	} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := xmpp.NewReader(strings.NewReader(okHeader+xmpp.MessageOpen+text+xmpp.MessageClose), xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		e, err := r.Next()
		if err != nil {
			return
		}
		payload, _ := e.Payload()
		first, err := ccs.ParseFromApp(payload)
		if err != nil {
			return
		}
		for name, escape := range map[string]func(dst, s []byte) []byte{
			"as text": xmpp.AppendText[[]byte], "in full": xmpp.AppendEscaped[[]byte],
		} {
			stanza := escape([]byte(xmpp.MessageOpen), ccs.AppendFromApp(nil, first))
			e, err := readOne(append(stanza, xmpp.MessageClose...))
			if err != nil {
				t.Fatalf("escaped %s: %v:\n%s", name, err, stanza)
			}
			payload, ok := e.Payload()
			if !ok {
				t.Fatalf("escaped %s, no payload:\n%s", name, stanza)
			}
			second, err := ccs.ParseFromApp(payload)
			if err != nil || !reflect.DeepEqual(first, second) {
				t.Fatalf("escaped %s: %v\nfirst  %+v\nsecond %+v", name, err, first, second)
			}
		}
	})
}
