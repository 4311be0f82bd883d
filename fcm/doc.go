// Package fcm holds the words of FCM HTTP v1: the message and its parts as
// Google publishes them (schema of revision 20261023), the error reply with its
// details, and what an outcome means for whoever sent the message.
//
// There is no I/O here and no goroutine. Values may be shared by goroutines as
// long as nobody changes them.
//
// Fields that this revision does not know are kept in Unknown, level by level,
// and written again, so that a program may use tomorrow's fields today. What is
// written has snake_case names throughout; what is read may have either
// spelling, mixed too.
//
// The rules are told in docs/fcm-http.md.
package fcm
