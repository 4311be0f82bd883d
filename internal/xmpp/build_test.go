package xmpp_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

const (
	jid  = "1234567890@gcm.googleapis.com/r1"
	bare = "1234567890@gcm.googleapis.com"
)

// written is everything that either side writes, as docs/protocol.md, Stream,
// shows it.
var written = []struct{ name, got, want string }{
	{"header of the server", string(xmpp.AppendHeader(nil, xmpp.Header{From: "gcm.googleapis.com", ID: "AF8BB607948BF55F"}, xmpp.FromServer)),
		`<stream:stream from="gcm.googleapis.com" id="AF8BB607948BF55F" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`},
	{"header of the app server", string(xmpp.AppendHeader(nil, xmpp.Header{To: "gcm.googleapis.com"}, xmpp.FromApp)),
		`<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`},
	{"features before login", xmpp.FeaturesLogin, `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms></stream:features>`},
	{"auth", string(xmpp.AppendAuth(nil, xmpp.EncodePlain("", "1234567890", "key"))), `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">ADEyMzQ1Njc4OTAAa2V5</auth>`},
	{"success", xmpp.Success, `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`},
	{"failure", string(xmpp.AppendFailure(nil, "not-authorized")), `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/></failure>`},
	{"features behind the login", xmpp.FeaturesBind, `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`},
	{"bind", string(xmpp.AppendBind(nil, "b", "")), `<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`},
	{"bind with a resource", string(xmpp.AppendBind(nil, "b", "a<b")), `<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>a&lt;b</resource></bind></iq>`},
	{"bound", string(xmpp.AppendBound(nil, "b", jid)), `<iq type="result" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>1234567890@gcm.googleapis.com/r1</jid></bind></iq>`},
	{"bound without id", string(xmpp.AppendBound(nil, "", jid)), `<iq type="result"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>1234567890@gcm.googleapis.com/r1</jid></bind></iq>`},
	{"session", string(xmpp.AppendSession(nil, "s")), `<iq type="set" id="s"><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></iq>`},
	{"session result", string(xmpp.AppendResult(nil, "", "", "s")), `<iq type="result" id="s"/>`},
	{"ping", string(xmpp.AppendPing(nil, "", "gcm.googleapis.com", "p")), `<iq to="gcm.googleapis.com" type="get" id="p"><ping xmlns="urn:xmpp:ping"/></iq>`},
	{"pong", string(xmpp.AppendResult(nil, "gcm.googleapis.com", jid, "p")), `<iq from="gcm.googleapis.com" to="1234567890@gcm.googleapis.com/r1" type="result" id="p"/>`},
	{"other iq", string(xmpp.AppendIQError(nil, "gcm.googleapis.com", jid, "q", "feature-not-implemented")),
		`<iq from="gcm.googleapis.com" to="1234567890@gcm.googleapis.com/r1" type="error" id="q"><error code="501" type="cancel"><feature-not-implemented xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`},
	{"second bind", string(xmpp.AppendIQError(nil, "", "", "", "not-allowed")),
		`<iq type="error"><error code="405" type="cancel"><not-allowed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`},
	{"too many streams", string(xmpp.AppendIQError(nil, "", "", "b", "resource-constraint")),
		`<iq type="error" id="b"><error code="500" type="wait"><resource-constraint xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`},
	{"stream management", xmpp.SMFailed, `<failed xmlns="urn:xmpp:sm:3"><unexpected-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></failed>`},
	{"answer", xmpp.AnswerOpen + `{}` + xmpp.AnswerClose, `<message><data:gcm xmlns:data="google:mobile:data">{}</data:gcm></message>`},
	{"upstream", string(xmpp.AppendUpstreamOpen(nil, bare)) + `{}` + xmpp.UpstreamClose,
		`<message to="1234567890@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{}</gcm></message>`},
	{"message", xmpp.MessageOpen + `{}` + xmpp.MessageClose, `<message><gcm xmlns="google:mobile:data">{}</gcm></message>`},
	{"bad json", string(xmpp.AppendBadJSON(nil, "3", jid, []byte(`{"random": "a&<b>"}`), "InvalidJson: <what>\n")),
		`<message id="3" type="error" to="1234567890@gcm.googleapis.com/r1"><gcm xmlns="google:mobile:data">{"random": "a&amp;&lt;b&gt;"}</gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">InvalidJson: &lt;what&gt;` + "\n" + `</text></error></message>`},
	{"bad json without id", string(xmpp.AppendBadJSON(nil, "", jid, nil, "x")),
		`<message type="error" to="1234567890@gcm.googleapis.com/r1"><gcm xmlns="google:mobile:data"></gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">x</text></error></message>`},
	{"keepalive", xmpp.KeepAlive, " "},
	{"bad xml", string(xmpp.AppendStreamError(nil, &ccs.StreamError{Condition: ccs.ConditionInvalidXML})),
		`<stream:error><invalid-xml xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>`},
	{"stanza too big", string(xmpp.AppendStreamError(nil, &ccs.StreamError{Condition: ccs.ConditionPolicyViolation, Text: "a & b", App: "stanza-too-big"})),
		`<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/><text xmlns="urn:ietf:params:xml:ns:xmpp-streams">a &amp; b</text><stanza-too-big xmlns="urn:xmpp:errors"/></stream:error>`},
	{"end", xmpp.StreamEnd, `</stream:stream>`},
}

func TestTheTemplates(t *testing.T) {
	for _, c := range written {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

func TestStanzaErrorsHaveTheirOldNumbers(t *testing.T) {
	for condition, want := range map[string]string{
		"bad-request": `code="400" type="modify"`, "jid-malformed": `code="400" type="modify"`,
		"not-acceptable": `code="406" type="modify"`, "not-authorized": `code="401" type="auth"`,
		"forbidden": `code="403" type="auth"`, "conflict": `code="409" type="cancel"`,
		"item-not-found": `code="404" type="cancel"`, "internal-server-error": `code="500" type="wait"`,
		"service-unavailable": `code="503" type="cancel"`,
	} {
		if got := string(xmpp.AppendIQError(nil, "", "", "", condition)); !strings.Contains(got, "<error "+want+"><"+condition+" ") {
			t.Errorf("%s: %s", condition, got)
		}
	}
}

func TestS8_WhatIsWrittenIsRestrictedXML(t *testing.T) {
	for _, header := range []string{written[0].got, written[1].got} {
		stream := header
		for _, c := range written {
			if !strings.HasPrefix(c.name, "header") && c.name != "end" {
				stream += c.got
			}
		}
		stream += xmpp.StreamEnd
		d := xml.NewDecoder(strings.NewReader(stream))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("encoding/xml: %v at %d of\n%s", err, d.InputOffset(), stream)
			}
			switch tok.(type) {
			case xml.Comment, xml.ProcInst, xml.Directive:
				t.Errorf("written: %#v", tok)
			}
		}
		r := xmpp.NewReader(strings.NewReader(stream), xmpp.ReaderOptions{StrictPayload: true})
		_, err := r.Header()
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, xmpp.ErrClosed) {
			t.Errorf("our own reader: %v in\n%s", err, stream)
		}
		if strings.Contains(stream, `id=""`) {
			t.Error("an empty id is written")
		}
	}
}

func TestEscapedTextComesBack(t *testing.T) {
	var every strings.Builder
	for c := rune(0); c <= 0x10ffff; c++ {
		if c == 0x3100 { // the middle is like what stands before it
			c = 0xd700
		}
		if c == 0x11000 {
			c = 0x10ff00
		}
		if xmpp.Legal(c) {
			every.WriteRune(c)
		}
	}
	for _, c := range []struct{ name, in, want string }{
		{"every character", every.String(), every.String()},
		{"markup", "<a b='c' d=\"e\">&amp;]]></a>", "<a b='c' d=\"e\">&amp;]]></a>"},
		{"line ends", "a\r\nb\rc\nd\te", "a\r\nb\rc\nd\te"},
		{"what XML cannot say", "a\x00\x1fb\xff\xed\xa0\x80\ufffe", "a\ufffd\ufffdb\ufffd\ufffd\ufffd\ufffd\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := []byte(okHeader + `<message id="`)
			stream = xmpp.AppendEscaped(stream, c.in)
			stream = append(stream, `" type='`...)
			stream = xmpp.AppendEscaped(stream, []byte(c.in))
			stream = append(stream, `'>`...)
			stream = xmpp.AppendText(stream, c.in)
			stream = append(stream, `</message>`...)
			r := xmpp.NewReader(strings.NewReader(string(stream)), xmpp.ReaderOptions{Limits: xmpp.Limits{Bytes: 1 << 20, Elements: 1, Depth: 1, Attrs: 3}})
			if _, err := r.Header(); err != nil {
				t.Fatal(err)
			}
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			id, _ := e.Attr("id")
			kind, _ := e.Attr("type")
			for _, got := range []string{string(id), string(kind), string(e.Text())} {
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}
