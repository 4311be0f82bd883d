// Package faultproxy is a network that fails on request. A [Link] sits between
// two connections and passes on what they write, slowly, in small pieces, with
// a bit turned round, up to a certain byte, or not at all; a [Proxy] puts such
// a link behind each connection of a listener.
//
//	proxy := faultproxy.New(listener, dial, &faultproxy.Options{Seed: 1})
//	go proxy.Serve()
//	…
//	for _, link := range proxy.Links() {
//		link.After(faultproxy.ToServer, 1000, faultproxy.Reset)
//	}
//	…
//	proxy.Close()
//
// It knows nothing of what is said: it works below TLS, over TCP and over the
// streams of ccstest, whose bubbles have a clock of their own. Whether the ends
// bear the fault is for others to find out.
package faultproxy
