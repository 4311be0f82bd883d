// Package translate turns what old senders write into messages of HTTP v1, and
// outcomes back into the words that each sender knows (docs/fcm-http.md,
// Mapping).
//
//	r, err := translate.ToV1(m, translate.Times{Accepted: accepted, Now: time.Now()}, nil)
//	…
//	nack := translate.Nack(err, nil)
//
// All of it is pure: the same input and the same clock give the same output.
// There is no I/O and no goroutine, and no argument is changed; results may
// share maps with their arguments.
//
// A token does not tell its platform. So one legacy message becomes one message
// of v1 with parts for Android, Apple and the web side by side, of which FCM
// uses the one that fits.
//
// Three words of policy hold throughout. What would change what a message means
// is refused. What is mere ornament and would make FCM refuse the message, such
// as a color that is none, is left out and counted (see [Options]). A fault that
// only the operator can mend looks like "try again later" to senders, since one
// that looked final would make them throw good tokens away.
package translate
