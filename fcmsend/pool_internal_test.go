package fcmsend

import (
	"sync/atomic"
	"testing"
)

func TestTheLastWordAboutAConnectionCounts(t *testing.T) {
	opt, to, err := (*Options)(nil).withDefaults("shop-1")
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(&opt, &to)
	defer p.close()
	l := &link{pool: p}
	var silent atomic.Bool
	for _, is := range []bool{true, false, true} {
		silent.Store(!is)
		silent.Store(is)
		l.doubt(&silent) // the call of the first one, which comes late
		if l.silent != is {
			t.Errorf("the pool takes it for silent: %v", l.silent)
		}
	}
}
