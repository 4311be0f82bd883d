package ccsserver_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"penstock/ccsserver"
)

func TestR_A2_R_A12_R_A30_WhatWasNeverOffered(t *testing.T) {
	unknown := ends("unsupported-stanza-type", "")
	// Whatever stands behind is not obeyed: it might have been put there by
	// somebody else, in clear, for the time behind a handshake.
	const behind = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>`
	var attacks []attack
	for _, c := range []struct{ name, bytes string }{
		{"starttls", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`},
		{"starttls and commands behind it", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>` + header + behind + header + bindIQ + downstream("m-1")},
		{"starttls under a prefix", `<x:starttls xmlns:x='urn:ietf:params:xml:ns:xmpp-tls'/>`},
		{"starttls without namespace", `<starttls/>`},
		{"proceed, the server's own word", `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`},
		{"compression by zlib", `<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>`},
		{"compression by lzw, and what is compressed", `<compress xmlns='http://jabber.org/protocol/compress'><method>lzw</method></compress>` + "\x78\x9c\x00\xff"},
		{"a resume with a guessed id", `<resume xmlns='urn:xmpp:sm:3' h='1' previd='00000000'/>`},
		{"a resume that acks too much", `<resume xmlns='urn:xmpp:sm:3' h='4294967295' previd='x'/>`},
		{"a resume of an older kind", `<resume xmlns='urn:xmpp:sm:2' h='0' previd='x'/>`},
		{"a second kind of SASL", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGEAYg==</initial-response></authenticate>`},
		{"a component's handshake", `<handshake xmlns='jabber:component:accept'>00</handshake>`},
		{"dialback", `<db:result xmlns:db='jabber:server:dialback' to='a' from='b'>x</db:result>`},
		{"registration outside of a query", `<register xmlns='http://jabber.org/features/iq-register'/>`},
		{"the server's own features", `<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>`},
		{"the server's own success", success},
		{"an answer to no challenge", `<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AGEAYg==</response>`},
		{"a login in the wrong namespace", `<auth mechanism='PLAIN'>AGEAYg==</auth>`},
		{"a login in no namespace", `<auth xmlns='' mechanism='PLAIN'>AGEAYg==</auth>`},
		{"a message of another namespace", strings.Replace(downstream("m-1"), "<message", "<message xmlns='jabber:server'", 1)},
	} {
		attacks = append(attacks, attack{name: c.name, at: inStanzas, bytes: c.bytes, answer: unknown})
	}
	const enable = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`
	attacks = append(attacks,
		attack{name: "stream management", at: beforeBind, bytes: enable, answer: unknown},
		attack{name: "stream management behind bind", at: behindBind, bytes: enable,
			answer: goesOn(`<failed xmlns="urn:xmpp:sm:3"><unexpected-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></failed>`)},
		attack{name: "acks of stream management, unasked", at: behindBind, bytes: `<a xmlns='urn:xmpp:sm:3' h='4294967295'/><r xmlns='urn:xmpp:sm:3'/>`, answer: goesOn("")},
		attack{name: "compressed bytes at once", at: anywhere, bytes: "\x78\x9c\xec\xfd", answer: malformed("text outside of any stanza")},
	)
	run(t, attacks)
	t.Run("nothing of it is announced", func(t *testing.T) {
		for _, word := range []string{"starttls", "compress", "urn:xmpp:sm", "sasl:2", "register", "dialback"} {
			if strings.Contains(featuresLogin+featuresBind, word) { // which every login compares byte for byte
				t.Errorf("%s is announced", word)
			}
		}
	})
}

func TestS14_R_A13_StanzasBeforeTheirTime(t *testing.T) {
	early, noHeader := ends("not-authorized", ""), ends("bad-format", "the first element is not the header of a stream")
	var attacks []attack
	for _, c := range []struct{ name, bytes string }{
		{"a message", downstream("m-1")},
		{"many messages", strings.Repeat(downstream("m-1"), 100)},
		{"an ack", ack(token, "m-1")},
		{"a message without payload", `<message/>`},
		{"presence", `<presence/>`},
		{"a session", sessionIQ},
		{"a ping", pingIQ},
		{"a roster", `<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>`},
		{"a login of long ago", `<iq type='set' id='a1'><query xmlns='jabber:iq:auth'><username>` + sender + `</username><password>` + key + `</password></query></iq>`},
		{"a registration", `<iq type='set' id='a1'><query xmlns='jabber:iq:register'><username>x</username><password>y</password></query></iq>`},
		{"a question after bind", `<iq type='get' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`},
		{"the result of a bind", `<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>` + rival + `@gcm.googleapis.com/x</jid></bind></iq>`},
		{"an iq of no type", `<iq/>`},
		{"a message and a bind", downstream("m-1") + bindIQ},
	} {
		attacks = append(attacks, attack{name: c.name, at: beforeBind, bytes: c.bytes, answer: early},
			attack{name: c.name, at: inHeaders, bytes: c.bytes, answer: noHeader})
	}
	attacks = append(attacks, attack{name: "a bind before the login", at: beforeLogin, bytes: bindIQ + downstream("m-1"), answer: early})
	run(t, attacks)
}

func TestR_A14_HeadersThatAreNone(t *testing.T) {
	const streams = `the namespace of the stream is not http://etherx.jabber.org/streams`
	const client = `the default namespace is not jabber:client`
	const version = `the version of the stream is not 1.0`
	var attacks []attack
	for _, c := range []struct{ name, bytes, condition, text string }{
		{"another namespace of streams", `<stream:stream xmlns='jabber:client' xmlns:stream='http://example.com/' version='1.0'>`, "invalid-namespace", streams},
		{"the namespace with a slash", `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams/' version='1.0'>`, "invalid-namespace", streams},
		{"a server's namespace", `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, "invalid-namespace", client},
		{"a component's namespace", `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, "invalid-namespace", client},
		{"no default namespace", `<stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, "invalid-namespace", client},
		{"streams as the default namespace", `<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>`, "invalid-namespace", client},
		{"version 0.9", strings.Replace(header, "1.0", "0.9", 1), "unsupported-version", version},
		{"version 0", strings.Replace(header, "1.0", "0", 1), "unsupported-version", version},
		{"a version below zero", strings.Replace(header, "1.0", "-1.0", 1), "unsupported-version", version},
		{"a version beyond all numbers", strings.Replace(header, "1.0", "99999999999999999999", 1), "unsupported-version", version},
		{"a version in words", strings.Replace(header, "1.0", "one", 1), "unsupported-version", version},
		{"no version", strings.Replace(header, " version='1.0'", "", 1), "unsupported-version", version},
		{"an empty header, as Google's pages had it", strings.Replace(header, ">", "/>", 1), "bad-format", `the header of a stream is an opening tag, not an empty element`},
		{"HTML", `<html>`, "bad-format", `the first element is not the header of a stream`},
		{"a stream in capitals", `<stream:Stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`, "bad-format", `the first element is not the header of a stream`},
		{"Flash's policy request", "<policy-file-request/>\x00", "bad-format", `the first element is not the header of a stream`},
		{"XMPP over WebSocket", `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>`, "bad-format", `the first element is not the header of a stream`},
	} {
		attacks = append(attacks, attack{name: c.name, at: inHeaders, bytes: c.bytes, answer: ends(c.condition, c.text)})
	}
	run(t, attacks)
	// That a strange "to" is no attack is shown by S3.
}

// sasl is a login by a mechanism.
func sasl(mechanism, text string) string {
	return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='` + mechanism + `'>` + text + `</auth>`
}

// plain is a login by a message of SASL PLAIN, whatever it is.
func plain(message string) string {
	return sasl("PLAIN", base64.StdEncoding.EncodeToString([]byte(message)))
}

func TestR_A15_TheAuthorizationIDOfAnother(t *testing.T) {
	var attacks []attack
	for _, c := range []struct{ name, authzid, user string }{
		{"another sender id", rival, sender},
		{"another sender id with a domain", rival + "@gcm.googleapis.com", sender},
		{"another sender id, the user with a domain", rival, sender + "@gcm.googleapis.com"},
		{"another sender id at the user's domain", rival + "@fcm.googleapis.com", sender + "@fcm.googleapis.com"},
		{"only a domain", "@gcm.googleapis.com", sender},
		{"only an at sign", "@", sender},
		{"a longer sender id", sender + "0", sender},
		{"a shorter sender id", sender[:len(sender)-1], sender},
		{"a space in front", " " + sender, sender},
		{"a space behind", sender + " ", sender},
		{"an invisible character behind", sender + "\u200b", sender},
		{"digits of another alphabet", "１２３４５６７８９０", sender},
		{"the user behind another", rival + "@" + sender, sender},
		{"the administrator", "admin", sender},
	} {
		attacks = append(attacks,
			attack{name: c.name + ", with the right key", at: beforeLogin, bytes: auth(c.authzid, c.user, key), answer: refuses("invalid-authzid")},
			attack{name: c.name + ", with a wrong key", at: beforeLogin, bytes: auth(c.authzid, c.user, "wrong"), answer: refuses("not-authorized")},
		)
	}
	attacks = append(attacks, attack{name: "the other's key for one's own id", at: beforeLogin, bytes: auth(rival, "1111111111", key), answer: refuses("not-authorized")})
	run(t, attacks)
	t.Run("the session is the user's, whatever domain the authorization id has", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.open(featuresLogin)
			p.write(auth(sender+"@"+rival, sender, key))
			p.want(success)
			p.open(featuresBind)
			p.bind()
			if s := srv.Streams(); len(s) != 1 || s[0].Sender != sender || !strings.HasPrefix(p.jid, sender+"@gcm.googleapis.com/") {
				t.Errorf("bound to %s, streams %+v", p.jid, s)
			}
		})
	})
}

func TestS13_R_A16_R_A17_LoginsThatAreNone(t *testing.T) {
	base := base64.StdEncoding.EncodeToString([]byte("\x00" + sender + "\x00" + key))
	var attacks []attack
	add := func(condition string, list map[string]string) {
		for name, bytes := range list {
			attacks = append(attacks, attack{name: condition + ": " + name, at: beforeLogin, bytes: bytes, answer: refuses(condition)})
		}
	}
	// Messages of SASL PLAIN in every shape but the right one.
	add("malformed-request", map[string]string{
		"nothing":                         sasl("PLAIN", ""),
		"nothing, in an empty element":    `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>`,
		"an empty message":                sasl("PLAIN", "="),
		"white space alone":               sasl("PLAIN", " \r\n\t "),
		"children instead of text":        sasl("PLAIN", "<a>"+base+"</a>"),
		"no NUL":                          plain("hello"),
		"only a user":                     plain(sender),
		"a NUL alone":                     plain("\x00"),
		"two NULs alone":                  plain("\x00\x00"),
		"three NULs alone":                plain("\x00\x00\x00"),
		"one NUL":                         plain(sender + "\x00" + key),
		"one NUL in front":                plain("\x00" + sender + key),
		"a NUL behind":                    plain("\x00" + sender + "\x00" + key + "\x00"),
		"two NULs behind":                 plain("\x00" + sender + "\x00" + key + "\x00\x00"),
		"a NUL inside the user":           plain("\x0012345\x0067890\x00" + key),
		"a NUL inside the key":            plain("\x00" + sender + "\x00server\x00key"),
		"four parts":                      plain(sender + "\x00" + sender + "\x00" + key + "\x00x"),
		"a thousand NULs":                 plain(strings.Repeat("\x00", 1000)),
		"no user":                         plain("\x00\x00" + key),
		"no user, but an authorization":   plain(sender + "\x00\x00" + key),
		"no key":                          plain("\x00" + sender + "\x00"),
		"no key, but an authorization":    plain(sender + "\x00" + sender + "\x00"),
		"no UTF-8 in the key":             plain("\x00" + sender + "\x00\xff"),
		"no UTF-8 in the user":            plain("\x00\xc0\xb1234\x00" + key),
		"no UTF-8 in the authorization":   plain("\xed\xa0\x80\x00" + sender + "\x00" + key),
		"Latin-1":                         plain("\x00" + sender + "\x00schl\xfcssel"),
		"half a character at the end":     plain("\x00" + sender + "\x00" + key + "\xe2\x82"),
		"UTF-16":                          plain("\x00\x00" + "1\x002\x00" + "\x00\x00" + "k\x00"),
		"a byte more than a kilobyte":     plain("\x00" + sender + "\x00" + strings.Repeat("k", 1025-2-len(sender))),
		"two kilobytes":                   plain("\x00" + sender + "\x00" + strings.Repeat("k", 2048)),
		"a long user":                     plain("\x00" + strings.Repeat("1", 2048) + "\x00" + key),
		"a long authorization":            plain(strings.Repeat("1", 2048) + "\x00" + sender + "\x00" + key),
		"as much as fits into the stanza": sasl("PLAIN", strings.Repeat("A", 8<<10-len(sasl("PLAIN", "")))),
	})
	add("incorrect-encoding", map[string]string{
		"no base64":                     sasl("PLAIN", "!!"),
		"the message in clear":          sasl("PLAIN", sender+":"+key),
		"hexadecimal of odd length":     sasl("PLAIN", "003132333"),
		"without its padding":           sasl("PLAIN", strings.TrimRight(plainText("\x00a\x00bc"), "=")),
		"with too much padding":         sasl("PLAIN", base+"="),
		"padding in front":              sasl("PLAIN", "="+base),
		"padding inside":                sasl("PLAIN", "AGEA=YmI="),
		"two messages":                  sasl("PLAIN", plainText("\x00a\x00b")+plainText("\x00a\x00b")),
		"on two lines":                  sasl("PLAIN", base[:8]+"\n"+base[8:]),
		"on two lines of another kind":  sasl("PLAIN", base[:8]+"&#13;&#10;"+base[8:]),
		"with a space inside":           sasl("PLAIN", base[:8]+" "+base[8:]),
		"in the alphabet of file names": sasl("PLAIN", "AGEA_-8="),
		"one character":                 sasl("PLAIN", "A"),
		"wide characters":               sasl("PLAIN", "ＡＧＥＡ"),
		"NUL, escaped as text":          sasl("PLAIN", `\u0000a\u0000b`),
	})
	add("invalid-mechanism", map[string]string{
		"Google's own":                    sasl("X-OAUTH2", base),
		"Google's other":                  sasl("X-GOOGLE-TOKEN", base),
		"SCRAM":                           sasl("SCRAM-SHA-1", "biws"),
		"nobody":                          sasl("ANONYMOUS", ""),
		"a certificate":                   sasl("EXTERNAL", "="),
		"DIGEST-MD5":                      sasl("DIGEST-MD5", ""),
		"none":                            `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>` + base + `</auth>`,
		"an empty one":                    sasl("", base),
		"PLAIN in lower case":             sasl("plain", base),
		"PLAIN with a space":              sasl("PLAIN ", base),
		"PLAIN and another":               sasl("PLAIN,EXTERNAL", base),
		"PLAIN as an attribute of no use": `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' xmlns:x='u' x:mechanism='PLAIN'>` + base + `</auth>`,
		"one of eight kilobytes":          sasl(strings.Repeat("X", 8000), ""),
		"one with markup":                 sasl("&lt;/failure&gt;&lt;success/&gt;", base),
	})
	add("aborted", map[string]string{
		"an abort":                  `<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`,
		"an abort and a login":      `<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>` + auth("", sender, key),
		"an abort with much inside": `<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>` + strings.Repeat("x", 4000) + `</abort>`,
	})
	shapes := 0
	for _, a := range attacks {
		if strings.Contains(a.bytes, "'PLAIN'") && !strings.Contains(a.name, "invalid-mechanism") {
			shapes++
		}
	}
	if shapes < 40 {
		t.Errorf("only %d encodings of PLAIN are tried", shapes)
	}
	slices.SortFunc(attacks, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	run(t, attacks)
	t.Run("a kilobyte is a message like any other", func(t *testing.T) {
		run(t, []attack{{name: "and is judged", at: beforeLogin, bytes: plain("\x00" + sender + "\x00" + strings.Repeat("k", 1024-2-len(sender))), answer: refuses("not-authorized")}})
	})
}

func plainText(message string) string { return base64.StdEncoding.EncodeToString([]byte(message)) }

func TestR_A21_WhatMayComeOnlyOnce(t *testing.T) {
	again := ends("policy-violation", "already authenticated")
	notAllowed := func(from string) outcome {
		return func(p *peer, _ stage) (string, ending) {
			return `<iq` + from + ` to="` + p.jid + `" type="error" id="b1"><error code="405" type="cancel"><not-allowed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`, lives
		}
	}
	run(t, []attack{
		{name: "a second login as somebody else", at: behindLogin, bytes: auth("", rival, key), answer: again},
		{name: "a second login as oneself", at: behindLogin, bytes: auth("", sender, key), answer: again},
		{name: "a second login that would fail", at: behindLogin, bytes: auth("", sender, "wrong"), answer: again},
		{name: "a second login by another mechanism", at: behindLogin, bytes: sasl("X-OAUTH2", ""), answer: again},
		{name: "a second bind", at: behindBind, bytes: bindIQ, answer: notAllowed("")},
		{name: "a second bind of another resource, to somebody", at: behindBind, answer: notAllowed(` from="x"`),
			bytes: `<iq type='set' id='b1' to='x'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>other</resource></bind></iq>`},
		{name: "a second header, and messages inside it", at: behindBind, bytes: header, again: downstream("m-1"), times: 100, answer: ends("policy-violation", "too many elements in one stanza")},
		{name: "a second header before the login, and a login inside it", at: beforeLogin, bytes: header + auth("", sender, key) + end + downstream("m-1"), answer: ends("unsupported-stanza-type", "")},
	})
	t.Run("a resource that is in use closes nobody", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			n := srv.neighbour(t)
			n.beside()
			first, second := srv.dial(t), srv.dial(t)
			for _, p := range []*peer{first, second} {
				p.login(sender)
				p.write(`<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>`)
				p.jid = p.wantMatch(bound)[1]
			}
			if m := regexp.MustCompile(`/r[0-9A-F]{8}$`); !m.MatchString(second.jid) {
				t.Errorf("the second is %s, want the wish and eight digits", second.jid)
			}
			first.write(downstream("m-1"))
			first.want(acked("m-1"))
			n.wantUnharmed()
		})
	})
}

func TestR_A22_R_L6_StreamsOfOneSender(t *testing.T) {
	play(t, &ccsserver.Options{Connections: ccsserver.ConnectionLimits{PerSender: 2}}, func(t *testing.T, srv *server) {
		n := srv.neighbour(t)
		n.beside()
		first, second := srv.bind(t), srv.bindAs(t, sender+"@fcm.googleapis.com")
		for range 50 {
			p := srv.dial(t)
			p.login(sender)
			p.write(bindIQ, downstream("m-1"))
			p.wantClosed(`<iq type="error" id="b1"><error code="500" type="wait"><resource-constraint xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`, end)
			p.hangUp()
		}
		if why := srv.refused(); len(why) != 50 {
			t.Errorf("%d connections were refused, want 50", len(why))
		}
		if got := srv.handedOnFrom(sender); got != 0 {
			t.Errorf("%d messages of streams that were never bound were handed on", got)
		}
		second.write(downstream("m-2"))
		second.want(acked("m-2"))
		first.hangUp()
		first.wait()
		srv.bind(t) // a place is free again
		n.wantUnharmed()
	})
}

func TestR_A23_ForgedAddressesMeanNothing(t *testing.T) {
	froms := []string{rival, rival + "@gcm.googleapis.com", rival + "@gcm.googleapis.com/x", "gcm.googleapis.com", "devices@gcm.googleapis.com", "", "&lt;&apos;", strings.Repeat("x", 4000)}
	play(t, nil, func(t *testing.T, srv *server) {
		n := srv.neighbour(t)
		n.beside()
		o := srv.offer(t, fromDevice("u-1"))
		p := srv.bind(t)
		p.want(upstream("u-1"))
		for i, from := range froms {
			id := fmt.Sprint("m-", i)
			p.write(`<message from="` + from + `" to="nobody@example.com" id="x"><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"` + id + `","from":"` + rival + `","category":"x"}</gcm></message>`)
			p.want(acked(id))
		}
		if got := srv.handedOnFrom(sender); got != len(froms) {
			t.Errorf("%d messages were taken for the sender's own, want %d", got, len(froms))
		}
		p.write(`<iq type='get' id='p1' from='` + rival + `@gcm.googleapis.com/x'><ping xmlns='urn:xmpp:ping'/></iq>`)
		p.want(p.pong()) // to whom the stream belongs, not to whom it names
		p.write(`<presence from='` + rival + `@gcm.googleapis.com/x' type='unavailable'/>`)
		p.wantQuiet()
		o.want(t, 0, 1)
		n.wantUnharmed()
	})
}
