package bench

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"penstock/fcm"
)

// The traffic of HTTP v1: the same message as over CCS, some 330 bytes of JSON.
const (
	project = fcm.ProjectID("bench-project")
	v1Path  = "/v1/projects/" + string(project) + "/messages:send"
	// maxStreams is how many requests FCM takes at a time on one connection
	// (docs/fcm-http.md, Connections).
	maxStreams = 100
)

// accessToken has about the length of Google's.
var accessToken = "ya29.c." + strings.Repeat("b", 200)

// request is the message of [message] in the words of v1.
func request() *fcm.SendRequest {
	life := fcm.Duration(ttl)
	return &fcm.SendRequest{Message: &fcm.Message{
		Token: string(token), Data: data,
		Android: &fcm.AndroidConfig{Priority: fcm.PriorityHigh, TTL: &life},
	}}
}

// A frame is one of HTTP/2 (RFC 9113, 4.1).
type frame struct {
	kind    http2.FrameType
	flags   http2.Flags
	id      uint32
	payload []byte
}

const frameHead = 9

// maxFrame is the size of frames that nobody has asked to be larger.
const maxFrame = 16 << 10

var errFrame = errors.New("a frame that breaks the rules of HTTP/2")

// readFrames hands over the whole frames that one read brought, one by one, and
// then calls flush. What take gets is its own until it returns.
func readFrames(conn net.Conn, take func(f frame) error, flush func() error) error {
	buf := make([]byte, 64<<10)
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		at := 0
		for have-at >= frameHead {
			head := buf[at:]
			length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
			if length > maxFrame {
				return fmt.Errorf("%w: %d bytes long", errFrame, length)
			}
			if have-at < frameHead+length {
				break
			}
			f := frame{http2.FrameType(head[3]), http2.Flags(head[4]), binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1), head[frameHead : frameHead+length]}
			if err := take(f); err != nil {
				return err
			}
			at += frameHead + length
		}
		have = copy(buf, buf[at:have])
		if err := flush(); err != nil {
			return err
		}
	}
}

// plain cuts the padding of a frame of DATA or HEADERS away, and the priority of
// the latter.
func (f frame) plain() ([]byte, error) {
	p := f.payload
	pad := 0
	if f.flags.Has(http2.FlagDataPadded) { // the same bit in both
		if len(p) == 0 {
			return nil, errFrame
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.kind == http2.FrameHeaders && f.flags.Has(http2.FlagHeadersPriority) {
		if len(p) < 5 {
			return nil, errFrame
		}
		p = p[5:]
	}
	if pad > len(p) {
		return nil, errFrame
	}
	return p[:len(p)-pad], nil
}

func appendFrame(dst []byte, kind http2.FrameType, flags http2.Flags, id uint32, payload ...byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags))
	dst = binary.BigEndian.AppendUint32(dst, id)
	return append(dst, payload...)
}

func appendSetting(dst []byte, id http2.SettingID, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, uint16(id)), value)
}

func appendWindowUpdate(dst []byte, n uint32) []byte {
	return appendFrame(dst, http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, n)...)
}

// A blockBuffer collects a header block.
type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// blocks are the header of the first request on a connection and of every later
// one, which is nothing but indexes into the table that the first has filled.
func blocks(authority string, bodyLen int) (first, later []byte) {
	var buf blockBuffer
	enc := hpack.NewEncoder(&buf)
	for _, block := range [...]*[]byte{&first, &later} {
		buf = nil
		for _, f := range [...]hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: authority},
			{Name: ":path", Value: v1Path},
			{Name: "authorization", Value: "Bearer " + accessToken},
			{Name: "content-type", Value: "application/json"},
			{Name: "user-agent", Value: "bench"},
			{Name: "content-length", Value: fmt.Sprint(bodyLen)},
		} {
			_ = enc.WriteField(f) // into memory
		}
		*block = buf
	}
	return first, later
}

func appendRequest(dst []byte, id uint32, block, body []byte) []byte {
	dst = appendFrame(dst, http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, block...)
	return appendFrame(dst, http2.FrameData, http2.FlagDataEndStream, id, body...)
}

// dialH2 opens a connection and says what a client says first. Its window never
// is what the far end waits for.
func dialH2(addr string, config *tls.Config) (net.Conn, error) {
	config = config.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	plain, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	var conn net.Conn = tls.Client(plain, config)
	if _, err := conn.Write(hello()); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func hello() []byte {
	dst := append([]byte(http2.ClientPreface), appendFrame(nil, http2.FrameSettings, 0, 0, appendSetting(nil, http2.SettingEnablePush, 0)...)...)
	return appendWindowUpdate(dst, clientWindow)
}

// clientWindow is what answers may take on a connection of a raw client before it
// says that it has read them, beyond the first 65,535 bytes.
const clientWindow = 1 << 30

// readPreface reads what a client says first.
func readPreface(conn net.Conn) error {
	got := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != http2.ClientPreface {
		return errFrame
	}
	return nil
}
