package bench

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"penstock/ccs"
)

// playRaw is the limit of clients: on each connection a window of stanzas that
// were encoded before, of which only the id changes; as many leave at once as
// one read brought answers.
func playRaw(t task) error {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	f := newFlow(t.Conns)
	for i := range t.Conns {
		conn, err := login(t.Addr, config)
		if err != nil {
			return err
		}
		defer conn.Close()
		go func() { f.failed(runRaw(conn, i, &f.acked[i])) }()
	}
	return f.measure(t)
}

// A flow is what several connections do together, as long as the process lasts.
type flow struct {
	acked []counter // by connection
	err   chan error
}

// A counter has a cache line of its own.
type counter struct {
	atomic.Int64
	_ [56]byte
}

func newFlow(conns int) *flow {
	return &flow{acked: make([]counter, conns), err: make(chan error, conns)}
}

// failed notes that a connection has ended.
func (f *flow) failed(err error) { f.err <- err }

func (f *flow) total() int {
	n := 0
	for i := range f.acked {
		n += int(f.acked[i].Load())
	}
	return n
}

// measure says how many messages were acked in the time that t asks for, or in
// as much more as it takes to have one. It begins when the first answer has
// come, and what is to warm up is warm.
func (f *flow) measure(t task) error {
	if err := f.more(0); err != nil {
		return err
	}
	if err := f.wait(t.WarmUp); err != nil {
		return err
	}
	say(result{}) // warm
	meter, before := startMeter(), f.total()
	if err := f.wait(t.Time); err != nil {
		return err
	}
	if err := f.more(before); err != nil {
		return err
	}
	say(meter.read(f.total() - before))
	return nil
}

// more waits until more than n messages are acked.
func (f *flow) more(n int) error {
	for began := time.Now(); f.total() <= n; {
		if time.Since(began) > 30*time.Second {
			return errors.New("no message was answered within 30 s")
		}
		if err := f.wait(time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// wait lets d pass, unless a connection ends.
func (f *flow) wait(d time.Duration) error {
	select {
	case err := <-f.err:
		return err
	case <-time.After(d):
		return nil
	}
}

// stanzas are a window of messages that were encoded before, of which only the
// ids change.
type stanzas struct {
	text []byte
	size int             // of one
	ends [ccs.Window]int // of ids
	id   int             // the last one given
}

// newStanzas makes those of the n-th connection.
func newStanzas(n int) *stanzas {
	s := &stanzas{id: n * 1_000_000_000} // no two connections use the same
	for i := range s.ends {
		begin := len(s.text)
		s.text = appendStanza(s.text, message(0))
		s.ends[i] = begin + bytes.Index(s.text[begin:], idMark) + len(idMark) + idLen
	}
	s.size = len(s.text) / len(s.ends)
	return s
}

// write writes count messages.
func (s *stanzas) write(conn net.Conn, count int) error {
	for _, end := range s.ends[:count] {
		s.id++
		for at, v := end-1, s.id; v > 0; at, v = at-1, v/10 {
			s.text[at] = byte('0' + v%10)
		}
	}
	_, err := conn.Write(s.text[:count*s.size])
	return err
}

func runRaw(conn net.Conn, n int, acked *counter) error {
	s := newStanzas(n)
	if err := s.write(conn, len(s.ends)); err != nil {
		return err
	}
	return readStanzas(conn, func(answers []byte) error {
		n := bytes.Count(answers, stanzaEnd)
		acked.Add(int64(n))
		return s.write(conn, n)
	})
}
