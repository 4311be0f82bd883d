package fcmsim

import "net/http"

// serveConnect refuses to be a proxy.
func (s *Sim) serveConnect(w http.ResponseWriter, r *http.Request) { servePathless(w, r) }
