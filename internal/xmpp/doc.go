// Package xmpp frames the XML streams of CCS, for both of their ends: it reads
// the header and the first-level elements of a stream, writes them in batches,
// and knows the text of everything that either end says.
//
//	r := xmpp.NewReader(conn, xmpp.ReaderOptions{Limits: xmpp.LimitsBeforeLogin})
//	w := xmpp.NewWriter(conn, xmpp.WriterOptions{})
//	go w.Run()
//	h, err := r.Header()
//	for {
//		e, err := r.Next()
//		…
//		payload, ok := e.Payload()
//		w.Append(func(b []byte) []byte { … })
//		w.Flush()
//	}
//
// The XML is the restricted one of RFC 6120, section 11: no comment, no
// processing instruction, no DTD, no entity but the five predefined ones. A
// violation comes back as a *ccs.StreamError, which is what the peer should be
// told. What stanzas mean, who may send them and when is left to the ends.
package xmpp

// The namespaces of a CCS stream.
const (
	NSStream       = "http://etherx.jabber.org/streams"
	NSClient       = "jabber:client"
	NSSASL         = "urn:ietf:params:xml:ns:xmpp-sasl"
	NSBind         = "urn:ietf:params:xml:ns:xmpp-bind"
	NSSession      = "urn:ietf:params:xml:ns:xmpp-session"
	NSStanzas      = "urn:ietf:params:xml:ns:xmpp-stanzas"
	NSStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	NSPing         = "urn:xmpp:ping"
	NSGCM          = "google:mobile:data"
	NSSM           = "urn:xmpp:sm:3"
	NSErrors       = "urn:xmpp:errors"
)

// Two namespaces that XML itself reserves.
const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)
