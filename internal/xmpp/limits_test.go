package xmpp_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"penstock/internal/xmpp"
)

// counting is a source that knows how much it has given.
type counting struct {
	src io.Reader
	n   int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += n
	return n, err
}

func TestS28_R_A10_WhatNeverEndsIsRefusedAtTheLimit(t *testing.T) {
	for _, limits := range []xmpp.Limits{xmpp.LimitsBeforeLogin, xmpp.LimitsAfterLogin} {
		for name, text := range map[string][2]string{
			"a tag's name":                {"<", "a"},
			"white space in a tag":        {"<a", " "},
			"an attribute's name":         {"<a ", "b"},
			"an attribute's value":        {"<a b='", "c"},
			"a reference in a value":      {"<a b='&#", "0"},
			"an entity's name":            {"<a>&", "b"},
			"text":                        {"<a>", "text "},
			"text beyond ASCII":           {"<a>", "é"},
			"references":                  {"<a>", "&amp;"},
			"CDATA":                       {"<a><![CDATA[", "]"},
			"white space in an element":   {"<a>", "\n"},
			"a closing tag":               {"<a></a", " "},
			"the stream's closing tag":    {"</stream:stream", " "},
			"a payload's text":            {`<message><gcm xmlns="google:mobile:data">{"a":"`, "b & c"},
			"a payload's raw text":        {`<message><gcm xmlns="google:mobile:data">{"a":"<b>`, "b & c"},
			"references in raw text":      {`<message><gcm xmlns="google:mobile:data">{"a":"<b>&#x`, "0"},
			"white space behind raw text": {`<message><gcm xmlns="google:mobile:data">{"a":"<b>"}`, "\t"},
		} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, limits.Bytes), func(t *testing.T) {
				src := &counting{src: &repeat{header: okHeader + text[0], stanza: text[1]}}
				r := xmpp.NewReader(src, xmpp.ReaderOptions{Limits: limits})
				if _, err := r.Header(); err != nil {
					t.Fatal(err)
				}
				_, err := r.Next()
				if got, app := condition(err); got != policy || app != "stanza-too-big" {
					t.Errorf("got %v", err)
				}
				if most := len(okHeader) + limits.Bytes + 4<<10; src.n > most {
					t.Errorf("%d bytes were read, want at most %d", src.n, most)
				}
				if n := r.Held(); n > limits.Bytes+4<<10 {
					t.Errorf("the reader holds %d bytes", n)
				}
			})
		}
	}
}

func TestS28_R_A10_AnEndlessHeaderIsRefusedAtTheLimit(t *testing.T) {
	for name, text := range map[string][2]string{
		"an XML declaration":           {"<?xml ", " "},
		"an XML declaration's value":   {"<?xml version='", "1"},
		"white space in the header":    {"<stream:stream", " "},
		"an attribute's value":         {"<stream:stream to='", "a"},
		"a processing instruction":     {"<?x", "y"},
		"many attributes":              {"<stream:stream", " a='b'"},
		"a name":                       {"<s", "s"},
		"an attribute without a value": {"<stream:stream to", " "},
	} {
		t.Run(name, func(t *testing.T) {
			src := &counting{src: &repeat{header: text[0], stanza: text[1]}}
			_, err := xmpp.NewReader(src, xmpp.ReaderOptions{}).Header()
			if got, _ := condition(err); got != policy && got != restricted {
				t.Errorf("got %v", err)
			}
			if most := xmpp.LimitsBeforeLogin.Bytes + 4<<10; src.n > most {
				t.Errorf("%d bytes were read, want at most %d", src.n, most)
			}
		})
	}
}

func TestS28_AnElementMayBeAsLongAsTheLimit(t *testing.T) {
	for _, limit := range []int{100, 4096, 5000, 65536} {
		for _, more := range []int{0, 1} {
			stanza := "<message>" + strings.Repeat("x", limit-len("<message></message>")+more) + "</message>"
			for _, every := range []int{0, 1, 1000} {
				opt := xmpp.ReaderOptions{Limits: xmpp.Limits{Bytes: limit, Elements: 1, Depth: 1, Attrs: 3}}
				if limit == 100 {
					opt.Limits.Bytes = max(limit, len(okHeader))
				}
				r := xmpp.NewReader(&chunks{text: okHeader + stanza + "<message/>", n: every, every: true}, opt)
				if _, err := r.Header(); err != nil {
					t.Fatal(err)
				}
				opt.Limits.Bytes = limit
				r.Configure(opt)
				_, err := r.Next()
				if _, app := condition(err); (app == "stanza-too-big") != (more > 0) || more == 0 && err != nil {
					t.Errorf("limit %d, %d bytes, %d a read: %v", limit, len(stanza), every, err)
				}
			}
		}
	}
}

func TestS28_R_A11_Counts(t *testing.T) {
	limits := xmpp.Limits{Bytes: 64 << 10, Elements: 5, Depth: 3, Attrs: 3}
	var attrs strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	for _, c := range []struct {
		name, text string
		refused    bool
	}{
		{"as many elements as allowed", "<a>" + strings.Repeat("<b/>", 4) + "</a>", false},
		{"one element more", "<a>" + strings.Repeat("<b/>", 5) + "</a>", true},
		{"as deep as allowed", "<a><b><c></c></b></a>", false},
		{"one deeper", "<a><b><c><d/></c></b></a>", true},
		{"as many attributes as allowed", "<a xmlns='u' b='1' c='2'/>", false},
		{"one attribute more", "<a xmlns='u' b='1' c='2' d='3'/>", true},
		{"32 KiB of empty elements", "<a>" + strings.Repeat("<a/>", 8<<10) + "</a>", true},
		{"10,000 nested elements", strings.Repeat("<a>", 10_000), true},
		{"30,000 attributes", "<a" + attrs.String() + "/>", true},
	} {
		t.Run("R-A11 "+c.name, func(t *testing.T) {
			err := first(strings.NewReader(okHeader+c.text), xmpp.ReaderOptions{Limits: limits})
			if got, app := condition(err); c.refused && (got != policy || app != "") || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestS28_LimitsChangeWithTheNextElement(t *testing.T) {
	long := "<message>" + strings.Repeat("x", 20<<10) + "</message>"
	r := xmpp.NewReader(strings.NewReader(okHeader+long+long), xmpp.ReaderOptions{})
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	r.Configure(xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.Configure(xmpp.ReaderOptions{})
	if _, err := r.Next(); err == nil {
		t.Error("the smaller limit does not count")
	}
}

func TestAnIdleReaderHoldsLittle(t *testing.T) {
	for name, big := range map[string]string{
		"a long stanza":                `<message a="&lt;"><gcm xmlns="google:mobile:data">` + strings.Repeat("&quot;", 9000) + "</gcm></message>",
		"a short stanza of many parts": "<a>" + strings.Repeat(`<a xmlns:b="c" b:c="d" e="f" g="h">&amp;</a>`, 60) + "</a>",
	} {
		t.Run(name, func(t *testing.T) {
			r := xmpp.NewReader(io.MultiReader(strings.NewReader(okHeader+big), strings.NewReader(ackStanza), failing{io.EOF}), xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})
			if _, err := r.Header(); err != nil {
				t.Fatal(err)
			}
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			e.Payload()
			if n, items := r.Held(), r.HeldItems(); n < 60<<10 && items < 200 {
				t.Fatalf("the stanza takes only %d bytes and %d parts: the test shows nothing", n, items)
			}
			for range 2 { // the ack, then the wait for more
				if _, err = r.Next(); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			if n, items := r.Held(), r.HeldItems(); n > 4<<10 || items > 100 {
				t.Errorf("an idle reader holds %d bytes and %d parts", n, items)
			}
		})
	}
}
