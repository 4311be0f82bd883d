package downstream

import "container/heap"

// waiting are the messages whose turn has not come, ordered by when it must
// come at the latest: messages of equal patience leave in the order in which
// they were accepted, and a message for "now or never" leaves first. So the
// first one is also the first to be given up. It is a heap of container/heap.
type waiting []*item

func (w waiting) Len() int { return len(w) }

func (w waiting) Less(i, j int) bool {
	a, b := w[i], w[j]
	if a.latest != b.latest {
		return a.latest < b.latest
	}
	return a.seq < b.seq
}

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is for container/heap.
func (w *waiting) Push(x any) {
	it := x.(*item)
	it.index = len(*w)
	*w = append(*w, it)
}

// Pop is for container/heap.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	it := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return it
}

func (w *waiting) add(it *item)    { heap.Push(w, it) }
func (w *waiting) remove(it *item) { heap.Remove(w, it.index) }
