package h2wire

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// BenchmarkRead is one request of a few hundred bytes on its way through the
// layer. Without is the same copied.
func BenchmarkRead(b *testing.B) {
	const requests = 1000
	for name, c := range map[string]struct {
		scheme string
		opt    *Options
	}{
		"Without": {"https", nil}, "Passing": {"https", &Options{}}, "Counting": {"https", &Options{MaxStreams: requests}}, "Mending": {"https:", &Options{}},
	} {
		b.Run(name, func(b *testing.B) {
			var text, block bytes.Buffer
			text.WriteString(http2.ClientPreface)
			fr, enc := http2.NewFramer(&text, nil), hpack.NewEncoder(&block)
			for i := range requests {
				block.Reset()
				for _, f := range [][2]string{
					{":method", "POST"}, {":scheme", c.scheme}, {":authority", "fcm.googleapis.com"}, {":path", "/v1/projects/penstock-sim/messages:send"},
					{"authorization", "Bearer ya29.c.0123456789012345678901234567890123456789012345678901234567890123456789"}, {"content-type", "application/json"},
				} {
					enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
				}
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true})
				fr.WriteData(uint32(2*i+1), true, make([]byte, 300))
			}
			p := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += requests {
				conn := &scripted{text: text.Bytes(), size: 16 << 10}
				r := io.Reader(conn)
				if c.opt != nil {
					r = Wrap(conn, c.opt)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
