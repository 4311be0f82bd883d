package fcmsend

import (
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A headerWriter writes the header of each request. All but the length of the
// body is the same from one to the next; once the far end's table holds it, so
// are its bytes.
type headerWriter struct {
	to        *target
	userAgent string
	enc       *hpack.Encoder
	buf       blockBuffer
	auth      string // of cached
	cached    []byte // nil: not yet
}

type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (w *headerWriter) init(to *target, userAgent string) {
	w.to, w.userAgent = to, userAgent
	w.enc = hpack.NewEncoder(&w.buf)
}

// resize obeys the far end's SETTINGS_HEADER_TABLE_SIZE.
func (w *headerWriter) resize(size uint32) {
	w.enc.SetMaxDynamicTableSize(size) // it takes 4096 at most
	w.cached = nil
}

func (w *headerWriter) append(dst []byte, id uint32, auth string, length int) []byte {
	if w.cached == nil || w.auth != auth {
		w.buf = w.buf[:0]
		for _, f := range [...]hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: w.to.scheme},
			{Name: ":authority", Value: w.to.authority},
			{Name: ":path", Value: w.to.path},
			{Name: "authorization", Value: auth},
			{Name: "content-type", Value: "application/json"},
			{Name: "user-agent", Value: w.userAgent},
		} {
			_ = w.enc.WriteField(f) // into memory: it cannot fail
		}
		w.cached = nil
		if onlyIndexes(w.buf) {
			w.cached, w.auth = append([]byte(nil), w.buf...), auth
		}
	} else {
		w.buf = append(w.buf[:0], w.cached...)
	}
	// A length is another each time, and would drive the rest out of the table:
	// it is written as a literal without indexing, name 28 of the static table.
	w.buf = append(w.buf, 0x0f, 28-0x0f)
	digits := len(w.buf)
	w.buf = append(w.buf, 0)
	w.buf = strconv.AppendInt(w.buf, int64(length), 10)
	w.buf[digits] = byte(len(w.buf) - digits - 1)

	block, flags, kind := []byte(w.buf), http2.Flags(0), http2.FrameHeaders
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		dst = appendFrameHeader(dst, n, kind, flags, id)
		dst = append(dst, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return dst
		}
		kind = http2.FrameContinuation
	}
}

// onlyIndexes reports whether each field of the block stands in a table, so
// that reading it changes nothing (RFC 7541 6.1).
func onlyIndexes(block []byte) bool {
	for i := 0; i < len(block); i++ {
		if block[i]&0x80 == 0 {
			return false
		}
		if block[i] == 0xff {
			for i++; i < len(block) && block[i]&0x80 != 0; i++ {
			}
		}
	}
	return true
}

func appendFrameHeader(dst []byte, length int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendUint32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendSettings(dst []byte, settings ...http2.Setting) []byte {
	dst = appendFrameHeader(dst, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		dst = append(dst, byte(s.ID>>8), byte(s.ID))
		dst = appendUint32(dst, s.Val)
	}
	return dst
}

func appendWindowUpdate(dst []byte, id, n uint32) []byte {
	return appendUint32(appendFrameHeader(dst, 4, http2.FrameWindowUpdate, 0, id), n)
}

func appendReset(dst []byte, id uint32, code http2.ErrCode) []byte {
	return appendUint32(appendFrameHeader(dst, 4, http2.FrameRSTStream, 0, id), uint32(code))
}
