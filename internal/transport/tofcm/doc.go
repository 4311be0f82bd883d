// Package tofcm is the transport to FCM HTTP v1: it turns a message into v1's
// words, if it is not v1 already, takes off its time to live what it has waited
// with us, and sends it once.
//
//	sender, err := fcmsend.New(project, credentials, nil)
//	…
//	lane, err := downstream.New(tofcm.New(sender, nil), nil)
//
// What the words mean is told in internal/translate, how they are sent in
// fcmsend.
package tofcm
