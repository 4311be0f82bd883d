package xmpp_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

const (
	fine       = ccs.Condition("")
	malformed  = ccs.ConditionInvalidXML
	restricted = ccs.ConditionRestrictedXML
	encoding   = ccs.ConditionUnsupportedEncoding
	policy     = ccs.ConditionPolicyViolation
)

// first reads a header and one element, and returns how that ended.
func first(src io.Reader, opt xmpp.ReaderOptions) error {
	r := xmpp.NewReader(src, opt)
	if err := open(r); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	_, err := r.Next()
	for again(err) {
		_, err = r.Next()
	}
	return err
}

func TestRestrictedXML(t *testing.T) {
	cases := []struct {
		name, text string
		want       ccs.Condition
	}{
		{"S8 R-A5 a DTD", `<!DOCTYPE message>`, restricted},
		{"R-A5 a billion laughs", `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;">]><message>&lol1;</message>`, restricted},
		{"R-A5 a DTD inside an element", `<message><!DOCTYPE a></message>`, restricted},
		{"R-A5 an external entity", `<message>&xxe;</message>`, restricted},
		{"R-A5 an entity in an attribute", `<message id="&xxe;"/>`, restricted},
		{"R-A5 a parameter entity in an attribute is just text", `<message id="%xxe;"/>`, fine},
		{"R-A5 an entity in a payload", `<message><gcm xmlns="google:mobile:data">{"a":"&xxe;"}</gcm></message>`, restricted},
		{"R-A6 a comment between stanzas", `<!-- hello --><message/>`, restricted},
		{"R-A6 a comment in a stanza", `<message><!-- hello --></message>`, restricted},
		{"R-A6 a comment in a payload without JSON", `<message><gcm xmlns="google:mobile:data"><!-- hello -->{}</gcm></message>`, restricted},
		{"R-A6 a processing instruction between stanzas", `<?php ?><message/>`, restricted},
		{"R-A6 a processing instruction in a stanza", `<message><?php ?></message>`, restricted},
		{"R-A6 a second XML declaration", `<?xml version='1.0'?><message/>`, restricted},
		{"R-A6 the wrong start of a CDATA section", `<message><![cdata[x]]></message>`, restricted},
		{"R-A6 a CDATA section between stanzas", `<![CDATA[ ]]><message/>`, restricted},
		{"R-A6 the five predefined entities", `<message id="&lt;&gt;&amp;&quot;&apos;">&lt;&gt;&amp;&quot;&apos;</message>`, fine},

		{"R-A7 bad nesting", `<a><b></a></b>`, malformed},
		{"R-A7 another closing tag", `<a></b>`, malformed},
		{"R-A7 another prefix in the closing tag", `<x:a xmlns:x="u" xmlns:y="u"></y:a>`, malformed},
		{"R-A7 a longer closing tag", `<a></ab>`, malformed},
		{"R-A7 a shorter closing tag", `<ab></a>`, malformed},
		{"R-A7 white space in front of a closing tag's name", `<a></ a>`, malformed},
		{"R-A7 an attribute in a closing tag", `<a></a b="c">`, malformed},
		{"R-A7 white space behind a closing tag's name", "<a></a\t\n>", fine},
		{"R-A7 a closing tag alone", `</a>`, malformed},
		{"R-A7 an attribute without quotes", `<a b=1></a>`, malformed},
		{"R-A7 an attribute without value", `<a b></a>`, malformed},
		{"R-A7 a < in an attribute value", `<a b="<"/>`, malformed},
		{"R-A7 an attribute twice", `<a b="1" b='2'/>`, malformed},
		{"R-A7 an attribute twice by its namespace", `<a xmlns:x="u" xmlns:y="u" x:b="1" y:b="2"/>`, malformed},
		{"R-A7 an attribute twice by a namespace with a reference in it", `<a xmlns:x="u&#65;" xmlns:y="uA" x:b="1" y:b="2"/>`, malformed},
		{"R-A7 the same name in two namespaces", `<a xmlns:x="u" xmlns:y="v" x:b="1" y:b="2" b="3"/>`, fine},
		{"R-A7 a namespace declared twice", `<a xmlns="u" xmlns="v"/>`, malformed},
		{"R-A7 a prefix declared twice", `<a xmlns:x="u" xmlns:x="u"/>`, malformed},
		{"R-A7 an undeclared prefix of an element", `<x:a/>`, malformed},
		{"R-A7 a prefix that was declared by a sibling", `<a><x:b xmlns:x="u"/><x:c/></a>`, malformed},
		{"R-A7 an undeclared prefix of an attribute", `<a x:b="1"/>`, malformed},
		{"R-A7 a prefix declared behind its use, in the same tag", `<x:a x:b="1" xmlns:x="u"/>`, fine},
		{"R-A7 the prefix xml rebound", `<a xmlns:xml="u"/>`, malformed},
		{"R-A7 the prefix xml bound to what it means", `<a xmlns:xml="http://www.w3.org/XML/1998/namespace"/>`, fine},
		{"R-A7 another prefix bound to the namespace of xml", `<a xmlns:x="http://www.w3.org/XML/1998/namespace"/>`, malformed},
		{"R-A7 the default namespace made that of xml", `<a xmlns="http://www.w3.org/XML/1998/namespace"/>`, malformed},
		{"R-A7 the prefix xmlns bound", `<a xmlns:xmlns="u"/>`, malformed},
		{"R-A7 the prefix xmlns bound to what it means", `<a xmlns:xmlns="http://www.w3.org/2000/xmlns/"/>`, malformed},
		{"R-A7 another prefix bound to the namespace of xmlns", `<a xmlns:x="http://www.w3.org/2000/xmlns/"/>`, malformed},
		{"R-A7 a prefix bound to nothing", `<a xmlns:x=""/>`, malformed},
		{"R-A7 the default namespace taken back", `<a xmlns=""/>`, fine},
		{"R-A7 an element with the prefix xmlns", `<xmlns:a/>`, malformed},
		{"R-A7 ]]> in text", `<a>]]></a>`, malformed},
		{"R-A7 ]]> behind a CDATA section", `<a><![CDATA[x]]>]]></a>`, malformed},
		{"R-A7 > behind a CDATA section", `<a><![CDATA[x]]]]>></a>`, fine},
		{"R-A7 ]] and > in text, apart", `<a>]] ></a>`, fine},
		{"R-A7 ]]> with a reference", `<a>]]&gt;</a>`, fine},
		{"R-A7 ]]> in an attribute", `<a b="]]>"/>`, fine},
		{"R-A7 a control character", "<a>\x01</a>", malformed},
		{"R-A7 a control character behind long text", "<a>0123456789abcdef\x1f</a>", malformed},
		{"R-A7 a control character in an attribute", "<a b='\x02'/>", malformed},
		{"R-A7 a control character in CDATA", "<a><![CDATA[\x03]]></a>", malformed},
		{"R-A7 NUL", "<a>\x00</a>", malformed},
		{"R-A7 NUL between stanzas", "\x00<a/>", malformed},
		{"R-A7 DEL is a character", "<a>\x7f</a>", fine},
		{"R-A7 U+FFFE", "<a>\ufffe</a>", malformed},
		{"R-A7 U+FFFF in an attribute", "<a b='\uffff'/>", malformed},
		{"R-A7 a reference to NUL", `<a>&#0;</a>`, malformed},
		{"R-A7 a reference to a control character", `<a>&#x1F;</a>`, malformed},
		{"R-A7 a reference to a surrogate", `<a>&#xD800;</a>`, malformed},
		{"R-A7 a reference beyond Unicode", `<a>&#x110000;</a>`, malformed},
		{"R-A7 a reference far beyond Unicode", `<a>&#99999999999999999999999;</a>`, malformed},
		{"R-A7 a reference beyond 32 bits", `<a>&#4294967361;</a>`, malformed},
		{"R-A7 a reference to U+FFFE", `<a>&#65534;</a>`, malformed},
		{"R-A7 a reference to U+FFFF in an attribute", `<a b="&#xffff;"/>`, malformed},
		{"R-A7 a reference with leading zeros", `<a>&#0000000000000000065;</a>`, fine},
		{"R-A7 a reference with a capital X", `<a>&#X41;</a>`, malformed},
		{"R-A7 a reference without digits", `<a>&#;</a>`, malformed},
		{"R-A7 a bare & in text", `<a>b & c</a>`, malformed},
		{"R-A7 a bare & in an attribute", `<a b="b & c"/>`, malformed},
		{"R-A7 a bare & in an attribute of the payload", `<message><gcm xmlns="google:mobile:data" b="b & c">{}</gcm></message>`, malformed},
		{"R-A7 no white space between attributes", `<a b="1"c="2"/>`, malformed},
		{"R-A7 no white space in front of an attribute", `<a/b="1">`, malformed},
		{"R-A7 a / inside a tag", `<a / >`, malformed},
		{"R-A7 a name that begins with a digit", `<1a/>`, malformed},
		{"R-A7 a name that begins with a hyphen", `<-a/>`, malformed},
		{"R-A7 white space in front of a name", `< a/>`, malformed},
		{"R-A7 an empty name", `<>`, malformed},
		{"R-A7 a name with two colons", `<a:b:c xmlns:a="u"/>`, malformed},
		{"R-A7 a name that begins with a colon", `<:a/>`, malformed},
		{"R-A7 a name that ends with a colon", `<a: xmlns:a="u"/>`, malformed},
		{"R-A7 a local part that begins with a digit", `<a:1 xmlns:a="u"/>`, malformed},
		{"R-A7 a name of other letters", `<größe/>`, fine},
		{"R-A7 a name that begins with another letter", `<é/>`, fine},
		{"R-A7 a name that begins with a middle dot", "<\u00b7a/>", malformed},
		{"R-A7 a name of letters far from ASCII", "<a\u0301\u203f\u00b7\u0370\u4e2d\U00010400/>", fine},
		{"R-A5 an entity of other letters", `<a>&größe;</a>`, restricted},
		{"R-A7 an entity that begins with a sign", `<a>&×a;</a>`, malformed},
		{"R-A7 an attribute of other letters, both quotes in values", `<a ä='"' b="'"/>`, fine},
		{"R-A7 a sign in a name", `<a×b/>`, malformed},
		{"S26 text between stanzas", `hello<a/>`, malformed},
		{"S26 other text between stanzas", `é<a/>`, malformed},
		{"S26 a bare & between stanzas", `&amp;<a/>`, malformed},

		{"R-A8 an overlong form", "<a>\xc0\xbc</a>", encoding},
		{"R-A8 Latin-1", "<a>gr\xfc\xdfe</a>", encoding},
		{"R-A8 Latin-1 in an attribute", "<a b='\xfc'/>", encoding},
		{"R-A8 Latin-1 in a name", "<gr\xfcn/>", encoding},
		{"R-A8 Latin-1 in CDATA", "<a><![CDATA[\xfc]]></a>", encoding},
		{"R-A8 Latin-1 between stanzas", "\xfc<a/>", encoding},
		{"R-A8 a surrogate in UTF-8", "<a>\xed\xa0\x80</a>", encoding},
		{"R-A8 half a character in front of a tag", "<a>\xe2\x82</a>", encoding},
		{"R-A8 beyond Unicode", "<a>\xf4\x90\x80\x80</a>", encoding},
		{"S29 characters of two, three and four bytes", "<a b='é€😀'>é€😀<![CDATA[é€😀]]></a>", fine},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for n := range len(c.text) + 1 {
				for _, late := range []bool{false, true} {
					err := first(&chunks{text: okHeader + c.text, n: len(okHeader) + n, late: late}, xmpp.ReaderOptions{Malformed: malformed})
					if got, _ := condition(err); got != c.want || c.want == fine && err != nil {
						t.Fatalf("split at %d: got %v, want %q", n, err, c.want)
					}
				}
			}
			if c.want == malformed {
				err := first(strings.NewReader(okHeader+c.text), xmpp.ReaderOptions{})
				if got, _ := condition(err); got != ccs.ConditionNotWellFormed {
					t.Errorf("by default: got %v, want not-well-formed", err)
				}
			}
		})
	}
}

func TestElements(t *testing.T) {
	r := xmpp.NewReader(strings.NewReader(`<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:g='google:mobile:data' version='1.0'>`+
		"<message id=\"a&lt;b\" type='x\r\ny\tz' g:id='other' to=''>one<g:gcm>{}</g:gcm>t&#119;o<![CDATA[<three>\r\n\rafter]]>\r\nfour\rfive<empty xmlns='' /></message>"), xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if !e.Is(xmpp.NSClient, "message") || e.Is(xmpp.NSClient, "iq") || e.Is(xmpp.NSGCM, "message") {
		t.Error("the name is wrong")
	}
	for name, want := range map[string]string{"id": "a<b", "type": "x y z", "to": ""} {
		for range 2 {
			if v, ok := e.Attr(name); !ok || string(v) != want {
				t.Errorf("attribute %s: %q, %v; want %q", name, v, ok, want)
			}
		}
	}
	if v, ok := e.Attr("from"); ok {
		t.Errorf("attribute from: %q", v)
	}
	for range 2 {
		if got, want := string(e.Text()), "onetwo<three>\n\nafter\nfour\nfive"; got != want {
			t.Errorf("text %q, want %q", got, want)
		}
	}
	if p, ok := e.Payload(); !ok || string(p) != "{}" {
		t.Errorf("payload %q, %v", p, ok)
	}
	if c, ok := e.Child("", "empty"); !ok || len(c.Text()) != 0 || len(c.Space()) != 0 {
		t.Error("the element without namespace was not found")
	}
	none, ok := e.Child(xmpp.NSPing, "ping")
	if _, has := none.Attr("a"); ok || has || none.Text() != nil || none.Local() != nil || none.Space() != nil {
		t.Error("an element that is not there has something")
	}
	for range none.Children() {
		t.Error("an element that is not there has a child")
	}
	if _, ok := none.Payload(); ok {
		t.Error("an element that is not there has a payload")
	}
}

func TestAStreamErrorIsRead(t *testing.T) {
	want := ccs.StreamError{Condition: policy, Text: "too <big>", App: "stanza-too-big"}
	r := xmpp.NewReader(strings.NewReader(okHeader+string(xmpp.AppendStreamError(nil, &want))+ackStanza), xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := e.StreamError(); !ok || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, ok, want)
	}
	if e, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	if got, ok := e.StreamError(); ok {
		t.Errorf("a message is taken for %v", got)
	}
}

func TestTheReaderSaysWhenItIsMisused(t *testing.T) {
	r := xmpp.NewReader(strings.NewReader(okHeader), xmpp.ReaderOptions{})
	if _, err := r.Next(); err == nil {
		t.Error("Next in front of Header gave no error")
	}
	if _, err := r.Header(); err != nil {
		t.Error(err)
	}
	if _, err := r.Header(); err == nil {
		t.Error("a second Header gave no error")
	}
}
