// Echo is the smallest app server: it sends one message to a device, and then
// answers what devices write as their "action" asks for, until Ctrl-C. In one
// terminal:
//
//	go run ./cmd/penstock sim --data-dir /tmp/sim
//
// and with what its first line says, in another:
//
//	export PENSTOCK_ENDPOINT=127.0.0.1:5235 PENSTOCK_CA_FILE=/tmp/sim/ca.pem
//	export PENSTOCK_SENDER_ID=… PENSTOCK_KEY=…
//	go run ./examples/echo TOKEN
//
// A device writes {"action":"ECHO"} by the simulator's control API:
//
//	curl $CONTROL/devices/$TOKEN/upstream -d '{"data":{"action":"ECHO","k":"v"}}'
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		log.Fatal("give the registration token that the first message goes to")
	}
	if err := run(ctx, ccs.RegistrationToken(os.Args[1])); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, to ccs.RegistrationToken) error {
	pem, err := os.ReadFile(os.Getenv("PENSTOCK_CA_FILE")) // of a Penstock of one's own; else leave TLS out
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		return errors.Join(errors.New("PENSTOCK_CA_FILE names no certificate"), err)
	}
	pool, err := ccsclient.NewPool(os.Getenv("PENSTOCK_ENDPOINT"),
		ccsclient.Credentials{SenderID: ccs.SenderID(os.Getenv("PENSTOCK_SENDER_ID")), Key: os.Getenv("PENSTOCK_KEY")},
		&ccsclient.Options{
			TLS:      &tls.Config{RootCAs: roots},
			Upstream: (&ccsclient.Processors{}).Handler(), // ECHO and MESSAGE
			Events:   &ccsclient.Events{ReconnectFailed: func(err error) { log.Print(err) }},
		})
	if err != nil {
		return err
	}
	go pool.Run(context.Background()) //nolint:errcheck // it connects and reconnects until Shutdown, and then returns nil

	first := &ccs.Downstream{To: to, MessageID: ccs.NewMessageID(), Data: map[string]string{"message": "hello"}}
	answer, err := pool.Send(ctx, first)
	if err != nil {
		log.Print(err) // a nack; what is worth another try has been tried
	} else {
		log.Printf("%s was acked after %v", first.MessageID, answer.Took)
	}

	<-ctx.Done()
	bye, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pool.Shutdown(bye)
}
