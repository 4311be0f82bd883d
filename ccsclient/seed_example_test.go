package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// These examples are quoted in docs/from-fcmxmppserver.md.

// running is a pool that runs against server, and the way to end it.
func running(server *local, opt ccsclient.Options) (pool *ccsclient.Pool, end func()) {
	opt.ClearText, opt.Dial = true, server.dial
	pool, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"}, &opt)
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- pool.Run(context.Background()) }()
	return pool, func() {
		pool.Close()
		<-ended
	}
}

func ExamplePool_Send() {
	server := newLocal()
	defer server.Close()
	pool, end := running(server, ccsclient.Options{})
	defer end()
	forget := func(token ccs.RegistrationToken) { fmt.Println("forget", token) }
	token := ccs.RegistrationToken("gone")
	data := map[string]string{"k": "v"}

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := pool.Send(ctx, &ccs.Downstream{To: token, MessageID: ccs.NewMessageID(), Data: data})
	nack, nacked := errors.AsType[*ccs.NackError](err)
	switch {
	case err == nil && answer.RegistrationID != "":
		log.Print("use the canonical token from now on")
	case err == nil: // acked
	case nacked && (nack.Code == ccs.CodeDeviceUnregistered || nack.Code == ccs.CodeBadRegistration):
		forget(token)
	case nacked: // final: what is worth another try has been tried
		log.Print(nack)
	case errors.Is(err, ccsclient.ErrOutcomeUnknown): // it may have been delivered
		log.Print(err)
	default: // nothing was sent
		log.Print(err)
	}
	// Output: forget gone
}

func ExamplePool_Broadcast() {
	server := newLocal()
	defer server.Close()
	pool, end := running(server, ccsclient.Options{})
	defer end()
	ctx := context.Background()

	acked := 0
	message := &ccs.Downstream{Notification: map[string]string{"title": "Hello"}}
	tokens := []ccs.RegistrationToken{"a phone", "gone", "another phone"}
	err := pool.Broadcast(ctx, message, tokens, func(a ccsclient.Answer, err error) {
		if err != nil {
			fmt.Println(a.Message.To, "was not reached")
			return
		}
		acked++
	})

	fmt.Println(acked, err)
	// Output:
	// gone was not reached
	// 2 <nil>
}

func ExamplePool_Withdraw() {
	pool, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, token := ccs.MessageID("m-1"), ccs.RegistrationToken("a phone")
	told := make(chan error, 1)
	done := func(_ ccsclient.Answer, err error) { told <- err }

	if err := pool.SendFunc(context.Background(), &ccs.Downstream{To: token, MessageID: id}, done); err != nil {
		log.Print(err)
	}
	pool.Withdraw(id) // done hears of ErrWithdrawn, or of ErrOutcomeUnknown once it was written

	fmt.Println(errors.Is(<-told, ccsclient.ErrWithdrawn))
	pool.Close()
	// Output: true
}

func ExampleEvents() {
	events := &ccsclient.Events{
		Connected:       func(address string) { log.Print("connected to ", address) },
		Authenticated:   func(s ccsclient.Stream) { log.Print("logged in as ", s.JID) },
		Draining:        func(s ccsclient.Stream) { log.Print("draining: the next stream is being opened") },
		Closed:          func(s ccsclient.Stream, err error) { log.Print("closed: ", err) },
		ReconnectingIn:  func(d time.Duration) { log.Print("connecting again in ", d) },
		ReconnectFailed: func(err error) { log.Print(err) },
		PingFailed:      func(s ccsclient.Stream) { log.Print("no answer to a ping: the stream is given up") },
		Handled: func(m ccs.FromServer, err error) {
			if err != nil {
				log.Print("an upstream message failed for good: ", err)
			}
		},
	}

	_, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"}, &ccsclient.Options{Events: events})
	fmt.Println(err)
	// Output: <nil>
}

func ExamplePool_Shutdown() {
	server := newLocal()
	defer server.Close()
	pool, end := running(server, ccsclient.Options{})
	defer end()
	if _, err := pool.Send(context.Background(), &ccs.Downstream{To: "a phone", MessageID: "m-1"}); err != nil {
		fmt.Println(err)
	}

	bye, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := pool.Shutdown(bye); err != nil {
		log.Print("some messages are left without an answer: ", err)
	}

	fmt.Println(pool.State())
	// Output: 0 waiting, 0 in flight, 0 resting, 0 connecting
}

func ExampleProcessors_Handler() {
	var store func(ctx context.Context, token ccs.RegistrationToken, account string) error

	processors := ccsclient.Processors{
		Registrar: func(ctx context.Context, token ccs.RegistrationToken, _ ccs.Category, data map[string]string) error {
			return store(ctx, token, data["account"])
		},
		Actions: map[string]ccsclient.UpstreamHandler{
			"TIME": func(ctx context.Context, out ccsclient.Sender, m *ccs.Upstream) error {
				_, err := out.Send(ctx, &ccs.Downstream{
					To: m.From, MessageID: ccs.NewMessageID(), Data: map[string]string{"time": time.Now().Format(time.RFC3339)},
				})
				return err
			},
		},
		Unknown: func(m *ccs.Upstream, action string) { log.Printf("%s: nobody serves %q", m.MessageID, action) },
	}
	opt := &ccsclient.Options{
		Upstream: processors.Handler(),
		Receipts: func(_ context.Context, r *ccs.Receipt) error {
			log.Print(r.OriginalMessageID, " has reached its device")
			return nil
		},
	}

	_, err := ccsclient.NewPool("fcm-xmpp.example.org:5235",
		ccsclient.Credentials{SenderID: "1234567890", Key: "server key"}, opt)
	fmt.Println(err)
	// Output: <nil>
}
