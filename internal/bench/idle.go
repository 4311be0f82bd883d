package bench

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxIdle is how many idle streams are tried, descriptors permitting.
const maxIdle = 10_000

// spareFiles is what a process needs beside its streams.
const spareFiles = 200

// playIdle logs in as often as it may, says how many streams it has, and holds
// them until it is told to end. A server that lets one in lets in all, so the
// first error ends it.
func playIdle(t task) error {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	want := min(t.Conns, max(1, fileLimit()-spareFiles))
	deadline := time.Now().Add(t.Time)
	var mu sync.Mutex
	var streams []net.Conn
	var failed error
	var wg sync.WaitGroup
	var begun atomic.Int64
	for range 16 {
		wg.Go(func() {
			for begun.Add(1) <= int64(want) && time.Now().Before(deadline) {
				conn, err := login(t.Addr, config)
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					streams = append(streams, conn)
				}
				over := failed != nil
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	say(result{Streams: len(streams)})
	err = obey(func(string) result { return result{Streams: len(streams)} })
	for _, s := range streams {
		s.Close()
	}
	return err
}
