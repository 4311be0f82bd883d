package ccsserver_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

// A server that acks every message to a token, and nacks those to topics.
func ExampleServer() {
	handler := ccsserver.Blocking(context.Background(), func(_ context.Context, sender ccs.SenderID, m *ccs.Downstream) error {
		if strings.HasPrefix(string(m.To), "/topics/") {
			return &ccs.NackError{Code: ccs.CodeTopicsMessageRateExceeded}
		}
		fmt.Printf("%s has %v for %s\n", sender, m.Data, m.To)
		return nil
	})
	accounts := ccsserver.NewKeys(map[ccs.SenderID][]string{"1234567890": {"server-key"}})
	srv, err := ccsserver.New(handler, accounts, &ccsserver.Options{ClearText: true}) // or TLS: …
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)

	app := logIn(l.Addr(), "1234567890", "server-key")
	app.write(`{"to":"a-token","message_id":"m-1","data":{"k":"v"}}`)
	fmt.Println(app.read())
	app.write(`{"to":"/topics/news","message_id":"m-2"}`)
	fmt.Println(app.read())
	app.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 35*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Print(err)
	}
	// Output:
	// 1234567890 has map[k:v] for a-token
	// {"message_type":"ack","from":"a-token","message_id":"m-1"}
	// {"message_type":"nack","from":"/topics/news","message_id":"m-2","error":"TOPICS_MESSAGE_RATE_EXCEEDED","error_description":"Downstream message rate exceeded for this topic"}
}

// What a device sends waits for a stream of its app server, and is settled by
// the app server's ack.
func ExampleServer_Offer() {
	accounts := ccsserver.NewKeys(map[ccs.SenderID][]string{"1234567890": {"server-key"}})
	handler := ccsserver.HandlerFunc(func(r *ccsserver.Request) { r.Answer(nil, nil) })
	srv, err := ccsserver.New(handler, accounts, &ccsserver.Options{ClearText: true})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)

	settled := make(chan ccsserver.Outcome)
	err = srv.Offer("1234567890", &ccs.Upstream{
		From: "a-token", MessageID: "u-1", Category: "com.example.app", Data: map[string]string{"temperature": "21"},
	}, ccsserver.OfferOptions{Done: func(o ccsserver.Outcome) { settled <- o }})
	if err != nil {
		log.Fatal(err)
	}

	app := logIn(l.Addr(), "1234567890", "server-key")
	defer app.Close()
	fmt.Println(app.read())
	app.write(`{"to":"a-token","message_id":"u-1","message_type":"ack"}`)
	fmt.Println("acked:", <-settled == ccsserver.Acked)
	// Output:
	// {"data":{"temperature":"21"},"from":"a-token","message_id":"u-1","category":"com.example.app"}
	// acked: true
}

// An app is the least of an app server that an example needs. Package ccsclient
// is a whole one.
type app struct {
	net.Conn
	in *bufio.Reader
}

func logIn(addr net.Addr, sender, key string) *app {
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		log.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	a := &app{conn, bufio.NewReader(conn)}
	const open = `<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`
	for _, step := range []struct{ write, until string }{
		{open, `</stream:features>`},
		{`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">` +
			base64.StdEncoding.EncodeToString([]byte("\x00"+sender+"\x00"+key)) + `</auth>`, `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`},
		{open, `</stream:features>`},
		{`<iq type="set" id="1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`, `</iq>`},
		{`<iq type="set" id="2"><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></iq>`, `<iq type="result" id="2"/>`},
	} {
		io.WriteString(a, step.write)
		a.until(step.until)
	}
	return a
}

// write sends one JSON message.
func (a *app) write(json string) {
	io.WriteString(a, `<message><gcm xmlns="google:mobile:data">`+json+`</gcm></message>`)
}

// read returns the next one.
func (a *app) read() string {
	text := a.until("</message>")
	return text[strings.Index(text, "{") : strings.LastIndex(text, "}")+1]
}

func (a *app) until(end string) string {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		c, err := a.in.ReadByte()
		if err != nil {
			log.Fatal(err)
		}
		b.WriteByte(c)
	}
	return b.String()
}
