package ccsserver_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// Texts of stream errors that restrict XML.
const (
	noDTD      = "comments and document type declarations are not allowed"
	noPI       = "processing instructions are not allowed"
	noEntity   = "only the five predefined entities are allowed"
	noRawSlash = "a closing tag does not match its opening tag"
)

// gcm is a message stanza with a payload of any kind.
func gcm(text string) string {
	return `<message><gcm xmlns="google:mobile:data">` + text + `</gcm></message>`
}

// laughs is a DTD whose entities each name the one before ten times.
func laughs() string {
	var b strings.Builder
	b.WriteString(`<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol0 "lol">`)
	for i := range 9 {
		fmt.Fprintf(&b, `<!ENTITY lol%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	return b.String() + `]>` + header + `<message>&lol9;</message>`
}

func TestR_A5_EntitiesAreNeverExpanded(t *testing.T) {
	dtd, entity := ends("restricted-xml", noDTD), ends("restricted-xml", noEntity)
	run(t, []attack{
		{name: "a billion laughs", at: []stage{fresh, inside}, bytes: laughs(), answer: dtd},
		{name: "a billion laughs without its declaration", at: anywhere, bytes: laughs()[len(`<?xml version='1.0'?>`):], answer: dtd},
		{name: "quadratic blow-up", at: anywhere, bytes: `<!DOCTYPE a [<!ENTITY x "`, again: "x", times: 100_000, answer: dtd, taken: 64 << 10},
		{name: "an external entity", at: anywhere, bytes: `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><message>&x;</message>`, answer: dtd},
		{name: "an external DTD", at: anywhere, bytes: `<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">`, answer: dtd},
		{name: "a public DTD", at: anywhere, bytes: `<!DOCTYPE a PUBLIC "-//x" "http://127.0.0.1:1/x.dtd">`, answer: dtd},
		{name: "a parameter entity", at: anywhere, bytes: `<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]>`, answer: dtd},
		{name: "defaults of attributes", at: anywhere, bytes: `<!DOCTYPE a [<!ATTLIST message from CDATA "x">]>`, answer: dtd},
		{name: "a DTD in lower case", at: anywhere, bytes: `<!doctype html>`, answer: dtd},
		{name: "a DTD behind white space", at: anywhere, bytes: " \r\n\t<!DOCTYPE a>", answer: dtd},
		{name: "an entity without DTD", at: anywhere, bytes: `<!ENTITY x "y">`, answer: dtd},
		{name: "a conditional section", at: anywhere, bytes: `<![INCLUDE[ <!ENTITY x "y"> ]]>`, answer: dtd},
		{name: "a DTD inside a stanza", at: inStanzas, bytes: `<message><!DOCTYPE a [<!ENTITY x "y">]>&x;</message>`, answer: dtd},
		{name: "a DTD inside a payload", at: inStanzas, bytes: gcm(`<!DOCTYPE a [<!ENTITY x "y">]>{"a":"&x;"}`), answer: dtd},
		{name: "an entity in text", at: inStanzas, bytes: `<message>&x;</message>`, answer: entity},
		{name: "an entity in an attribute", at: inStanzas, bytes: `<message id='&x;'/>`, answer: entity},
		{name: "an entity behind good ones, in an attribute", at: inStanzas, bytes: `<message id='&lt;&#65;&x;'/>`, answer: entity},
		{name: "an entity in a namespace", at: inStanzas, bytes: `<message xmlns='&x;'/>`, answer: entity},
		{name: "an entity in a payload", at: inStanzas, bytes: gcm(`{"to":"T","message_id":"m-1","data":{"k":"&x;"}}`), answer: entity},
		{name: "an entity in a login", at: beforeLogin, bytes: `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='&plain;'/>`, answer: entity},
		{name: "an entity in a login's text", at: beforeLogin, bytes: `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>&x;</auth>`, answer: entity},
		{name: "an entity in a header", at: inHeaders, bytes: strings.Replace(header, "gcm.googleapis.com", "&x;", 1), answer: entity},
		{name: "an entity in a header's namespace", at: inHeaders, bytes: strings.Replace(header, "jabber:client", "jabber:&client;", 1), answer: entity},
		{name: "the sign of a parameter entity is text", at: behindBind, bytes: `<presence id='%x;'>%x;</presence>`, answer: goesOn("")},
	})
}

func TestR_A6_WhatXMPPLeavesOutOfXML(t *testing.T) {
	comment, instruction, entity := ends("restricted-xml", noDTD), ends("restricted-xml", noPI), ends("restricted-xml", noEntity)
	run(t, []attack{
		{name: "a comment", at: anywhere, bytes: `<!-- -->`, answer: comment},
		{name: "an empty comment", at: anywhere, bytes: `<!---->`, answer: comment},
		{name: "a comment without end", at: anywhere, bytes: `<!-- `, again: "-", times: 1 << 20, answer: comment, taken: 64 << 10},
		{name: "a comment around a stanza", at: inStanzas, bytes: `<!--` + downstream("m-1") + `-->`, answer: comment},
		{name: "a comment in a stanza", at: inStanzas, bytes: `<message><!-- --></message>`, answer: comment},
		{name: "a comment in a payload", at: inStanzas, bytes: gcm(`<!-- -->{}`), answer: comment},
		{name: "a CDATA section between stanzas", at: anywhere, bytes: `<![CDATA[x]]>`, answer: comment},
		{name: "half a CDATA section in a stanza", at: inStanzas, bytes: `<message><![cdata[x]]></message>`, answer: comment},
		{name: "an instruction", at: anywhere, bytes: `<?php x?>`, answer: instruction},
		{name: "an instruction without a name", at: anywhere, bytes: `<? ?>`, answer: instruction},
		{name: "a style sheet", at: anywhere, bytes: `<?xml-stylesheet href='x'?>`, answer: instruction},
		{name: "an instruction in a stanza", at: inStanzas, bytes: `<message><?php x?></message>`, answer: instruction},
		{name: "a declaration in capitals", at: anywhere, bytes: `<?XML version='1.0'?>`, answer: instruction},
		{name: "a declaration between stanzas", at: inStanzas, bytes: `<?xml version='1.0'?>`, answer: instruction},
		{name: "a declaration in a stanza", at: inStanzas, bytes: `<message><?xml version='1.0'?></message>`, answer: instruction},
		{name: "two declarations", at: inHeaders, bytes: `<?xml version='1.0'?><?xml version='1.0'?>` + header, answer: instruction},
		{name: "an entity of HTML", at: inStanzas, bytes: `<message>&nbsp;</message>`, answer: entity},
		{name: "a predefined entity in capitals", at: inStanzas, bytes: `<message>&LT;</message>`, answer: entity},
		{name: "an entity with a prefix", at: inStanzas, bytes: `<message>&a:lt;</message>`, answer: entity},
		{name: "what looks like a comment in a JSON string is text", at: behindBind,
			bytes: gcm(`{"to":"` + token + `","data":{"k":"<!-- -->"}}`), answer: badJSON(`{"to":"`+token+`","data":{"k":"&lt;!-- --&gt;"}}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`)},
	})
}

// badJSON is the answer to a payload without a message id, which shows what was
// read.
func badJSON(echo, text string) outcome {
	return func(p *peer, _ stage) (string, ending) {
		return `<message type="error" to="` + p.jid + `"><gcm xmlns="google:mobile:data">` + echo + `</gcm><error code="400" type="modify">` +
			`<bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">` + text + `</text></error></message>`, lives
	}
}

func TestR_A7_XMLThatIsNotWellFormed(t *testing.T) {
	var attacks []attack
	for _, c := range []struct{ name, bytes, text string }{
		{"bad nesting", `<a><b></a></b>`, noRawSlash},
		{"another closing tag", `<a></b>`, noRawSlash},
		{"a closing tag in capitals", `<a></A>`, noRawSlash},
		{"a longer closing tag", `<a></ab>`, noRawSlash},
		{"a shorter closing tag", `<ab></a>`, noRawSlash},
		{"another prefix of the same namespace", `<x:a xmlns:x='u' xmlns:y='u'></y:a>`, noRawSlash},
		{"an attribute in a closing tag", `<a></a b='c'>`, noRawSlash},
		{"a closing tag alone", `</a>`, "a closing tag without its opening tag"},
		{"the stream's closing tag with an attribute", `</stream:stream a='b'>`, "a closing tag without its opening tag"},
		{"an attribute without quotes", `<a b=1/>`, "an attribute value without quotes"},
		{"an attribute without a value", `<a b/>`, "an attribute without a value"},
		{"a < in an attribute", `<a b='<'/>`, `a "&lt;" in an attribute value`},
		{"an attribute twice", `<a b='1' b='2'/>`, "an attribute occurs twice"},
		{"an attribute twice, by namespace", `<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>`, "an attribute occurs twice"},
		{"an attribute twice, by a namespace that was escaped", `<a xmlns:x='u&#65;' xmlns:y='uA' x:b='1' y:b='2'/>`, "an attribute occurs twice"},
		{"a default namespace twice", `<a xmlns='u' xmlns='v'/>`, "a namespace prefix is declared twice"},
		{"a prefix twice", `<a xmlns:x='u' xmlns:x='v'/>`, "a namespace prefix is declared twice"},
		{"an undeclared prefix", `<x:a/>`, "an element has an undeclared prefix"},
		{"the prefix of a sibling", `<a><x:b xmlns:x='u'/><x:c/></a>`, "an element has an undeclared prefix"},
		{"an undeclared prefix of an attribute", `<a x:b='1'/>`, "an attribute has an undeclared prefix"},
		{"an element called xmlns", `<xmlns:a/>`, "an element has an undeclared prefix"},
		{"the prefix xml rebound", `<a xmlns:xml='u'/>`, "a reserved prefix or namespace is declared"},
		{"the prefix xml lent", `<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>`, "a reserved prefix or namespace is declared"},
		{"the prefix xmlns bound", `<a xmlns:xmlns='u'/>`, "the prefix xmlns is declared"},
		{"the prefix xmlns lent", `<a xmlns:x='http://www.w3.org/2000/xmlns/'/>`, "a reserved prefix or namespace is declared"},
		{"a prefix taken back", `<a xmlns:x=''/>`, "a prefix is declared as nothing"},
		{"]]> in text", `<a>]]></a>`, `"]]&gt;" in text`},
		{"]]> behind CDATA", `<a><![CDATA[]]>]]></a>`, `"]]&gt;" in text`},
		{"a control character", "<a>\x01</a>", "a control character"},
		{"a control character far in", "<a>" + strings.Repeat("x", 1000) + "\x1f</a>", "a control character"},
		{"a control character in an attribute", "<a b='\x08'/>", "a control character"},
		{"a control character in CDATA", "<a><![CDATA[\x0b]]></a>", "a control character"},
		{"NUL in text", "<a>\x00</a>", "a control character"},
		{"U+FFFE", "<a>\ufffe</a>", "a character that XML does not allow"},
		{"U+FFFF in an attribute", "<a b='\uffff'/>", "a character that XML does not allow"},
		{"a reference to NUL", `<a>&#0;</a>`, "a reference to a character that XML does not allow"},
		{"a reference to a control character", `<a>&#x1F;</a>`, "a reference to a character that XML does not allow"},
		{"a reference to a surrogate", `<a>&#xD800;</a>`, "a reference to a character that XML does not allow"},
		{"a pair of surrogates", `<a>&#xD83D;&#xDE00;</a>`, "a reference to a character that XML does not allow"},
		{"a reference to U+FFFF in an attribute", `<a b='&#65535;'/>`, "a reference to a character that XML does not allow"},
		{"a reference beyond Unicode", `<a>&#x110000;</a>`, "a reference to a character that XML does not allow"},
		{"a reference beyond 32 bits", `<a>&#4294967361;</a>`, "a reference to a character that XML does not allow"},
		{"a reference beyond 64 bits", `<a>&#18446744073709551681;</a>`, "a reference to a character that XML does not allow"},
		{"a reference with a capital X", `<a>&#X41;</a>`, `a "&amp;" that begins no reference`},
		{"a reference without digits", `<a>&#;</a>`, `a "&amp;" that begins no reference`},
		{"a reference to less than zero", `<a>&#-1;</a>`, `a "&amp;" that begins no reference`},
		{"a bare & in text", `<a>b & c</a>`, `a "&amp;" that begins no reference`},
		{"a bare & in an attribute", `<a b='b & c'/>`, `a "&amp;" that begins no reference`},
		{"a bare & in an attribute of the payload", `<message><gcm xmlns='google:mobile:data' a='&'>{}</gcm></message>`, `a "&amp;" that begins no reference`},
		{"no space between attributes", `<a b='1'c='2'/>`, "no white space in front of an attribute"},
		{"a / inside a tag", `<a / >`, `a "/" inside a tag`},
		{"a name that begins with a digit", `<1a/>`, "a name was expected"},
		{"a space in front of a name", `< a/>`, "a name was expected"},
		{"no name", `<>`, "a name was expected"},
		{"two colons", `<a:b:c xmlns:a='u'/>`, "no white space in front of an attribute"},
		{"a colon in front", `<:a/>`, "a name was expected"},
		{"a colon behind", `<a: xmlns:a='u'/>`, "a name was expected"},
		{"a < behind a JSON object", `<message><gcm xmlns='google:mobile:data'>{"a":"<"}<b/></gcm></message>`, "no closing tag behind the JSON"},
		{"text between stanzas", `hello`, "text outside of any stanza"},
		{"a reference between stanzas", `&#65;`, "text outside of any stanza"},
		{"NUL between stanzas", "\x00", "text outside of any stanza"},
	} {
		attacks = append(attacks, attack{name: c.name, at: inStanzas, bytes: c.bytes, answer: malformed(c.text)})
	}
	for _, c := range []struct{ name, bytes, text string }{
		{"a header with an attribute twice", strings.Replace(header, ">", " to='x'>", 1), "an attribute occurs twice"},
		{"a header with an undeclared prefix", `<stream:stream xmlns='jabber:client' version='1.0'>`, "an element has an undeclared prefix"},
		{"a header that takes xml back", strings.Replace(header, ">", " xmlns:xml='x'>", 1), "a reserved prefix or namespace is declared"},
		{"a header without quotes", `<stream:stream version=1.0>`, "an attribute value without quotes"},
		{"text in front of the header", `hello` + header, "text outside of any stanza"},
		{"a closing tag in front of the header", end, "a name was expected"},
		{"a declaration of XML 1.1", `<?xml version='1.1'?>` + header, "the XML declaration is malformed"},
		{"a declaration without version", `<?xml encoding='UTF-8'?>` + header, "the XML declaration is malformed"},
		{"a declaration in another order", `<?xml version='1.0' standalone='yes' encoding='UTF-8'?>` + header, "the XML declaration is malformed"},
		{"a declaration that says maybe", `<?xml version='1.0' standalone='maybe'?>` + header, "the XML declaration is malformed"},
	} {
		attacks = append(attacks, attack{name: c.name, at: inHeaders, bytes: c.bytes, answer: malformed(c.text)})
	}
	run(t, attacks)
}

func TestR_A8_OtherEncodings(t *testing.T) {
	declared, bytes := ends("unsupported-encoding", "the declared encoding is not UTF-8"), ends("unsupported-encoding", "the stream is not UTF-8")
	var attacks []attack
	for _, name := range []string{"UTF-16", "utf-16le", "UTF-32", "UTF-7", "ISO-8859-1", "latin1", "windows-1252", "US-ASCII", "Shift_JIS", "EBCDIC-CP-US", "UTF8", "x"} {
		attacks = append(attacks, attack{name: "declared " + name, at: inHeaders, bytes: `<?xml version='1.0' encoding='` + name + `'?>` + header, answer: declared})
	}
	for _, c := range []struct{ name, bytes string }{
		{"UTF-16 with its mark", "\xfe\xff\x00<\x00a"},
		{"UTF-16 the other way round", "\xff\xfe<\x00a\x00"},
		{"UTF-16 without a mark", "\x00<\x00s\x00t"},
		{"UTF-16 the other way round, without a mark", "<\x00s\x00t\x00"},
		{"UTF-32 with its mark", "\x00\x00\xfe\xff\x00\x00\x00<"},
		{"UTF-32 without a mark", "\x00\x00\x00<\x00\x00\x00s"},
	} {
		attacks = append(attacks, attack{name: c.name, at: inHeaders, bytes: c.bytes, answer: bytes})
	}
	for _, c := range []struct{ name, bytes string }{
		{"a < of two bytes", "\xc0\xbc"},
		{"a / of two bytes", "\xc0\xaf"},
		{"a / of three bytes", "\xe0\x80\xaf"},
		{"a / of four bytes", "\xf0\x80\x80\xaf"},
		{"NUL of two bytes", "\xc0\x80"},
		{"a byte of Latin-1", "\xfc"},
		{"the rest of a character", "\xbf"},
		{"half a character", "\xe2\x82"},
		{"a surrogate", "\xed\xa0\x80"},
		{"a pair of surrogates", "\xed\xa0\xbd\xed\xb8\x80"},
		{"beyond Unicode", "\xf4\x90\x80\x80"},
		{"five bytes", "\xf8\x88\x80\x80\x80"},
		{"six bytes", "\xfc\x84\x80\x80\x80\x80"},
		{"a byte that never occurs", "\xff"},
	} {
		attacks = append(attacks,
			attack{name: c.name + " in text", at: inStanzas, bytes: "<a>" + c.bytes + "</a>", answer: bytes},
			attack{name: c.name + " in an attribute", at: beforeLogin, bytes: "<a b='" + c.bytes + "'/>", answer: bytes},
			attack{name: c.name + " in a name", at: beforeLogin, bytes: "<a" + c.bytes + "/>", answer: bytes},
			attack{name: c.name + " in CDATA", at: behindBind, bytes: "<a><![CDATA[" + c.bytes + "]]></a>", answer: bytes},
			attack{name: c.name + " in a payload", at: behindBind, bytes: gcm(`{"to":"T","message_id":"m-1","data":{"k":"` + c.bytes + `"}}`), answer: bytes},
			attack{name: c.name + " in a raw payload", at: behindBind, bytes: gcm(`{"to":"T","message_id":"m-1","data":{"k":"<b>` + c.bytes + `"}}`), answer: bytes},
			attack{name: c.name + " between stanzas", at: inStanzas, bytes: c.bytes + "<a/>", answer: bytes},
		)
	}
	run(t, attacks)
}

func TestR_A10_WhatNeverEnds(t *testing.T) {
	const flood = 1 << 20
	limit := map[stage]int{fresh: 8 << 10, opened: 8 << 10, inside: 64 << 10, unbound: 64 << 10, live: 64 << 10}
	var attacks []attack
	add := func(at []stage, name, bytes, again string) {
		for _, s := range at {
			attacks = append(attacks, attack{name: name + ", " + s.String(), at: []stage{s}, bytes: bytes, again: again, times: flood / len(again), answer: tooBig, taken: limit[s]})
		}
	}
	add(inHeaders, "white space in a header", "<stream:stream", " ")
	add(inHeaders, "a header's attribute", "<stream:stream to='", "x")
	add(inHeaders, "a header's name", "<s", "s")
	add(inHeaders, "a declaration", "<?xml ", " ")
	add(inHeaders, "a declaration's value", "<?xml version='", "1")
	add(inStanzas, "a tag's name", "<", "a")
	add(inStanzas, "a prefix", "<a:", "a")
	add(inStanzas, "white space in a tag", "<a", "\n")
	add(inStanzas, "an attribute's name", "<a ", "b")
	add(inStanzas, "an attribute", "<a b='", "x")
	add(inStanzas, "an attribute of references", "<a b='", "&quot;")
	add(inStanzas, "an attribute of wide characters", "<a b='", "😀")
	add(inStanzas, "a number of a reference", "<a>&#", "0")
	add(inStanzas, "an entity's name", "<a>&", "x")
	add(inStanzas, "text", "<a>", "x")
	add(inStanzas, "text of references", "<a>", "&#x10FFFF;")
	add(inStanzas, "white space in an element", "<a>", " ")
	add(inStanzas, "CDATA", "<a><![CDATA[", "]")
	add(inStanzas, "CDATA sections", "<a>", "<![CDATA[x]]>")
	add(inStanzas, "a closing tag", "<a></a", " ")
	add(inStanzas, "the stream's closing tag", "</stream:stream", "\t")
	add(inStanzas, "a namespace", "<a xmlns='", "x")
	add(beforeLogin, "a login", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>", "AAAA")
	add(behindLogin, "a payload", `<message><gcm xmlns="google:mobile:data">{"data":{"k":"`, "x")
	add(behindLogin, "a payload of bare &", `<message><gcm xmlns="google:mobile:data">{"data":{"k":"`, "&")
	add(behindLogin, "a raw payload", `<message><gcm xmlns="google:mobile:data">{"data":{"k":"<b>`, "</gcm>")
	add(behindLogin, "a raw payload of brackets", `<message><gcm xmlns="google:mobile:data">{"data":<b>`, "[")
	add(behindLogin, "white space behind a raw payload", `<message><gcm xmlns="google:mobile:data">{"k":"<b>"}`, " ")
	run(t, attacks)

	for _, at := range []stage{opened, live} {
		t.Run("what is held at the limit, "+at.String(), func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				n := srv.neighbour(t)
				p, tap := srv.attacker(t, at)
				n.beside()
				before := heap()
				tap.pour(p, "<a b='", "x", limit[at]-len("<a b='")-1)
				p.wait()
				if grown := int64(heap()) - int64(before); grown > 2*int64(limit[at]) {
					t.Errorf("%d bytes are held for an element of %d", grown, limit[at])
				}
				p.wantQuiet()
				p.write("x")
				bytes, _ := tooBig(p, at)
				p.wantClosed(bytes)
				n.wantUnharmed()
			})
		})
	}
}

func TestR_A11_ElementsDepthAndAttributes(t *testing.T) {
	elements, depth, attributes := ends("policy-violation", "too many elements in one stanza"), ends("policy-violation", "elements are nested too deep"), ends("policy-violation", "too many attributes")
	var attacks []attack
	for _, s := range inStanzas {
		most := mayTake
		if s != opened {
			most = 64 << 10
		}
		attacks = append(attacks,
			attack{name: "256 KiB of elements", at: []stage{s}, bytes: "<iq>", again: "<a/>", times: 64 << 10, answer: elements, taken: most},
			attack{name: "elements with text between them", at: []stage{s}, bytes: "<iq>", again: "<a>b</a>c", times: 10_000, answer: elements, taken: most},
			attack{name: "10,000 nested elements", at: []stage{s}, bytes: "<iq>", again: "<a>", times: 10_000, answer: depth, taken: most},
			attack{name: "nested elements that declare prefixes", at: []stage{s}, bytes: "<iq>", again: "<x:a xmlns:x='u'>", times: 10_000, answer: depth, taken: most},
			attack{name: "many attributes", at: []stage{s}, bytes: "<iq " + manyAttributes(30_000), answer: attributes, taken: most},
			attack{name: "many prefixes", at: []stage{s}, bytes: "<iq" + strings.ReplaceAll(" "+manyAttributes(3_000), " a", " xmlns:a"), answer: attributes, taken: most},
			attack{name: "the same attribute again and again", at: []stage{s}, bytes: "<iq", again: " a='b'", times: 30_000, answer: attributes, taken: most},
		)
	}
	for _, s := range inHeaders {
		attacks = append(attacks, attack{name: "many attributes of a header", at: []stage{s}, bytes: "<stream:stream " + manyAttributes(30_000), answer: attributes, taken: 64 << 10})
	}
	for i := range attacks {
		attacks[i].name += ", " + attacks[i].at[0].String()
	}
	run(t, attacks)
	t.Run("256 KiB of elements side by side before the login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			attack{bytes: "<a/>", again: "<a/>", times: 64 << 10, answer: ends("unsupported-stanza-type", ""), taken: mayTake}.play(t, newServer(t, nil), opened)
		})
	})
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d='' ", i)
	}
	return b.String()
}
