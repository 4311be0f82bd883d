package fcmsend

// LastStream lets the next request on each connection have the last stream id
// that one may have.
func (s *Sender) LastStream() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	for _, l := range s.pool.links {
		c := l.conn.(*h2conn)
		c.mu.Lock()
		c.nextID = lastStream - 1
		c.mu.Unlock()
	}
}
