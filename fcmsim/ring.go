package fcmsim

// A ring keeps the newest max values in the order in which they came.
type ring[T any] struct {
	max     int
	buf     []T
	head    int // of the oldest, once buf is full
	dropped int // values that had to go
}

// add appends v; at the bound the oldest goes, and is returned.
func (r *ring[T]) add(v T) (old T, gone bool) {
	if len(r.buf) < r.max {
		r.buf = append(r.buf, v)
		return old, false
	}
	old, r.buf[r.head] = r.buf[r.head], v
	r.head = (r.head + 1) % r.max
	r.dropped++
	return old, true
}

func (r *ring[T]) len() int { return len(r.buf) }

// at returns the i-th oldest.
func (r *ring[T]) at(i int) T { return r.buf[(r.head+i)%len(r.buf)] }

// list copies all, the oldest first.
func (r *ring[T]) list() []T {
	return append(append(make([]T, 0, len(r.buf)), r.buf[r.head:]...), r.buf[:r.head]...)
}

func (r *ring[T]) reset() { *r = ring[T]{max: r.max} }
