// Package fcm holds the words of FCM HTTP v1: the message and its parts as
// Google publishes them (schema of revision 20261023), the error reply with its
// details, and what an outcome means for whoever sent the message.
//
//	r := &fcm.SendRequest{Message: &fcm.Message{Token: token, Data: data}}
//	if err := r.Validate(); err != nil {
//		return err // a *fcm.FieldError: nothing was sent
//	}
//	body := r.Append(nil)
//	…                                          // POST it: fcmsend
//	name, ok := fcm.ParseReply(answer)         // after a 2xx
//	reply := fcm.ParseErrorReply(status, answer) // after anything else
//	switch fcm.Classify(fcm.TargetDevice, reply) {
//	case fcm.Unregistered: …                   // the token is dead
//	}
//
// There is no I/O here and no goroutine. Values may be shared by goroutines as
// long as nobody changes them.
//
// Fields that this revision does not know are kept in Unknown, level by level,
// and written again, so that a program may use tomorrow's fields today. What is
// written has snake_case names throughout; what is read by [ParseSendRequest]
// may have either spelling, mixed too. encoding/json writes the same as Append,
// but does not read as well: it knows one spelling, and drops what is unknown.
//
// The rules are told in docs/fcm-http.md.
package fcm
