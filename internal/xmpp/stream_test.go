package xmpp_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

// headers are the twelve that published app servers write, byte for byte
// (docs/protocol.md, Stream).
var headers = []struct{ name, text, to string }{
	{"Smack 4.3", `<stream:stream xmlns='jabber:client' to='fcm xmpp client connection server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>`, "fcm xmpp client connection server"},
	{"Smack 4.3 behind the login", `<stream:stream xmlns='jabber:client' to='fcm xmpp client connection server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='s1-1' xml:lang='en'>`, "fcm xmpp client connection server"},
	{"Smack 4.3 that reconnects", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>`, "gcm.googleapis.com"},
	{"Smack 4.4", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en-US'>`, "gcm.googleapis.com"},
	{"Smack with a user name", `<stream:stream xmlns='jabber:client' to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='1234567890@gcm.googleapis.com' xml:lang='en'>`, "gcm.googleapis.com"},
	{"Smack 3", `<stream:stream to="gcm.googleapis.com" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" version="1.0">`, "gcm.googleapis.com"},
	{"node-xcs", `<?xml version='1.0'?><stream:stream version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="fcm.googleapis.com">`, "fcm.googleapis.com"},
	{"aiofcm", `<?xml version="1.0"?><stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="gcm.googleapis.com" version="1.0">`, "gcm.googleapis.com"},
	{"slixmpp", `<stream:stream to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' xml:lang='en' version='1.0'>`, "gcm.googleapis.com"},
	{"go-gcm", "<?xml version='1.0'?>\n<stream:stream to='gcm.googleapis.com' xmlns='jabber:client'\n xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n", "gcm.googleapis.com"},
	{"a newer go-xmpp", "<?xml version='1.0'?><stream:stream from='1234567890@gcm.googleapis.com' to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n\n", "gcm.googleapis.com"},
	{"mellium", `<?xml version="1.0" encoding="UTF-8"?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='gcm.googleapis.com' from='1234567890@gcm.googleapis.com'>`, "gcm.googleapis.com"},
}

func TestS2_TheTwelveHeadersAreAccepted(t *testing.T) {
	if len(headers) != 12 {
		t.Fatalf("%d headers", len(headers))
	}
	for _, h := range headers {
		t.Run(h.name, func(t *testing.T) {
			for _, every := range []int{0, 1, 2, 7} {
				r := xmpp.NewReader(&chunks{text: h.text, n: every, every: true}, xmpp.ReaderOptions{})
				got, err := r.Header()
				if err != nil || got.To != h.to || got.Version != "1.0" {
					t.Fatalf("%d bytes a read: got %+v, %v", every, got, err)
				}
				if _, err := r.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("behind the header: %v, want io.EOF", err)
				}
			}
		})
	}
}

func TestS2_AHeaderIsReadWithAllItsAttributes(t *testing.T) {
	r := xmpp.NewReader(strings.NewReader(`<stream:stream to="a&amp;b" from='c' id="d" version="1.0" xml:lang="de" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`), xmpp.ReaderOptions{})
	got, err := r.Header()
	if want := (xmpp.Header{To: "a&b", From: "c", ID: "d", Version: "1.0", Lang: "de"}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

const (
	streamNS = ` xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' `
	okHeader = `<stream:stream` + streamNS + `version='1.0'>`
)

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       ccs.Condition // empty: accepted
	}{
		{"S3 a header without to", okHeader, ""},
		{"S3 a header with an odd to", `<stream:stream to='fcm xmpp client connection server'` + streamNS + `version='1.0'>`, ""},
		{"S4 white space in front", " \r\n\t" + okHeader, ""},
		{"S4 an XML declaration in front", `<?xml version="1.0" encoding='utf-8' standalone="yes" ?>` + okHeader, ""},
		{"S4 white space, then an XML declaration, then white space", "\n <?xml version = '1.0'?>\n\n" + okHeader, ""},
		{"a byte order mark in front", "\ufeff" + okHeader, ""},
		{"another prefix for the stream", `<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.1'>`, ""},
		{"a later minor version", `<stream:stream` + streamNS + `version='1.7'>`, ""},
		{"a header that is an empty element", `<stream:stream` + streamNS + `version='1.0'/>`, ccs.ConditionBadFormat},
		{"R-A14 no version", `<stream:stream` + streamNS + `>`, ccs.ConditionUnsupportedVersion},
		{"R-A14 version 0.9", `<stream:stream` + streamNS + `version='0.9'>`, ccs.ConditionUnsupportedVersion},
		{"R-A14 a version that is no number", `<stream:stream` + streamNS + `version='one'>`, ccs.ConditionUnsupportedVersion},
		{"R-A14 a wrong namespace for the stream", `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/stream' version='1.0'>`, ccs.ConditionInvalidNamespace},
		{"R-A14 a server's default namespace", `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, ccs.ConditionInvalidNamespace},
		{"R-A14 no default namespace", `<stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, ccs.ConditionInvalidNamespace},
		{"another element", `<message xmlns='jabber:client'>`, ccs.ConditionBadFormat},
		{"another element of the stream's namespace", `<stream:features` + streamNS + `version='1.0'>`, ccs.ConditionBadFormat},
		{"an undeclared prefix", `<stream:stream xmlns='jabber:client' version='1.0'>`, ccs.ConditionNotWellFormed},
		{"an HTTP request", "GET / HTTP/1.1\r\n\r\n", ccs.ConditionNotWellFormed},
		{"a closing tag", "</stream:stream>", ccs.ConditionNotWellFormed},
		{"R-A6 two XML declarations", `<?xml version='1.0'?><?xml version='1.0'?>` + okHeader, ccs.ConditionRestrictedXML},
		{"R-A6 another processing instruction", `<?xml-stylesheet href='x'?>` + okHeader, ccs.ConditionRestrictedXML},
		{"R-A6 a comment in front", `<!-- hello -->` + okHeader, ccs.ConditionRestrictedXML},
		{"S8 R-A5 a DTD in front", `<!DOCTYPE stream [<!ENTITY a "b">]>` + okHeader, ccs.ConditionRestrictedXML},
		{"an XML declaration of version 1.1", `<?xml version='1.1'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration without version", `<?xml encoding='UTF-8'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration in the wrong order", `<?xml version='1.0' standalone='no' encoding='UTF-8'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration that says a thing twice", `<?xml version='1.0' version='1.0'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration without a value", `<?xml version?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration without quotes", `<?xml version=1.0?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration with a reference", `<?xml version='1&#46;0'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration with a < in it", `<?xml version='<'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration that ends like an element", `<?xml version='1.0'>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration without white space in it", `<?xml version='1.0'encoding='UTF-8'?>` + okHeader, ccs.ConditionNotWellFormed},
		{"an XML declaration with nothing in it", `<?xml ?>` + okHeader, ccs.ConditionNotWellFormed},
		{"R-A8 a declared UTF-16", `<?xml version='1.0' encoding='UTF-16'?>` + okHeader, ccs.ConditionUnsupportedEncoding},
		{"R-A8 a declared Latin-1", `<?xml version='1.0' encoding="ISO-8859-1"?>` + okHeader, ccs.ConditionUnsupportedEncoding},
		{"R-A8 UTF-16 with its mark, big end first", "\xfe\xff\x00<\x00s", ccs.ConditionUnsupportedEncoding},
		{"R-A8 UTF-16 with its mark, little end first", "\xff\xfe<\x00s\x00", ccs.ConditionUnsupportedEncoding},
		{"R-A8 UTF-16 without mark, big end first", "\x00<\x00s", ccs.ConditionUnsupportedEncoding},
		{"R-A8 UTF-16 without mark, little end first", "<\x00s\x00", ccs.ConditionUnsupportedEncoding},
		{"R-A8 a byte that is no UTF-8", "\x80" + okHeader, ccs.ConditionUnsupportedEncoding},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, every := range []int{0, 1} {
				r := xmpp.NewReader(&chunks{text: c.text, n: every, every: true, late: every == 1}, xmpp.ReaderOptions{})
				_, err := r.Header()
				for again(err) {
					_, err = r.Header()
				}
				if got, _ := condition(err); got != c.want || c.want == "" && err != nil {
					t.Errorf("%d bytes a read: got %v, want condition %q", every, err, c.want)
				}
				if _, then := r.Next(); err != nil && !errors.Is(then, err) {
					t.Errorf("a refused stream went on with %v", then)
				}
			}
		})
	}
}

// recorded returns what each side of a recording wrote.
func recorded(t *testing.T, file string) (app, server string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\[conn \d+ \+[0-9.]+s\] (C:|S:|--) `)
	marks := line.FindAllSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		part := strings.TrimSuffix(string(text[m[1]:end]), "\n")
		switch string(text[m[2]:m[3]]) {
		case "C:":
			app += part
		case "S:":
			server += part
		}
	}
	if app == "" || server == "" {
		t.Fatalf("nothing recorded in %s", file)
	}
	return app, server
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 7 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	return files
}

func TestC4_S29_RecordingsReadTheSameHoweverTheyAreSplit(t *testing.T) {
	for _, file := range recordings(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			app, _ := recorded(t, file)
			want, err := all(strings.NewReader(app), xmpp.ReaderOptions{})
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%v behind\n%s", err, want)
			}
			for _, part := range []string{"header ", "{" + xmpp.NSSASL + "}auth", "again ", "{" + xmpp.NSBind + "}bind", "{" + xmpp.NSGCM + `}gcm [{"`} {
				if !strings.Contains(want, part) {
					t.Errorf("nothing like %s in\n%s", part, want)
				}
			}
			for n := 1; n < len(app); n++ {
				if got, err := all(&chunks{text: app, n: n}, xmpp.ReaderOptions{}); got != want || !errors.Is(err, io.EOF) {
					t.Fatalf("split at %d: got %v behind\n%s", n, err, got)
				}
			}
			for _, late := range []bool{false, true} {
				if got, err := all(&chunks{text: app, n: 1, every: true, late: late}, xmpp.ReaderOptions{}); got != want || !errors.Is(err, io.EOF) {
					t.Fatalf("byte by byte, deadlines between %v: got %v behind\n%s", late, err, got)
				}
			}
		})
	}
}

func TestS4_ARestartedStreamBeginsAfresh(t *testing.T) {
	const auth = `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">ADEAMg==</auth>`
	const once = `<?xml version='1.0'?>`
	for _, c := range []struct {
		name, between string
		want          ccs.Condition // of the second header
	}{
		{"S4 at once", "", ""},
		{"S4 with a newline", "\n", ""},
		{"S4 with an XML declaration", once, ""},
		{"S4 with a newline and an XML declaration", "\n" + once + "\n", ""},
		{"with a byte order mark", "\ufeff" + once, ""},
		{"R-A6 with two XML declarations", once + once, restricted},
		{"R-A8 in UTF-16", "\xff\xfe", encoding},
		{"with another stanza", "<message/>", ccs.ConditionBadFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := once + okHeader + auth + c.between + `<s:stream id='2' xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.0'>` + ackStanza + "</s:stream>"
			for n := range text {
				got, err := all(&chunks{text: text, n: n, late: true}, xmpp.ReaderOptions{})
				if cond, _ := condition(err); cond != c.want || c.want == "" && (!errors.Is(err, xmpp.ErrClosed) || !strings.Contains(got, "{google:mobile:data}gcm")) {
					t.Fatalf("split at %d: %v behind\n%s", n, err, got)
				}
			}
		})
	}
}

const serverHeader = `<stream:stream from="gcm.googleapis.com" id="AF8BB607948BF55F" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`

func TestC4_FeaturesComeInAnyRead(t *testing.T) {
	whole := serverHeader + `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>X-OAUTH2</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>`
	for n := range len(whole) + 1 {
		for _, late := range []bool{false, true} {
			got, err := all(&chunks{text: whole, n: n, late: late}, xmpp.ReaderOptions{})
			if !errors.Is(err, io.EOF) || !strings.Contains(got, "{"+xmpp.NSStream+"}features [ {"+xmpp.NSSASL+"}mechanisms [ {"+xmpp.NSSASL+"}mechanism [X-OAUTH2] {"+xmpp.NSSASL+"}mechanism [PLAIN]]]") {
				t.Fatalf("split at %d: got %v behind\n%s", n, err, got)
			}
		}
	}
}

func TestC5_FeaturesMayHaveAnotherPrefix(t *testing.T) {
	r := xmpp.NewReader(strings.NewReader(serverHeader+`<str:features xmlns:str="http://etherx.jabber.org/streams"><x:mechanisms xmlns:x="urn:ietf:params:xml:ns:xmpp-sasl"><x:mechanism>PLAIN</x:mechanism></x:mechanisms></str:features>`), xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil || !e.Is(xmpp.NSStream, "features") {
		t.Fatalf("got %s, %v", e.Local(), err)
	}
	m, ok := e.Child(xmpp.NSSASL, "mechanisms")
	if m, ok2 := m.Child(xmpp.NSSASL, "mechanism"); !ok || !ok2 || string(m.Text()) != "PLAIN" {
		t.Error("the mechanism was not found")
	}
}

func TestC26_AnswersComeInFourForms(t *testing.T) {
	const want = `{"message_type":"ack","from":"a&b","message_id":"m-1"}`
	for name, stanza := range map[string]string{
		"with the prefix data":      `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"a&amp;b","message_id":"m-1"}</data:gcm></message>`,
		"in the default namespace":  `<message><gcm xmlns="google:mobile:data">{"message_type":"ack","from":"a&amp;b","message_id":"m-1"}</gcm></message>`,
		"with its quotes escaped":   `<message><data:gcm xmlns:data="google:mobile:data">{&quot;message_type&quot;:&#34;ack&#x22;,&quot;from&quot;:&quot;a&amp;b&quot;,&quot;message_id&quot;:&quot;m-1&quot;}</data:gcm></message>`,
		"as CDATA":                  `<message><gcm xmlns="google:mobile:data"><![CDATA[{"message_type":"ack","from":"a&b","message_id":"m-1"}]]></gcm></message>`,
		"as CDATA between its text": `<message xmlns="jabber:client"><gcm xmlns="google:mobile:data">{"message_type":<![CDATA["ack","from":"a&b"]]>,<![CDATA[]]>"message_id":"m-1"}</gcm></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				for n := range len(stanza) {
					got, err := payload(&chunks{text: okHeader + stanza, n: len(okHeader) + n}, strict)
					if err != nil || got != want {
						t.Fatalf("strict %v, split at %d: got %q, %v", strict, n, got, err)
					}
				}
			}
		})
	}
}

// payload reads a header and the payload of one message.
func payload(src io.Reader, strict bool) (string, error) {
	r := xmpp.NewReader(src, xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin, Malformed: ccs.ConditionInvalidXML, StrictPayload: strict})
	if err := open(r); err != nil {
		return "", err
	}
	e, err := r.Next()
	for again(err) {
		e, err = r.Next()
	}
	if err != nil {
		return "", err
	}
	p, ok := e.Payload()
	if !ok {
		return "", errors.New("no payload")
	}
	return string(p), nil
}

func TestC42_WhiteSpaceBetweenStanzasHasNoLimitAndTakesNoRoom(t *testing.T) {
	src := io.MultiReader(strings.NewReader(okHeader), io.LimitReader(&repeat{stanza: " \n\t\r "}, 10<<20), strings.NewReader(ackStanza+" "))
	r := xmpp.NewReader(src, xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil || !e.Is(xmpp.NSClient, "message") {
		t.Fatalf("got %s, %v", e.Local(), err)
	}
	if n := r.Held(); n > 4<<10 {
		t.Errorf("the reader holds %d bytes", n)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestTheEndOfAStream(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"a closing tag", strings.NewReader(okHeader + "</stream:stream>"), xmpp.ErrClosed},
		{"a closing tag with white space", strings.NewReader(okHeader + "\n</stream:stream\n >rest"), xmpp.ErrClosed},
		{"the transport ends between stanzas", strings.NewReader(okHeader + " "), io.EOF},
		{"the transport ends inside a stanza", strings.NewReader(okHeader + "<message"), io.ErrUnexpectedEOF},
		{"the transport ends inside the closing tag", strings.NewReader(okHeader + "</stream:stream"), io.ErrUnexpectedEOF},
		{"the transport breaks", io.MultiReader(strings.NewReader(okHeader+"<message>"), failing{broken}), broken},
		{"a read deadline passes", io.MultiReader(strings.NewReader(okHeader+"<message>"), failing{os.ErrDeadlineExceeded}), os.ErrDeadlineExceeded},
		{"a source that gives nothing", io.MultiReader(strings.NewReader(okHeader), failing{nil}), io.ErrNoProgress},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := xmpp.NewReader(c.src, xmpp.ReaderOptions{})
			if _, err := r.Header(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := r.Next(); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
	r := xmpp.NewReader(strings.NewReader(okHeader+"</stream:streams>"), xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err == nil || errors.Is(err, xmpp.ErrClosed) {
		t.Errorf("another closing tag: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
