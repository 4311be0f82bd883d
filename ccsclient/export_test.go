package ccsclient

import (
	"context"

	"penstock/internal/xmpp"
)

// Held is how many messages a pool's queues hold, withdrawn ones too.
func Held(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fresh.items) - p.fresh.head + len(p.again)
}

// KeepAfterEnd ends p's streams and runs a slot's keeper as it then finds the
// pool when it is quicker than Run: ctx, which Run ends next, lives still.
func KeepAfterEnd(ctx context.Context, p *Pool) {
	p.end(xmpp.ErrCut)
	p.keep(ctx, 0)
}
