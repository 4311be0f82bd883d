package fcmsim_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"golang.org/x/oauth2/google"

	"penstock/ccs"
	"penstock/fcmsim"
)

// A program under test is told where the simulator is, and whom to trust; then
// the record tells what it did.
func ExampleStart() {
	sim, err := fcmsim.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer sim.Close()

	// An app server: over TLS to sim.Addr() with sim.CertPool(), logged in with
	// sim.SenderID() and sim.ServerKey().
	err = sendOverCCS(sim,
		&ccs.Downstream{To: sim.Tokens()[0], MessageID: "m-1", Data: map[string]string{"hello": "world"}},
		&ccs.Downstream{To: sim.DeadTokens()[0], MessageID: "m-2"},
	)
	if err != nil {
		log.Fatal(err)
	}

	for _, r := range sim.Record() {
		fmt.Println(r.MessageID, r.Answer, r.Error, len(r.DeliveredTo))
	}
	// Output:
	// m-1 ack  1
	// m-2 nack DEVICE_UNREGISTERED 0
}

// A fault makes the next message go wrong.
func ExampleSim_SetFault() {
	sim, err := fcmsim.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer sim.Close()
	// The next message reaches its device, but the connection breaks before
	// the app server knows.
	err = sim.SetFault(fcmsim.Fault{Cut: true, Deliver: true, Next: 1})
	fmt.Println(err, len(sim.Faults()))
	// Output: <nil> 1
}

// A sender of HTTP v1 gets a key file, as it does from Google.
func ExampleSim_ServiceAccountJSON() {
	sim, err := fcmsim.Start(&fcmsim.Options{PlainHTTPListen: []string{"127.0.0.1:0"}})
	if err != nil {
		log.Fatal(err)
	}
	defer sim.Close()

	config, err := google.JWTConfigFromJSON(sim.ServiceAccountJSON(), "https://www.googleapis.com/auth/firebase.messaging")
	if err != nil {
		log.Fatal(err)
	}
	resp, err := config.Client(context.Background()).Post(
		sim.PlainURL()+"/v1/projects/"+sim.ProjectID()+"/messages:send", "application/json",
		strings.NewReader(`{"message":{"token":"`+string(sim.Tokens()[0])+`"}}`))
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()

	device, _ := sim.Device(sim.Tokens()[0])
	fmt.Println(resp.StatusCode, device.ReceivedCount)
	// Output: 200 1
}
