// Package legacy is the front for senders of legacy HTTP: POST /fcm/send, in
// JSON and as a form.
//
//	h := legacy.New(ring, func(project string) legacy.Lane { … }, nil)
//	…
//	server := &http.Server{Handler: h, …} // its limits are for others to set
//
// Each recipient becomes one message for the lane of the project that the key
// speaks for. The answer is written when all have one. The wire is told in
// docs/fcm-http.md, Legacy HTTP.
package legacy
