package ccsclient_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
	"penstock/ccsserver"
	"penstock/internal/ccstest"
)

// A local is a connection server in this process, so that the examples run.
// Towards a real one neither ClearText nor Dial is set.
type local struct {
	*ccsserver.Server
	listener *ccstest.Listener
}

func newLocal() *local {
	verdict := ccsserver.HandlerFunc(func(r *ccsserver.Request) {
		if r.Message.To == "gone" {
			r.Answer(nil, &ccs.NackError{Code: ccs.CodeDeviceUnregistered})
			return
		}
		r.Answer(nil, nil)
	})
	srv, err := ccsserver.New(verdict, ccsserver.NewKeys(map[ccs.SenderID][]string{"1234567890": {"server key"}}), &ccsserver.Options{ClearText: true})
	if err != nil {
		panic(err)
	}
	l := &local{srv, ccstest.Listen()}
	go l.Serve(l.listener)
	return l
}

func (l *local) dial(ctx context.Context, _, _ string) (net.Conn, error) { return l.listener.Dial(ctx) }

func ExamplePool() {
	server := newLocal()
	defer server.Close()

	pool, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"},
		&ccsclient.Options{ClearText: true, Dial: server.dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- pool.Run(context.Background()) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, token := range []ccs.RegistrationToken{"a phone", "gone"} {
		answer, err := pool.Send(ctx, &ccs.Downstream{
			To: token, MessageID: ccs.MessageID("for " + token), Data: map[string]string{"k": "v"},
		})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("acked:", answer.Message.MessageID)
	}

	fmt.Println("shut down:", pool.Shutdown(ctx))
	fmt.Println("ended:", <-ended)
	// Output:
	// acked: for a phone
	// ccsclient: send for gone: nack DEVICE_UNREGISTERED: The registration token is no longer valid
	// shut down: <nil>
	// ended: <nil>
}

func ExampleProcessors() {
	server := newLocal()
	defer server.Close()

	processors := ccsclient.Processors{
		Registrar: func(_ context.Context, token ccs.RegistrationToken, _ ccs.Category, data map[string]string) error {
			fmt.Println("registered:", token, data["account"])
			return nil
		},
		Unknown: func(m *ccs.Upstream, action string) { fmt.Println("unknown:", m.MessageID, action) },
	}
	pool, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"},
		&ccsclient.Options{ClearText: true, Dial: server.dial, Upstream: processors.Handler()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- pool.Run(context.Background()) }()

	// What devices send; Deliver returns when the pool has acked it.
	for i, data := range []map[string]string{
		{"action": ccsclient.ActionRegister, "account": "me@example.org"},
		{"action": "DANCE"},
	} {
		m := &ccs.Upstream{From: "a phone", Category: "org.example.app", MessageID: ccs.MessageID(fmt.Sprint("u-", i)), Data: data}
		fmt.Println("delivered:", server.Deliver(context.Background(), "1234567890", m))
	}
	pool.Close()
	<-ended
	// Output:
	// registered: a phone me@example.org
	// delivered: <nil>
	// unknown: u-1 DANCE
	// delivered: <nil>
}

func ExampleDial() {
	server := newLocal()
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	session, err := ccsclient.Dial(ctx, "fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"},
		&ccsclient.Options{ClearText: true, Dial: server.dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- session.Run(ctx) }()

	answer, err := session.Send(ctx, &ccs.Downstream{To: "/topics/news", MessageID: "m-1", Data: map[string]string{"k": "v"}})
	fmt.Println(answer.Message.MessageID, answer.Attempts, err)
	fmt.Println("shut down:", session.Shutdown(ctx))
	fmt.Println("ended:", <-ended)
	// Output:
	// m-1 1 <nil>
	// shut down: <nil>
	// ended: <nil>
}
