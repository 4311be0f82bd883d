package ccsclient

// Held is how many messages a pool's queues hold, withdrawn ones too.
func Held(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fresh.items) - p.fresh.head + len(p.again)
}
