// Package v1 is the front for senders of HTTP v1:
// POST /v1/projects/{project}/messages:send.
//
//	h := v1.New(ring, func(project string) v1.Lane { … }, nil)
//	…
//	server := &http.Server{Handler: h, …} // its limits are for others to set
//
// Errors have the envelope of FCM, so that SDKs understand them. FCM's own
// credential never shows, and neither does a sentence of FCM's that is meant
// for the operator. The wire is told in docs/fcm-http.md.
package v1
