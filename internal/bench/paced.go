package bench

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"penstock/ccs"
)

// tick is how far apart the bursts of a paced client are: what is due meanwhile
// leaves at once.
const tick = time.Millisecond

// playPaced sends at the rate that it is told, on all connections together,
// whatever the answers do, and measures how long they take, counted from when
// each message was due: a bridge that holds the client back does not make its
// own figures better. What was due in the warm-up is not counted.
func playPaced(t task) error {
	config, err := clientConfig(t.Dir)
	if err != nil {
		return err
	}
	streams := make([]*pacedStream, t.Conns)
	for i := range streams {
		conn, err := login(t.Addr, config)
		if err != nil {
			return err
		}
		defer conn.Close()
		streams[i] = newPacedStream(conn, i, max(1, t.Rate/t.Conns), t.WarmUp, t.Time)
	}
	say(result{}) // it begins
	var all sync.WaitGroup
	began := time.Now()
	failed := make(chan error, len(streams))
	for _, s := range streams {
		all.Go(func() {
			if err := s.run(began); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return err
	}
	var took []time.Duration
	for _, s := range streams {
		took = append(took, s.took...)
	}
	if len(took) == 0 {
		return errors.New("no message was due in the time to be measured")
	}
	slices.Sort(took)
	say(result{Messages: len(took), Seconds: t.Time.Seconds(), P50: took[len(took)/2].Seconds(), P99: took[len(took)*99/100].Seconds()})
	return nil
}

// A pacedStream is one connection's share.
type pacedStream struct {
	conn    net.Conn
	stanzas *stanzas
	rate    int // a second
	warmUp  time.Duration
	end     time.Duration // after which nothing is due
	first   int           // id
	sleep   func(time.Duration)

	took []time.Duration // the reader's

	mu      sync.Mutex // guards what follows
	sent    int
	pending int
	over    bool // nothing more is sent
}

func newPacedStream(conn net.Conn, n, rate int, warmUp, limit time.Duration) *pacedStream {
	s := &pacedStream{conn: conn, stanzas: newStanzas(n), rate: rate, warmUp: warmUp, end: warmUp + limit, sleep: sleep}
	s.first = s.stanzas.id + 1
	return s
}

// ticks is how many there are in a second.
const ticks = int(time.Second / tick)

// dueBy is how many messages are due so long after the beginning.
func (s *pacedStream) dueBy(d time.Duration) int { return int(min(d, s.end)/tick) * s.rate / ticks }

// due is when the n-th message is, counted from 0: with the first tick by which
// so many are.
func (s *pacedStream) due(n int) time.Duration {
	return time.Duration(((n+1)*ticks+s.rate-1)/s.rate) * tick
}

func (s *pacedStream) run(began time.Time) error {
	done := make(chan error, 1)
	go func() { done <- s.read(began) }()
	for at := tick; ; at += tick {
		s.sleep(time.Until(began.Add(at)))
		s.mu.Lock()
		n := min(s.dueBy(time.Since(began))-s.sent, ccs.Window-s.pending)
		s.sent += n
		s.pending += n
		s.over = s.sent == s.dueBy(s.end)
		over := s.over
		s.mu.Unlock()
		if n > 0 {
			if err := s.stanzas.write(s.conn, n); err != nil {
				s.conn.Close()
				return errors.Join(err, <-done)
			}
		}
		select {
		case err := <-done:
			return err
		default:
			if over {
				return <-done
			}
		}
	}
}

// pacedPatience is how long answers may take after the last message.
const pacedPatience = 20 * time.Second

var errAllAnswered = errors.New("all is answered")

// read takes answers until there are as many as messages.
func (s *pacedStream) read(began time.Time) error {
	_ = s.conn.SetReadDeadline(began.Add(s.end + pacedPatience))
	err := readStanzas(s.conn, func(answers []byte) error {
		now := time.Since(began)
		for {
			id, rest, ok := runID(answers)
			if !ok {
				break
			}
			answers = rest
			if due := s.due(id - s.first); due > s.warmUp {
				s.took = append(s.took, now-due)
			}
			s.mu.Lock()
			s.pending--
			over := s.over && s.pending == 0
			s.mu.Unlock()
			if over {
				return errAllAnswered
			}
		}
		return nil
	})
	if errors.Is(err, errAllAnswered) {
		return nil
	}
	return err
}

// runID is the number in the id of the first of these answers, and the rest of
// them; ok is false if there is none.
func runID(answers []byte) (n int, rest []byte, ok bool) {
	i := bytes.Index(answers, idMark)
	if i < 0 {
		return 0, nil, false
	}
	rest = answers[i+len(idMark):]
	for len(rest) > 0 && rest[0] != '"' {
		if '0' <= rest[0] && rest[0] <= '9' {
			n = n*10 + int(rest[0]-'0')
		}
		rest = rest[1:]
	}
	return n, rest, true
}
