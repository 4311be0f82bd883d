// Http-front puts a small HTTP interface before a pool of CCS streams: a POST
// carries a message and returns with its answer. In one terminal:
//
//	go run ./cmd/penstock sim --data-dir /tmp/sim
//
// and with what its first line says, in another:
//
//	export PENSTOCK_ENDPOINT=127.0.0.1:5235 PENSTOCK_CA_FILE=/tmp/sim/ca.pem
//	export PENSTOCK_SENDER_ID=… PENSTOCK_KEY=…
//	go run ./examples/http-front -listen 127.0.0.1:8080
//
//	curl http://127.0.0.1:8080/messages -d '{"to":"TOKEN","data":{"k":"v"}}'
//	{"message_id":"m-…","answer":"ack","attempts":1}
//
// It asks nobody who they are: it belongs on loopback, or behind something
// that does.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where the HTTP interface is; port 0 is any free one")
	timeout := flag.Duration("timeout", 15*time.Second, "how long a request waits for its answer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *timeout); err != nil {
		log.Fatal(err)
	}
}

// bodyTime is how long a request may take to come in.
const bodyTime = 10 * time.Second

func run(ctx context.Context, listen string, timeout time.Duration) error {
	pool, err := newPool()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go pool.Run(context.Background()) //nolint:errcheck // it connects and reconnects until Shutdown, and then returns nil
	srv := &http.Server{
		Handler:           newFront(pool, timeout),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       bodyTime,
		WriteTimeout:      bodyTime + timeout + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	fmt.Printf("http://%s/messages\n", l.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	// First no new requests, then no more streams: whoever was let in gets
	// the answer.
	bye, cancel := context.WithTimeout(context.Background(), bodyTime+timeout)
	defer cancel()
	return errors.Join(err, srv.Shutdown(bye), pool.Shutdown(bye))
}

func newPool() (*ccsclient.Pool, error) {
	opt := &ccsclient.Options{Events: &ccsclient.Events{ReconnectFailed: func(err error) { log.Print(err) }}}
	if name := os.Getenv("PENSTOCK_CA_FILE"); name != "" {
		pem, err := os.ReadFile(name)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return nil, errors.Join(fmt.Errorf("PENSTOCK_CA_FILE: %s holds no certificate", name), err)
		}
		opt.TLS = &tls.Config{RootCAs: roots}
	}
	return ccsclient.NewPool(os.Getenv("PENSTOCK_ENDPOINT"), ccsclient.Credentials{
		SenderID: ccs.SenderID(os.Getenv("PENSTOCK_SENDER_ID")), Key: os.Getenv("PENSTOCK_KEY"),
	}, opt)
}
