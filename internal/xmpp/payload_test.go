package xmpp_test

import (
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

func TestS27_Payloads(t *testing.T) {
	for _, c := range []struct {
		name, text string        // text is what stands in <gcm>
		want       string        // the payload
		refused    ccs.Condition // or the refusal
		strict     ccs.Condition // the refusal with StrictPayload; empty: accepted
	}{
		{"plain JSON", `{"a":"b"}`, `{"a":"b"}`, "", ""},
		{"proper entities", `{"a":"&lt;b&gt; &amp;amp; &quot;&apos;"}`, `{"a":"<b> &amp; "'"}`, "", ""},
		{"numeric references", `{&#34;a&#x22;:"&#8364;&#x1F600;"}`, `{"a":"€😀"}`, "", ""},
		{"CDATA", `<![CDATA[{"a":"<b> & ]] > </gcm>"}]]>`, `{"a":"<b> & ]] > </gcm>"}`, "", ""},
		{"CDATA inside the JSON", `{"a":"<![CDATA[<b>&amp;]]>"}`, `{"a":"<b>&amp;"}`, "", ""},
		{"a bare &", `{"a":"b & c && d&"}`, `{"a":"b & c && d&"}`, "", malformed},
		{"a bare & in a query", `{"a":"?b=1&c=2&d=3;"}`, `{"a":"?b=1&c=2&d=3;"}`, "", malformed},
		{"a bare & beside proper entities", `{"a":"b & c &amp; d &#65; &#; &#x; &#xg; &#1a;"}`, `{"a":"b & c & d A &#; &#x; &#xg; &#1a;"}`, "", malformed},
		{"an unknown entity", `{"a":"&copy;"}`, "", restricted, restricted},
		{"a reference to NUL", `{"a":"&#0;"}`, "", malformed, malformed},
		{"a bold word", `{"m":"hello <b>bold</b>"}`, `{"m":"hello <b>bold</b>"}`, "", ""},
		{"a lesser sign and a bare &, as the seed writes them", `{"data":{"hello":"a & b < c"},"to":"x"}`, `{"data":{"hello":"a & b < c"},"to":"x"}`, "", malformed},
		{"entities behind the lesser sign", `{"a":"<b &amp; &#65; &lt; &copy; &#0; & c"}`, `{"a":"<b & A < &copy; &#0; & c"}`, "", malformed},
		{"entities in front of the lesser sign", `{&quot;a&quot;:&quot;&lt;<b>&quot;}`, `{"a":"<<b>"}`, "", malformed},
		{"an escaped quote in front of the lesser sign", `{"a":"\"<b>\\"}`, `{"a":"\"<b>\\"}`, "", malformed},
		{"the closing tag in a string, behind a lesser sign", `{"a":"<b></gcm></message>","c":1}`, `{"a":"<b></gcm></message>","c":1}`, "", malformed},
		{"braces in a string, behind a lesser sign", `{"a":"<}}}]","b":[{},"]"]}`, `{"a":"<}}}]","b":[{},"]"]}`, "", malformed},
		{"a comment in the JSON", `{"a":"<!-- b -->"}`, `{"a":"<!-- b -->"}`, "", restricted},
		{"a processing instruction in the JSON", `{"a":"<?b?>"}`, `{"a":"<?b?>"}`, "", restricted},
		{"half the opening of CDATA in the JSON", `{"a":"<![CDATA b"}`, `{"a":"<![CDATA b"}`, "", restricted},
		{"CDATA behind a lesser sign is text", `{"a":"<b><![CDATA[c]]>"}`, `{"a":"<b><![CDATA[c]]>"}`, "", malformed},
		{"]]> behind a lesser sign", `{"a":"<b>]]>"}`, `{"a":"<b>]]>"}`, "", malformed},
		{"]]> without a lesser sign", `{"a":"]]>"}`, "", malformed, malformed},
		{"another closing tag in the JSON", `{"a":"</b>"}`, `{"a":"</b>"}`, "", malformed},
		{"a longer closing tag in the JSON", `{"a":"</gcms>"}`, `{"a":"</gcms>"}`, "", malformed},
		{"a closing tag with an attribute in the JSON", `{"a":"</gcm b>"}`, `{"a":"</gcm b>"}`, "", malformed},
		{"a lesser sign outside of a string", `{"a":1,<b>}`, `{"a":1,<b>}`, "", malformed},
		{"white space around the JSON", " \n{\"a\":\"<b/>\"}\r\n ", " \n{\"a\":\"<b/>\"}", "", ""},
		{"other letters behind the lesser sign", `{"a":"<é€😀>"}`, `{"a":"<é€😀>"}`, "", malformed},
		{"text behind the JSON", `{"a":"<b>"}x`, "", malformed, malformed},
		{"an element behind the JSON", `{"a":"<b>"}<c/>`, "", malformed, malformed},
		{"a control character behind the lesser sign", "{\"a\":\"<b>\x01\"}", "", malformed, malformed},
		{"a byte that is no UTF-8 behind the lesser sign", "{\"a\":\"<b>\xff\"}", "", encoding, encoding},
		{"an element in front of the JSON", `<b/>{"a":1}`, `{"a":1}`, "", ""},
		{"an element behind complete JSON", `{"a":1}<b/>`, `{"a":1}`, "", ""},
		{"an element in text that is no JSON", `hello <b>bold</b>`, `hello `, "", ""},
		{"an element in a JSON array", `["<b>bold</b>"]`, `[""]`, "", ""},
		{"no closing tag fits in text that is no JSON", `hello </b>`, "", malformed, malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, gcm := range []struct{ open, close string }{
				{`<gcm xmlns="google:mobile:data">`, `</gcm>`},
				{`<data:gcm xmlns:data="google:mobile:data">`, "</data:gcm \n>"},
			} {
				text := c.text
				if strings.HasPrefix(gcm.open, "<data") {
					text = strings.ReplaceAll(text, "</gcm", "</data:gcm")
				}
				stanza := okHeader + "<message>" + gcm.open + text + gcm.close + "</message>"
				want := strings.ReplaceAll(c.want, "</gcm", gcm.close[:len(gcm.close)-1])
				if gcm.close != "</gcm>" {
					want = strings.ReplaceAll(c.want, "</gcm", "</data:gcm")
				}
				for n := len(okHeader); n <= len(stanza); n++ {
					for _, late := range []bool{false, true} {
						got, err := payload(&chunks{text: stanza, n: n, late: late}, false)
						if cond, _ := condition(err); cond != c.refused || got != want || err != nil && c.refused == "" {
							t.Fatalf("split at %d: got %q, %v; want %q, %q", n, got, err, want, c.refused)
						}
					}
				}
				got, err := payload(&chunks{text: stanza, n: 1, every: true, late: true}, false)
				if cond, _ := condition(err); cond != c.refused || got != want {
					t.Fatalf("byte by byte: got %q, %v; want %q, %q", got, err, want, c.refused)
				}
				_, err = payload(strings.NewReader(stanza), true)
				if cond, _ := condition(err); cond != c.strict {
					t.Errorf("strict: got %v, want %q", err, c.strict)
				}
			}
		})
	}
}

func TestS27_OnlyAPayloadMayBeRaw(t *testing.T) {
	for name, text := range map[string]string{
		"another element":                    `<message><body>{"a":"b & c"}</body></message>`,
		"another element with a lesser sign": `<message><body>{"a":"< b"}</body></message>`,
		"gcm in another namespace":           `<message><gcm xmlns="google:mobile:datum">{"a":"b & c"}</gcm></message>`,
		"an element inside the payload":      `<message><gcm xmlns="google:mobile:data"><b>{"a":"b & c"}</b></gcm></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			err := first(strings.NewReader(okHeader+text), xmpp.ReaderOptions{Malformed: malformed})
			if got, _ := condition(err); got != malformed {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestS27_TheStanzaBehindARawOneIsRead(t *testing.T) {
	src := okHeader + `<message id="a"><gcm xmlns="google:mobile:data">{"m":"<b>"}</gcm></message>` + `<message id="b"><gcm xmlns="google:mobile:data">{"m":"&lt;"}</gcm><c/></message>`
	got, _ := all(strings.NewReader(src), xmpp.ReaderOptions{})
	if want := `{jabber:client}message id=b [ {google:mobile:data}gcm [{"m":"<"}] {jabber:client}c []]`; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}
