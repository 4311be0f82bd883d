// Package h2wire stands between TLS and Go's HTTP/2 server and works on frames.
//
// It mends what clients write and Go's server does not take: Node's official
// SDKs for FCM write https: with a colon for the pseudo-header :scheme, which
// Google's servers accept and Go's reset as malformed. And it gives the
// simulator what net/http keeps to itself: the count of open streams, GOAWAY,
// the refusal of single streams.
//
//	srv := &http.Server{Handler: h, Protocols: h2wire.Protocols()}
//	err := srv.Serve(h2wire.NewListener(l, tlsConfig, nil))
//
// A connection is sniffed: one that does not begin with HTTP/2's preface passes
// through as it is, HTTP/1.1 for instance. So does every byte of HTTP/2 as long
// as nothing has to be mended; from then on header blocks are written anew, with
// an HPACK state of the layer's own. Clients whose header blocks cannot be read
// are left to the server behind.
package h2wire
