package ccsserver_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"penstock/ccsserver"
)

// Go's client never asks for a renegotiation, so this one takes the keys of its
// TLS 1.2 session and writes the record itself.
func TestR_A3_NobodyRenegotiates(t *testing.T) {
	srv, addr, forApp := overTLS(t, ccsserver.Options{})
	send, _ := guest(t, addr, forApp)
	wire := &heard{Conn: dialTCP(t, addr)}
	var keys bytes.Buffer
	config := forApp.Clone()
	config.MaxVersion, config.KeyLogWriter = tls.VersionTLS12, &keys
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	if err := tls.Client(wire, config).Handshake(); err != nil {
		t.Fatal(err)
	}
	var clientRandom, master []byte
	if _, err := fmt.Sscanf(keys.String(), "CLIENT_RANDOM %x %x", &clientRandom, &master); err != nil {
		t.Fatal(err)
	}
	serverRandom := wire.first[11:43] // record, handshake, version
	block := expand(master, "key expansion", append(bytes.Clone(serverRandom), clientRandom...), 40)
	ours, theirs := gcmOf(t, block[0:16]), gcmOf(t, block[16:32])

	again := hello(t, config)[5:]
	sealed := ours.Seal(nil, nonce(block[32:36], 1), again, additional(1, 22, len(again)))
	record := append([]byte{22, 3, 3, 0, 0}, nonce(nil, 1)...)
	record = append(record, sealed...)
	binary.BigEndian.PutUint16(record[3:], uint16(len(record)-5))
	if _, err := wire.Write(record); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 5+8+2+16)
	if _, err := io.ReadFull(wire.Conn, answer); err != nil {
		t.Fatal(err)
	}
	alert, err := theirs.Open(nil, append(bytes.Clone(block[36:40]), answer[5:13]...), answer[13:], additional(1, answer[0], 2))
	if err != nil || answer[0] != 21 || !bytes.Equal(alert, []byte{2, 10}) {
		t.Errorf("the server answered % x, %v; want the fatal alert unexpected_message", alert, err)
	}
	srv.wantRefusals(t, 1)
	send("m-1")
}

// heard keeps the first bytes that come.
type heard struct {
	net.Conn
	first []byte
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if len(h.first) < 64 {
		h.first = append(h.first, b[:n]...)
	}
	return n, err
}

// expand is the PRF of TLS 1.2 (RFC 5246, section 5).
func expand(secret []byte, label string, seed []byte, n int) []byte {
	sum := func(b []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(b)
		return h.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(append(bytes.Clone(a), seed...))...)
	}
	return out[:n]
}

func gcmOf(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// nonce is a record's: the implicit part, then the number.
func nonce(implicit []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(implicit), seq)
}

// additional is what is authenticated besides the text of a record.
func additional(seq uint64, kind byte, size int) []byte {
	b := append(nonce(nil, seq), kind, 3, 3)
	return binary.BigEndian.AppendUint16(b, uint16(size))
}
