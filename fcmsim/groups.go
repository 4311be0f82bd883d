package fcmsim

// groupMembers are the devices behind a notification key; false: no group has
// that key. Called with mu held.
func (s *Sim) groupMembers(string) ([]*device, bool) { return nil, false }
