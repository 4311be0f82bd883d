package ccsserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestR_A9_NothingIsSmuggledThroughTwoReadings(t *testing.T) {
	// What the server writes is made anew from what it understood: each of
	// these is one element for it, and one for whoever reads its answer, which
	// the harness parses too.
	const inner = `</gcm></message><message><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-9"}</gcm></message>`
	text := func(s string) string { return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s) }
	attr := func(s string) string { return strings.NewReplacer(`"`, "&quot;", "'", "&#39;").Replace(text(s)) }
	in := strings.ReplaceAll(inner, `"`, `\"`)
	for name, tt := range map[string]struct {
		bytes string
		key   string // of the data that is handed on
	}{
		"a second message in a JSON string, raw":             {gcm(`{"to":"` + token + `","message_id":"m-1","data":{"k":"<b>` + in + `"}}`), "<b>" + inner},
		"a second message in a JSON string, escaped":         {gcm(text(`{"to":"` + token + `","message_id":"m-1","data":{"k":"` + in + `"}}`)), inner},
		"a second message in CDATA":                          {gcm(`<![CDATA[{"to":"` + token + `","message_id":"m-1","data":{"k":"` + in + `"}}]]>`), inner},
		"a second message in JSON's escapes":                 {gcm(`{"to":"` + token + `","message_id":"m-1","data":{"k":"\u003c/gcm\u003e"}}`), "</gcm>"},
		"a closing tag of two CDATA sections":                {gcm(`{"to":"` + token + `","message_id":"m-1","data":{"k":"<![CDATA[</g]]><![CDATA[cm>]]>"}}`), "</gcm>"},
		"an end of CDATA in CDATA":                           {gcm(`<![CDATA[{"to":"` + token + `","message_id":"m-1","data":{"k":"]]]]><![CDATA[>"}}]]>`), "]]>"},
		"a second payload, which does not count":             {`<message><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"m-1","data":{"k":"first"}}</gcm><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-9"}</gcm></message>`, "first"},
		"a payload of another namespace in front":            {`<message><gcm xmlns="x">{"to":"T","message_id":"m-9"}</gcm><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"m-1","data":{"k":"second"}}</gcm></message>`, "second"},
		"a payload further down in front":                    {`<message><x><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-9"}</gcm></x><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"m-1","data":{"k":"second"}}</gcm></message>`, "second"},
		"a prefix that means something else inside":          {`<message xmlns:d="google:mobile:data"><d:gcm xmlns:d="x">{"to":"T","message_id":"m-9"}</d:gcm><d:gcm>{"to":"` + token + `","message_id":"m-1","data":{"k":"second"}}</d:gcm></message>`, "second"},
		"a message in an attribute":                          {`<message id='` + attr(inner) + `'><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"m-1","data":{"k":"v"}}</gcm></message>`, "v"},
		"> in an attribute, and quotes of the other kind":    {`<message id='"/>'><gcm xmlns="google:mobile:data" a=">{}'"><![CDATA[{"to":"` + token + `","message_id":"m-1","data":{"k":"v"}}]]></gcm></message>`, "v"},
		"line ends of every kind":                            {"<message\r\nid='1'\r>\r\n<gcm\txmlns='google:mobile:data'\n>\r{\"to\":\"" + token + "\",\r\"message_id\":\"m-1\",\r\n\"data\":{\"k\":\"v\"}}</gcm\r\n></message\t>\r\n", "v"},
		"equal keys, of which the last counts":               {gcm(`{"to":"T","message_id":"m-9","data":{"k":"w"},"data":{"k":"w","k":"v"},"message_id":"m-1","to":"` + token + `"}`), "v"},
		"equal keys, one of them escaped":                    {gcm(`{"message_id":"m-9","message\u005fid":"m-1","to":"` + token + `","data":{"k":"w","\u006b":"v"}}`), "v"},
		"a key that differs by case, which is another":       {gcm(`{"message_id":"m-1","Message_ID":"m-9","to":"` + token + `","TO":"T","data":{"k":"v"}}`), "v"},
		"a byte order mark inside a string":                  {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"` + "\ufeff" + `"}}`), "\ufeff"},
		"characters that read from right to left":            {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"` + "\u202e" + `"}}`), "\u202e"},
		"line separators that end a line in scripts":         {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"` + "\u2028\u2029" + `"}}`), "\u2028\u2029"},
		"a reference that stands for a reference":            {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"&amp;lt;"}}`), "&lt;"},
		"a raw < behind a string that ends in a backslash":   {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"a":"\\","k":"<}"}}`), "<}"},
		"a raw < behind a quote that was escaped":            {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"\"<}</gcm>"}}`), `"<}</gcm>`},
		"a raw < behind a quote that is a reference in XML":  {gcm(`{"message_id":"m-1","to":"` + token + `","data":{&quot;k&quot;:"<"}}`), "<"},
		"a raw < behind a reference to a backslash in JSON":  {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"&#92;"<"}}`), `"<`},
		"a raw closing tag of the message, not of the field": {gcm(`{"message_id":"m-1","to":"` + token + `","data":{"k":"</message></stream:stream>"}}`), "</message></stream:stream>"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				n := srv.neighbour(t)
				p, _ := srv.attacker(t, live)
				n.beside()
				p.write(tt.bytes, pingIQ)
				p.want(acked("m-1"), p.pong())
				if srv.handedOnFrom(sender) != 1 || srv.lastFrom(sender).Message.Data["k"] != tt.key {
					t.Errorf("%d messages were handed on, want one with %q", srv.handedOnFrom(sender), tt.key)
				}
				p.wantQuiet()
				n.wantUnharmed()
			})
		})
	}
	// Names and ids that come back.
	const evil = `'"/><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>&]]>`
	run(t, []attack{
		{name: "markup in a ping's id and address", at: behindBind, bytes: `<iq type='get' id='` + attr(evil) + `' to='` + attr(evil) + `'><ping xmlns='urn:xmpp:ping'/></iq>`,
			answer: func(p *peer, _ stage) (string, ending) {
				return `<iq from="` + attr(evil) + `" to="` + p.jid + `" type="result" id="` + attr(evil) + `"/>`, lives
			}},
		{name: "markup in the id of bad JSON, and in the JSON", at: behindBind, bytes: `<message id='` + attr(evil) + `'><gcm xmlns="google:mobile:data">` + text(evil) + `</gcm></message>`,
			answer: func(p *peer, _ stage) (string, ending) {
				return `<message id="` + attr(evil) + `" type="error" to="` + p.jid + `"><gcm xmlns="google:mobile:data">` + text(evil) + `</gcm><error code="400" type="modify">` +
					`<bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0</text></error></message>`, lives
			}},
		{name: "markup in the message id of a message that is refused", at: behindBind, bytes: gcm(`{"message_id":"` + `</data:gcm></message><message>` + `"}`),
			answer: goesOn(answer(`{"message_type":"nack","from":"unknown","message_id":"\u003c/data:gcm\u003e\u003c/message\u003e\u003cmessage\u003e","error":"INVALID_JSON","error_description":"InvalidJson: INVALID_TARGET : Field \"to\" is missing, and so is \"condition\""}`))},
		{name: "a raw < in a string that a reference closes, and brackets behind", at: behindBind, bytes: gcm(`{"message_id":"m-1","to":"T","data":{"k":"<&quot;}}&quot;"}}`), answer: malformed("no closing tag behind the JSON")},
		{name: "a second payload inside a payload", at: behindBind, bytes: gcm(`{}<gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-9"}</gcm>`),
			answer: badJSON("{}", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id")},
	})
	t.Run("what closes the payload in XML closes it here", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(`<message><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m-1","data":{"k":"</gcm></message>`, downstream("m-9"))
			bytes, _ := badJSON(`{"to":"T","message_id":"m-1","data":{"k":"`, "InvalidJson: JSON_PARSING_ERROR : unexpected end, wanted the end of the string at byte 42")(p, live)
			p.want(bytes, acked("m-9"))
			if r := srv.take(t); r.Sender != sender || r.Message.MessageID != "m-9" {
				t.Errorf("%s was handed on as %s's", r.Message.MessageID, r.Sender)
			}
		})
	})
	t.Run("markup in a header's to and in a resource", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			for _, features := range []string{featuresLogin, featuresBind} {
				p.write(strings.Replace(header, "gcm.googleapis.com", attr(evil), 1))
				p.wantHeader(attr(evil))
				p.want(features)
				if features == featuresLogin {
					p.write(auth("", sender+"@"+evil, key))
					p.want(success)
				}
			}
			p.write(`<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>` + text(evil) + `</resource></bind></iq>`)
			p.want(`<iq type="result" id="b1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>`, sender, "@", text(evil), "/", text(evil), `</jid></bind></iq>`)
		})
	})
	t.Run("markup from a device", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			srv.offer(t, &ccs.Upstream{From: token, MessageID: ccs.MessageID(inner), Category: inner, Data: map[string]string{inner: inner + "\x00\x1f\xff"}})
			got := p.next()
			if strings.Count(got, "<") != 4 || strings.Contains(got, "\x00") || !strings.HasSuffix(got, `</gcm></message>`) {
				t.Errorf("the server wrote %q", got)
			}
			p.wantQuiet()
		})
	})
}

// lastFrom is the newest message of a sender that was handed on.
func (o *onward) lastFrom(who ccs.SenderID) *ccsserver.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.taken) - 1; i >= 0; i-- {
		if o.taken[i].Sender == who {
			return o.taken[i]
		}
	}
	return nil
}

func TestR_A24_WhoIgnoresTheWindowIsReadNoFurther(t *testing.T) {
	for name, flood := range map[string]struct {
		message func(i int) string
		first   int // handed on, at most
	}{
		"small messages":        {downstreamOf(0), 100},
		"messages of 4 KiB":     {downstreamOf(4000), 100},
		"one message, repeated": {func(int) string { return downstream("m") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				srv.handle(func(r *ccsserver.Request) {
					if r.Sender == rival {
						r.Answer(nil, nil)
					}
				})
				n := srv.neighbour(t)
				p, tap := srv.attacker(t, live)
				n.beside()
				before := heap()
				var all strings.Builder
				for i := range 5000 {
					all.WriteString(flood.message(i))
				}
				held := int64(heap()) - int64(before)
				tap.pour(p, all.String(), "", 0)
				pass(time.Second)
				p.wantBeats()
				if got := srv.handedOnFrom(sender); got != flood.first {
					t.Errorf("%d messages were handed on, want %d", got, flood.first)
				}
				// A window, one more that waits, and what a read brought along.
				if most := 102*len(flood.message(4999)) + 64<<10; tap.beforeEnd() > most {
					t.Errorf("%d bytes were taken, want %d at most", tap.beforeEnd(), most)
				}
				if grown := int64(heap()) - int64(before) - held; grown > 2<<20 {
					t.Errorf("%d bytes are held for it", grown)
				}
				n.wantUnharmed()
				if len(srv.closed()) != 1 { // the neighbour's, just now
					t.Error("the attacker's stream was closed")
				}
			})
		})
	}
	t.Run("who asks and does not read the answers", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			n := srv.neighbour(t)
			p, tap := srv.attacker(t, live)
			p.deafen()
			n.beside()
			before := heap()
			id := strings.Repeat("'", 60_000) // of which an answer makes six times as much
			tap.pour(p, `<iq type='get' id="`+id+`"/>`, `<iq type='get' id="`+id+`"/>`, 1000)
			pass(time.Second)
			if grown := int64(heap()) - int64(before); grown > 8<<20 {
				t.Errorf("%d bytes are held for it", grown)
			}
			if tap.beforeEnd() > 2<<20 {
				t.Errorf("%d bytes were taken", tap.beforeEnd())
			}
			pass(30 * time.Second) // a write is stuck for that long
			found := false
			for _, c := range srv.closed() {
				found = found || c.stream.Sender == sender
			}
			if !found {
				t.Error("the stream still lives")
			}
			n.wantUnharmed()
		})
	})
}

// downstreamOf makes different messages of about a size.
func downstreamOf(size int) func(i int) string {
	data := strings.Repeat("x", size)
	return func(i int) string {
		return stanza(fmt.Sprintf(`{"to":"%s","message_id":"m-%d","data":{"k":"%s"}}`, token, i, data))
	}
}

func TestR_A25_WhoNeverAcksHoldsUpNobody(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		n := srv.neighbour(t)
		n.beside()
		p := srv.bind(t)
		var offers []*offer
		for i := range 1000 {
			offers = append(offers, srv.offer(t, fromDevice(fmt.Sprint("u-", i))))
		}
		for i := range 100 {
			p.want(upstream(fmt.Sprint("u-", i)))
		}
		p.wantQuiet() // and no more
		p.write(downstream("m-1"))
		p.want(acked("m-1"))

		// Another stream of the same sender id gets the next ones; when the
		// first is gone, what it never acked comes again, in the old order.
		second := srv.bind(t)
		for i := range 100 {
			second.want(upstream(fmt.Sprint("u-", 100+i)))
		}
		second.wantQuiet()
		p.cut()
		p.wait()
		for i := range 100 {
			second.write(ack(token, fmt.Sprint("u-", 100+i)))
		}
		for i := range 100 {
			second.want(upstream(fmt.Sprint("u-", i)))
		}
		second.wantQuiet()
		offers[0].want(t, 0, 2)
		offers[100].want(t, ccsserver.Acked, 1)
		n.wantUnharmed()
	})
}

func TestR_A26_AcksOfEveryWrongKind(t *testing.T) {
	nackOf := func(from, id, text string) outcome {
		return goesOn(answer(`{"message_type":"nack","from":"` + from + `","message_id":"` + id + `","error":"BAD_ACK","error_description":"` + text + `"}`))
	}
	run(t, []attack{
		{name: "of nothing", at: behindBind, bytes: ack(token, "u-1"), answer: goesOn("")},
		{name: "of nothing, ten thousand times", at: behindBind, bytes: ack(token, "u-1"), again: ack(token, "u-2"), times: 10_000, answer: goesOn(""), cost: 10_000 << 9}, // each is decoded
		{name: "of a downstream message", at: behindBind, bytes: ack(token, "m-1"), answer: goesOn("")},
		{name: "of a receipt that never was", at: behindBind, bytes: ack("gcm.googleapis.com", "dr2:1"), answer: goesOn("")},
		{name: "of the neighbour's messages", at: behindBind, bytes: ack(token, "n-1") + ack(token, "n-2") + ack(token, "n-13") + ack(token, "n-14"), answer: goesOn("")},
		{name: "without id", at: behindBind, bytes: gcm(`{"to":"T","message_type":"ack"}`), answer: nackOf("T", "unknown", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id")},
		{name: "without to", at: behindBind, bytes: gcm(`{"message_id":"u-1","message_type":"ack"}`), answer: nackOf("unknown", "u-1", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: to")},
		{name: "without either", at: behindBind, bytes: gcm(`{"message_type":"ack"}`), answer: nackOf("unknown", "unknown", "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id")},
		{name: "a nack", at: behindBind, bytes: gcm(`{"to":"T","message_id":"u-1","message_type":"nack"}`), answer: nackOf("T", "u-1", `InvalidJson: INVALID_FIELD : Field \"message_type\" must not be \"nack\": upstream messages are acked or left alone`)},
	})
	t.Run("of another sender's message, and twice", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			n := srv.neighbour(t)
			n.beside()
			p := srv.bind(t)
			p.write(ack(token, "n-0"), ack(token, "n-20")) // which the neighbour has had, and will have
			unknown := srv.unknownAcks()
			o := srv.offer(t, fromDevice("u-1"))
			p.want(upstream("u-1"))
			p.write(ack(token+"x", "u-1"), ack(token, "u-1x"))
			o.want(t, 0, 1)
			p.write(ack(token, "u-1"), ack(token, "u-1"), ack(token, "u-1"))
			o.want(t, ccsserver.Acked, 1)
			p.wantQuiet()
			if got := srv.unknownAcks() - unknown; got != 4 || unknown != 2 {
				t.Errorf("%d and %d acks were for nothing, want 2 and 4", unknown, got)
			}
			pass(20 * neighboursPace)
			n.wantUnharmed()
		})
	})
}

func TestR_A27_TheSameIDAgain(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		n := srv.neighbour(t)
		n.beside()
		p, second := srv.bind(t), srv.bind(t)
		p.write(downstream("m-1"))
		p.want(acked("m-1"))
		for range 100 {
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			second.write(stanza(`{"to":"` + token + `","message_id":"m-1","data":{"k":"another"}}`))
			second.want(nacked("m-1", "INVALID_JSON", textReused))
		}
		p.write(downstream("n-0")) // the neighbour's id is another's affair
		p.want(acked("n-0"))
		if got := srv.handedOnFrom(sender); got != 2 {
			t.Errorf("%d messages were handed on, want 2", got)
		}
		n.wantUnharmed()
	})
}

// fullStanza is what a stanza of 64 KiB may cost: its JSON, a map of its keys,
// the answer with its echo, and the copies of that in the test.
const fullStanza = 1 << 20

func TestR_A28_JSONThatBites(t *testing.T) {
	invalid := func(text string) outcome {
		return goesOn(answer(`{"message_type":"nack","from":"T","message_id":"m-1","error":"INVALID_JSON","error_description":"` + text + `"}`))
	}
	with := func(rest string) string { return gcm(`{"to":"T","message_id":"m-1",` + rest + `}`) }
	deep := func(n int) string {
		return fmt.Sprintf("InvalidJson: JSON_PARSING_ERROR : values nest %d deep: at most 16 are allowed", n)
	}
	var attacks []attack
	for name, c := range map[string]struct{ bytes, text string }{
		"nested 17 deep":              {with(`"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16)), deep(17)},
		"nested 10,000 deep":          {with(`"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), deep(10_001)},
		"nested 5,000 deep in data":   {with(`"data":{"k":` + strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000) + `}`), deep(5_002)},
		"a TTL of 1e400":              {with(`"time_to_live":1e400`), "InvalidJson : INVALID_TTL : Invalid value (1e400) for \\\"time_to_live\\\": must be between 0 and \\\"2419200\\\""},
		"a TTL of 1e-400":             {with(`"time_to_live":1e-400`), "InvalidJson : INVALID_TTL : Invalid value (1e-400) for \\\"time_to_live\\\": must be between 0 and \\\"2419200\\\""},
		"a TTL below zero":            {with(`"time_to_live":-1`), "InvalidJson : INVALID_TTL : Invalid value (-1) for \\\"time_to_live\\\": must be between 0 and \\\"2419200\\\""},
		"a TTL beyond 64 bits":        {with(`"time_to_live":9223372036854775808`), "InvalidJson : INVALID_TTL : Invalid value (9223372036854775808) for \\\"time_to_live\\\": must be between 0 and \\\"2419200\\\""},
		"a TTL of digits, too many":   {with(`"time_to_live":"` + strings.Repeat("9", 5000) + `"`), "InvalidJson : INVALID_TTL : Invalid value (9999999999999999999999999999999999999999999999999999999999999999…) for \\\"time_to_live\\\": must be between 0 and \\\"2419200\\\""},
		"4,097 bytes of data":         {with(`"data":{"k":"` + strings.Repeat("x", 4096) + `"}`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"data\\\" has 4097 bytes of keys and values: at most 4096 are allowed"},
		"4,098 bytes of wide letters": {with(`"data":{"kk":"` + strings.Repeat("é", 2048) + `"}`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"data\\\" has 4098 bytes of keys and values: at most 4096 are allowed"},
		"4,097 bytes by escapes":      {with(`"data":{"k":"` + strings.Repeat(`\u0041`, 4096) + `"}`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"data\\\" has 4097 bytes of keys and values: at most 4096 are allowed"},
		"4,097 bytes in both parts":   {with(`"data":{"k":"` + strings.Repeat("x", 2047) + `"},"notification":{"body":"` + strings.Repeat("x", 2045) + `"}`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"data\\\" has 4097 bytes of keys and values, together with \\\"notification\\\": at most 4096 are allowed"},
		"five thousand keys":          {with(`"data":{` + keys(5000) + `}`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"data\\\" has 23890 bytes of keys and values: at most 4096 are allowed"},
		"the key from":                {with(`"data":{"from":"x"}`), "InvalidJson: INVALID_DATA_KEY : Field \\\"data\\\" holds the reserved key \\\"from\\\""},
		"the key google.x":            {with(`"data":{"google.x":"x"}`), "InvalidJson: INVALID_DATA_KEY : Field \\\"data\\\" holds the reserved key \\\"google.x\\\""},
		"the key gcm":                 {with(`"data":{"gcm":"x"}`), "InvalidJson: INVALID_DATA_KEY : Field \\\"data\\\" holds the reserved key \\\"gcm\\\""},
		"the key message_type":        {with(`"data":{"message_type":"ack"}`), "InvalidJson: INVALID_DATA_KEY : Field \\\"data\\\" holds the reserved key \\\"message_type\\\""},
		"a reserved key in escapes":   {with(`"data":{"\u0066rom":"x"}`), "InvalidJson: INVALID_DATA_KEY : Field \\\"data\\\" holds the reserved key \\\"from\\\""},
		"data that is a list":         {with(`"data":["from"]`), "InvalidJson: JSON_TYPE_ERROR : Field \\\"data\\\" must be a JSON java.util.Map"},
		"a message of 60 KiB":         {with(`"collapse_key":"` + strings.Repeat("k", 60<<10) + `"`), "InvalidJson: MESSAGE_TOO_BIG : Field \\\"collapse_key\\\" is so long that the message has 61487 bytes as JSON: at most 61440 are allowed"},
	} {
		attacks = append(attacks, attack{name: name, at: behindBind, bytes: c.bytes, answer: invalid(c.text), cost: fullStanza})
	}
	for name, c := range map[string]struct{ json, text string }{
		"cut short":                          {`{"to":"T","message_id":"m-1"`, "InvalidJson: JSON_PARSING_ERROR : unexpected end, wanted a comma or the end of the object at byte 28"},
		"cut in an escape":                   {`{"to":"T","message_id":"m-1\u00"}`, "InvalidJson: JSON_PARSING_ERROR : invalid escape at byte 27"},
		"two objects":                        {`{"to":"T","message_id":"m-1"}{"to":"T","message_id":"m-2"}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted the end at byte 29"},
		"a list of them":                     {`[{"to":"T","message_id":"m-1"}]`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0"},
		"a string":                           {`"{}"`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0"},
		"null":                               {`null`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0"},
		"NaN":                                {`{"to":"T","message_id":"m-1","x":NaN}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a value at byte 33"},
		"a number that begins with 0":        {`{"to":"T","message_id":"m-1","x":01}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a comma or the end of the object at byte 34"},
		"a long number that breaks off":      {`{"to":"T","message_id":"m-1","x":` + strings.Repeat("1", 1000) + `e}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a digit at byte 1034"},
		"a comma too many":                   {`{"to":"T","message_id":"m-1",}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a member's name at byte 29"},
		"single quotes":                      {`{'to':'T','message_id':'m-1'}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a member's name at byte 1"},
		"a comment":                          {`{"to":"T"/**/,"message_id":"m-1"}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a comma or the end of the object at byte 9"},
		"a key without quotes":               {`{to:"T","message_id":"m-1"}`, "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted a member's name at byte 1"},
		"a tab in a string":                  {"{\"to\":\"T\",\"message_id\":\"a\tb\"}", "InvalidJson: JSON_PARSING_ERROR : control character at byte 25"},
		"a mark in front":                    {"\ufeff{\"to\":\"T\",\"message_id\":\"m-1\"}", "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0"},
		"brackets alone":                     {strings.Repeat("[", 60_000), "InvalidJson: JSON_PARSING_ERROR : unexpected character, wanted an object at byte 0"},
		"an empty id":                        {`{"to":"T","message_id":""}`, "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		"an id that is null":                 {`{"to":"T","message_id":null}`, "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
		"an id that was replaced by nothing": {`{"to":"T","message_id":"m-1","message_id":null}`, "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id"},
	} {
		attacks = append(attacks, attack{name: name, at: behindBind, bytes: gcm(c.json), answer: badJSON(c.json, c.text), cost: fullStanza})
	}
	slices.SortFunc(attacks, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	run(t, attacks)
}

// keys are so many members of a JSON object.
func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestR_A29_AnotherSendersTokensAndMessages(t *testing.T) {
	// Whose a token is, the road behind the server knows; the server's part is
	// to name the sender truly, and to pass the verdict on.
	mismatch := func(r *ccsserver.Request) {
		if r.Sender == sender {
			r.Answer(nil, &ccs.NackError{Code: ccs.CodeSenderIDMismatch})
			return
		}
		r.Answer(nil, nil)
	}
	for _, target := range []string{token, "/topics/news", "aaaaaaaagroup"} {
		t.Run("to "+target, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				srv.handle(mismatch)
				n := srv.neighbour(t)
				n.beside()
				p := srv.bind(t)
				for i := range 20 {
					id := fmt.Sprint("n-", i) // the neighbour's ids
					p.write(stanza(`{"to":"` + target + `","message_id":"` + id + `","data":{"k":"v"},"from":"` + rival + `"}`))
					p.want(answer(`{"message_type":"nack","from":"` + target + `","message_id":"` + id + `","error":"SENDER_ID_MISMATCH","error_description":"The registration token belongs to another sender"}`))
				}
				if got := srv.handedOnFrom(sender); got != 20 {
					t.Errorf("%d messages were handed on as the attacker's, want 20", got)
				}
				n.wantUnharmed()
			})
		})
	}
	t.Run("what is for another sender id comes to nobody else", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.dial(t)
			p.login(sender + "@" + rival)
			p.write(`<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>/` + rival + `@gcm.googleapis.com/x</resource></bind></iq>`)
			p.wantMatch(bound)
			p.startSession()
			if err := srv.Offer(rival, fromDevice("u-1"), ccsserver.OfferOptions{}); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
			p.wantQuiet()
		})
	})
}
