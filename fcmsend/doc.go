// Package fcmsend sends messages to FCM HTTP v1.
//
//	cred, err := fcmsend.File("service-account.json")
//	…
//	sender, err := fcmsend.New("", cred, nil)
//	…
//	defer sender.Close()
//	result, err := sender.Send(ctx, &fcm.SendRequest{Message: &fcm.Message{Token: token, Data: data}})
//
// [Sender.Send] tries once; [Sender.Deliver] tries again as Google asks, for a
// caller who keeps no messages. An error is always a *[fcm.SendError]: its
// class says what to do about the message, and OutcomeUnknown whether FCM may
// have accepted it all the same.
//
// A sender has one access token for all messages, and fetches the next minutes
// before it is needed. It has as many connections as the calls under way fill,
// and no more. What FCM has surely not processed it writes again by itself.
//
// How often messages may be sent is no business of this package's. The rules
// are told in docs/fcm-http.md.
package fcmsend
