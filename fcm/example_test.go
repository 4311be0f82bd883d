package fcm_test

import (
	"errors"
	"fmt"
	"time"

	"penstock/fcm"
)

// A message is checked before anything is sent, and then it is one line of
// JSON.
func Example() {
	ttl := fcm.Duration(10 * time.Minute)
	r := &fcm.SendRequest{Message: &fcm.Message{
		Topic:        "news",
		Notification: &fcm.Notification{Title: "Goal!"},
		Android:      &fcm.AndroidConfig{Priority: fcm.PriorityHigh, TTL: &ttl},
	}}
	if err := r.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", r.Append(nil))

	r.Message.Topic = "old/news"
	fmt.Println(r.Validate())
	// Output:
	// {"message":{"notification":{"title":"Goal!"},"android":{"priority":"high","ttl":"600s"},"topic":"news"}}
	// fcm: message: Topic name contains invalid characters.
}

// Either spelling is read, and what is unknown is kept.
func ExampleParseSendRequest() {
	body := []byte(`{"validateOnly":true,"message":{"token":"t","android":{"collapseKey":"c","tomorrow":[1]}}}`)
	r, err := fcm.ParseSendRequest(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", r.Append(nil))

	_, err = fcm.ParseStrict(body)
	if e, ok := errors.AsType[*fcm.ParseError](err); ok {
		fmt.Println(e.Message)
	}
	// Output:
	// {"message":{"android":{"collapse_key":"c","tomorrow":[1]},"token":"t"},"validate_only":true}
	// Invalid JSON payload received. Unknown name "tomorrow" at 'message.android': Cannot find field.
}

// Two answers with one status, and what each means.
func ExampleClassify() {
	for _, body := range []string{
		`{"error":{"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`,
		`<html>Not Found</html>`,
	} {
		reply := fcm.ParseErrorReply(404, []byte(body))
		fmt.Println(fcm.Classify(fcm.TargetDevice, reply))
	}
	// Output:
	// unregistered
	// configuration
}
