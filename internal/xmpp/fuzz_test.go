package xmpp_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// seeds are stanzas that fuzzing starts from.
func seeds(f *testing.F) {
	f.Helper()
	for _, s := range []string{
		ackStanza, downstreamStanza, entityStanza,
		`<a b="&lt;&#65;" c='d'>e<f xmlns="g"/>h<![CDATA[<i>]]>]]&gt;</a>`,
		`<x:a xmlns:x="u" x:b="1" b="2"><x:c xmlns:x="v"/></x:a>`,
		`<message><gcm xmlns="google:mobile:data">{"m":"hello <b>bold</b> & \" &amp; </gcm>"}</gcm></message>`,
		"<größe>\r\né€😀\ttext ]] > </größe >", " \n<a/>\t<b/> </stream:stream>",
		`<a><!-- --></a>`, `<?xml version="1.0"?>`, `<!DOCTYPE a>`, `<a xmlns:xml="b"/>`, `<a>&#xd800;</a>`, "<a>\xff</a>",
	} {
		f.Add(s, uint8(3))
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, stanza, ok := strings.Cut(line, "C: "); ok && !strings.Contains(stanza, "<stream:") {
				f.Add(stanza, uint8(7))
			}
		}
	}
}

// FuzzReader compares with encoding/xml: what we accept without the kindness
// towards payloads, encoding/xml accepts too and reads the same. The other way
// round holds for nothing: it lets pass what is restricted, undeclared or twice.
func FuzzReader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string, _ uint8) {
		r := xmpp.NewReader(strings.NewReader(okHeader+text), xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin, StrictPayload: true})
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(okHeader + text))
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		for {
			e, err := r.Next()
			if err != nil {
				if _, ok := errors.AsType[*ccs.StreamError](err); !ok && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, xmpp.ErrClosed) {
					t.Fatalf("an error of no known kind: %v", err)
				}
				return
			}
			var theirs xml.StartElement
			for theirs.Name.Local == "" {
				tok, err := d.Token()
				if err != nil {
					if olderNames(text, err) {
						return
					}
					t.Fatalf("encoding/xml refuses what we accept: %v", err)
				}
				if s, ok := tok.(xml.StartElement); ok {
					theirs = s
				}
			}
			if !same(t, d, e, theirs, text) {
				return
			}
		}
	})
}

// olderNames reports whether encoding/xml refused a name with characters that
// only the fifth edition of XML 1.0 allows in names; it follows the fourth.
func olderNames(text string, err error) bool {
	return strings.Contains(err.Error(), "invalid XML name") && strings.ContainsFunc(text, func(c rune) bool { return c >= utf8.RuneSelf })
}

// same compares an element with what encoding/xml reads from the start tag on.
// It returns false if encoding/xml went its own way for a known reason.
func same(t *testing.T, d *xml.Decoder, e xmpp.Element, start xml.StartElement, text string) bool {
	t.Helper()
	// White space in a value, hence in a namespace, becomes spaces by XML 1.0,
	// section 3.3.3, which encoding/xml leaves out. Here a reference to white
	// space is made a space too.
	spaces := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	if string(e.Local()) != start.Name.Local || spaces.Replace(string(e.Space())) != spaces.Replace(start.Name.Space) {
		t.Fatalf("{%s}%s, but encoding/xml says %v", e.Space(), e.Local(), start.Name)
	}
	for _, a := range start.Attr {
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			continue
		}
		v, ok := e.Attr(a.Name.Local)
		if got, want := spaces.Replace(string(v)), spaces.Replace(a.Value); !ok || got != want {
			t.Fatalf("attribute %s is %q, %v, but encoding/xml says %q", a.Name.Local, got, ok, want)
		}
	}
	var chars strings.Builder
	children := e.Children()
	var list []xmpp.Element
	for c := range children {
		list = append(list, c)
	}
	for {
		tok, err := d.Token()
		if err != nil {
			if olderNames(text, err) {
				return false
			}
			t.Fatalf("encoding/xml refuses what we accept: %v", err)
		}
		switch tok := tok.(type) {
		case xml.CharData:
			chars.Write(tok)
		case xml.StartElement:
			if len(list) == 0 {
				t.Fatalf("encoding/xml sees a child %v", tok.Name)
			}
			if !same(t, d, list[0], tok, text) {
				return false
			}
			list = list[1:]
		case xml.EndElement:
			if len(list) > 0 {
				t.Fatalf("encoding/xml sees no child %s", list[0].Local())
			}
			if got := string(e.Text()); got != chars.String() {
				t.Fatalf("text %q, but encoding/xml says %q", got, chars.String())
			}
			return true
		default:
			t.Fatalf("we accept %#v", tok)
		}
	}
}

// FuzzReaderSplit reads the same text whole, in pieces of every size with read
// deadlines between them, and byte by byte: the outcome must be the same to the
// letter. The raw rule is on, the limits are small.
func FuzzReaderSplit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		for _, opt := range []xmpp.ReaderOptions{{}, {Limits: xmpp.Limits{Bytes: 160, Elements: 4, Depth: 3, Attrs: 4}}} {
			for _, header := range []string{okHeader, ""} {
				whole := header + text
				want, wantErr := all(strings.NewReader(whole), opt)
				for _, c := range []*chunks{
					{text: whole, n: int(size) + 1, every: true, late: true},
					{text: whole, n: int(size)},
					{text: whole, n: 1, every: true},
				} {
					got, err := all(c, opt)
					if got != want || err.Error() != wantErr.Error() {
						t.Fatalf("whole: %v behind\n%s\nin pieces: %v behind\n%s", wantErr, want, err, got)
					}
				}
			}
		}
	})
}
