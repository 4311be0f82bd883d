package xmpp_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"penstock/ccs"
	"penstock/internal/xmpp"
)

const (
	appHeader = `<stream:stream to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

	token = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

	ackStanza = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"` + token + `","message_id":"m-1"}</data:gcm></message>`

	downstreamStanza = `<message id="m-1"><gcm xmlns="google:mobile:data">{"to":"` + token + `","message_id":"m-1","priority":"high","time_to_live":3600,"data":{"k1":"v1","message":"Your parcel 0001 leaves the depot today","n":"42","title":"Order update"}}</gcm></message>`

	entityStanza = `<message id="m-1"><gcm xmlns="google:mobile:data">{&quot;to&quot;:&quot;` + token + `&quot;,&#34;message_id&#34;:"m-1"}</gcm></message>`
)

// repeat gives a header and then the same stanza for ever.
type repeat struct {
	header string
	stanza string
	at     int
}

func (s *repeat) Read(p []byte) (int, error) {
	if s.header != "" {
		n := copy(p, s.header)
		s.header = s.header[n:]
		return n, nil
	}
	n := 0
	for n < len(p) {
		m := copy(p[n:], s.stanza[s.at:])
		n += m
		if s.at += m; s.at == len(s.stanza) {
			s.at = 0
		}
	}
	return n, nil
}

func endless(tb testing.TB, stanza string) *xmpp.Reader {
	tb.Helper()
	r := xmpp.NewReader(&repeat{header: appHeader, stanza: stanza}, xmpp.ReaderOptions{Limits: xmpp.LimitsAfterLogin})
	if _, err := r.Header(); err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestReadingAllocatesNothing(t *testing.T) {
	for name, stanza := range map[string]string{
		"an ack":                        ackStanza,
		"a downstream message":          downstreamStanza,
		"a message with references":     entityStanza,
		"a message with unescaped JSON": `<message><gcm xmlns="google:mobile:data">{"a":"b & <c>"}</gcm></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			r := endless(t, stanza)
			n := testing.AllocsPerRun(1000, func() {
				e, err := r.Next()
				if err != nil || !e.Is(xmpp.NSClient, "message") {
					t.Fatal(err)
				}
				e.Attr("id")
				for c := range e.Children() {
					c.Local()
				}
				if p, ok := e.Payload(); !ok || len(p) == 0 {
					t.Fatal("no payload")
				}
			})
			if n != 0 {
				t.Errorf("%v allocations for each stanza", n)
			}
		})
	}
}

func benchmarkReader(b *testing.B, stanza string) {
	r := endless(b, stanza)
	b.SetBytes(int64(len(stanza)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		if p, ok := e.Payload(); !ok || len(p) == 0 {
			b.Fatal("no payload")
		}
	}
}

func BenchmarkAck(b *testing.B)        { benchmarkReader(b, ackStanza) }
func BenchmarkDownstream(b *testing.B) { benchmarkReader(b, downstreamStanza) }
func BenchmarkEntities(b *testing.B)   { benchmarkReader(b, entityStanza) }

// BenchmarkAckEncodingXML is what the same costs with encoding/xml, its tokens
// only.
func BenchmarkAckEncodingXML(b *testing.B) {
	d := xml.NewDecoder(&repeat{header: appHeader, stanza: ackStanza})
	if _, err := d.Token(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(ackStanza)))
	b.ReportAllocs()
	var payload []byte
	for b.Loop() {
		for depth := 0; ; {
			t, err := d.Token()
			if err != nil {
				b.Fatal(err)
			}
			switch t := t.(type) {
			case xml.StartElement:
				depth++
			case xml.CharData:
				payload = append(payload[:0], t...)
			case xml.EndElement:
				depth--
			}
			if depth == 0 {
				break
			}
		}
	}
}

// BenchmarkEnvelope is the way from the bytes of an ack to its fields.
func BenchmarkEnvelope(b *testing.B) {
	r := endless(b, ackStanza)
	var v ccs.View
	b.SetBytes(int64(len(ackStanza)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		p, _ := e.Payload()
		if err := v.Scan(p); err != nil || v.Kind != ccs.KindAck || len(v.MessageID) == 0 {
			b.Fatal(err, v.Kind)
		}
	}
}

// BenchmarkEnvelopeStandard is the same way with the standard library.
func BenchmarkEnvelopeStandard(b *testing.B) {
	d := xml.NewDecoder(&repeat{header: appHeader, stanza: ackStanza})
	if _, err := d.Token(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(ackStanza)))
	b.ReportAllocs()
	for b.Loop() {
		var message struct {
			GCM string `xml:"google:mobile:data gcm"`
		}
		if err := d.Decode(&message); err != nil {
			b.Fatal(err)
		}
		var ack struct {
			MessageType string `json:"message_type"`
			From        string `json:"from"`
			MessageID   string `json:"message_id"`
		}
		if err := json.Unmarshal([]byte(message.GCM), &ack); err != nil || ack.MessageType != "ack" || ack.MessageID == "" {
			b.Fatal(err, ack)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	w := xmpp.NewWriter(discard{}, xmpp.WriterOptions{})
	done := make(chan error, 1)
	go func() { done <- w.Run() }()
	stanza := []byte(ackStanza)
	b.SetBytes(int64(len(stanza)))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Append(func(dst []byte) []byte { return append(dst, stanza...) }); err != nil {
			b.Fatal(err)
		}
		w.Flush()
	}
	w.Close()
	<-done
}

// all reads a whole stream and prints what it says, one line for each element.
func all(src io.Reader, opt xmpp.ReaderOptions) (string, error) {
	var out strings.Builder
	r := xmpp.NewReader(src, opt)
	for {
		h, err := r.Header()
		if again(err) {
			continue
		}
		if err != nil {
			return out.String(), err
		}
		out.WriteString("header to=" + h.To + " from=" + h.From + " id=" + h.ID + " version=" + h.Version + " lang=" + h.Lang + "\n")
		break
	}
	for {
		e, err := r.Next()
		if again(err) {
			continue
		}
		if err != nil {
			return out.String(), err
		}
		show(&out, e)
		out.WriteByte('\n')
		if e.Is(xmpp.NSSASL, "auth") {
			r.Restart()
			for {
				h, err := r.Header()
				if again(err) {
					continue
				}
				if err != nil {
					return out.String(), err
				}
				out.WriteString("again to=" + h.To + "\n")
				break
			}
		}
	}
}

// show prints an element in a form of its own, by its namespaces.
func show(out *strings.Builder, e xmpp.Element) {
	out.WriteString("{" + string(e.Space()) + "}" + string(e.Local()))
	for _, name := range []string{"id", "type", "to", "from", "mechanism", "a", "b", "version"} {
		if v, ok := e.Attr(name); ok {
			out.WriteString(" " + name + "=" + string(bytes.ReplaceAll(v, []byte("\n"), []byte("⏎"))))
		}
	}
	out.WriteString(" [" + string(e.Text()))
	for c := range e.Children() {
		out.WriteString(" ")
		show(out, c)
	}
	out.WriteString("]")
}
