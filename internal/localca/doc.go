// Package localca is a certificate authority of one's own: what lets an
// unmodified program that was written for Google's endpoints connect to this
// machine over TLS. The authority is made once and kept in a directory; a
// program has to be told to trust its ca.pem, and no other setting.
//
//	ca, err := localca.Open(filepath.Join(dataDir, "tls"), nil)
//	…
//	cert, err := ca.Server(localca.DefaultNames())
//	…
//	config := &tls.Config{Certificates: []tls.Certificate{cert}}
//	fmt.Println("trust", ca.CertFile())
//
// Certificates from public authorities, and watching files for new ones, are
// left to others.
package localca
