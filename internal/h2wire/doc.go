// Package h2wire stands between TLS and an HTTP/2 server and works on frames.
package h2wire
