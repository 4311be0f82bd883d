package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

type sendCmd struct {
	connectFlags `embed:""`

	To           string            `placeholder:"TOKEN" help:"Registration token, notification key, or /topics/NAME."`
	Condition    string            `placeholder:"EXPR" help:"Topics instead of --to: 'A' in topics && 'B' in topics."`
	Data         map[string]string `mapsep:"none" placeholder:"K=V" help:"An entry of data; repeat it for more."`
	Notification map[string]string `mapsep:"none" placeholder:"K=V" help:"An entry of notification, such as title=Hello; repeat it for more."`
	Receipt      bool              `help:"Ask for a delivery receipt. It is offered to one of the sender's streams after another, three at most, until one acks it; this command does not."`
	TTL          string            `name:"ttl" placeholder:"60s" help:"Time to live, a duration or seconds, at most four weeks. 0: now or never. Default: four weeks."`
	CollapseKey  string            `name:"collapse-key" placeholder:"KEY" help:"An offline device gets only the newest message with this key."`
	Priority     string            `placeholder:"normal|high" help:"How urgent: normal or high. Default: normal for data, high for notifications."`
	DryRun       bool              `name:"dry-run" help:"Have the message checked and answered, but not delivered."`
	MessageID    string            `name:"message-id" placeholder:"ID" help:"The message's id. With --count its beginning: ID-1, ID-2 and so on. Default: a random one."`

	Count   *int          `placeholder:"N" help:"Send the message N times, with ids of their own, and print a summary."`
	Rate    *float64      `placeholder:"R" help:"At most R messages a second. Default: as fast as answers come."`
	File    string        `placeholder:"FILE" type:"path" help:"Send the downstream messages of this file, a JSON object a line, instead of one made of flags. Nothing is sent if a line is wrong."`
	Timeout time.Duration `default:"30s" help:"Give each message up after this time, connecting included."`
	Trace   bool          `help:"Print every stanza to stderr, without tokens and payloads."`
	JSON    bool          `name:"json" help:"Print each answer, and the summary, as one JSON object on a line."`
}

// A sendLine is what send prints for one answer.
type sendLine struct {
	MessageID        ccs.MessageID         `json:"message_id"`
	To               ccs.RegistrationToken `json:"to"`
	Answer           string                `json:"answer"`
	Error            ccs.Code              `json:"error"`
	ErrorDescription string                `json:"error_description"`
	RegistrationID   ccs.RegistrationToken `json:"registration_id"`
	Attempts         int                   `json:"attempts"`
	Milliseconds     float64               `json:"ms"`
}

type sendSummary struct {
	Summary bool    `json:"summary"`
	Sent    int     `json:"sent"`
	Acked   int     `json:"acked"`
	Nacked  int     `json:"nacked"`
	Unknown int     `json:"unknown"`
	Seconds float64 `json:"seconds"`
}

// sendGrace is how long, after the first signal, the answers to what was written
// are waited for, if --timeout does not end sooner.
const sendGrace = 10 * time.Second

var errEndedBySignal = &exitError{code: exitFailed, err: errors.New("ended by a signal before every message was sent")}

// sendAhead is how many messages are handed over beyond the window, so that
// the time that each one waits counts little against its timeout.
const sendAhead = 100

// A sending is one run of send.
type sending struct {
	cmd  *sendCmd
	env  *env
	pool *ccsclient.Pool
	bar  *progress

	handing context.Context // ends when no more messages are handed over
	waiting context.Context // ends when no answer is waited for any more
	stop    func()          // ends both

	mu      sync.Mutex // guards what follows, and stdout
	sum     sendSummary
	failure error // why the last attempt to connect failed
	refused error // the credentials were refused: no use to go on
	// unwritten is why a line could not be printed. The sending goes on.
	unwritten error
	// A connection stood once; without one, the first message that is given up
	// ends the command: the others would wait as long each, for nothing.
	connected bool
}

// Help is what --help says between the summary and the flags.
func (c *sendCmd) Help() string {
	return `One line is printed for each answer: ack; nack, which is final, with its code; or unknown, with the reason. What may be tried again (SERVICE_UNAVAILABLE, INTERNAL_SERVER_ERROR, a draining or broken connection) is sent again with the same id, within --timeout. Refused credentials end the command at once.

Examples, with the values that "penstock sim" printed:

  export PENSTOCK_ENDPOINT=127.0.0.1:5235 PENSTOCK_CA_FILE=/tmp/sim/ca.pem
  export PENSTOCK_SENDER_ID=123456789 PENSTOCK_KEY_FILE=/tmp/key
  penstock send --to TOKEN --data k=v --notification title=Hello
  penstock send --to TOKEN --count 1000 --rate 100 --json
  penstock send --file messages.ndjson

A line of --file is a message as CCS writes it, {"to":"TOKEN","data":{"k":"v"}}. A line without message_id gets one that is the same in each run, so that a server that remembers ids delivers a file sent twice only once.

SIGTERM and Ctrl-C hand nothing more over, wait up to 10 s for the answers to what was written, and close the stream in order.`
}

func (c *sendCmd) Run(e *env) error {
	source, total, err := c.messages(e.ctx, e.given)
	if err != nil {
		return err
	}
	cred, err := c.credentials(e.given)
	if err != nil {
		return err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return err
	}
	if c.Timeout <= 0 {
		return usage("--timeout is %v: give a positive duration such as 30s", c.Timeout)
	}
	if r := c.Rate; r != nil && !(*r >= 0.001 && *r <= 1e6) { // so that not a number is refused too
		return usage("--rate is %v: give 0.001 to 1000000 messages a second, or leave it out", *r)
	}
	return c.send(e, cred, &ccsclient.Options{TLS: tlsConfig}, source, total)
}

// send does all that is left when the flags are read; opt has the connection's
// part of the options.
func (c *sendCmd) send(e *env, cred ccsclient.Credentials, opt *ccsclient.Options, source func() (*ccs.Downstream, error), total int) error {
	s := &sending{cmd: c, env: e, bar: newProgress(e.stderr, total, "sending")}
	var stopHanding, stopWaiting context.CancelFunc
	s.handing, stopHanding = context.WithCancel(e.ctx)
	s.waiting, stopWaiting = context.WithCancel(context.Background())
	s.stop = func() { stopHanding(); stopWaiting() }
	defer s.stop()
	opt.MaxWaiting = sendAhead
	opt.Events = &ccsclient.Events{
		ReconnectFailed: s.noteFailure,
		Authenticated:   func(ccsclient.Stream) { s.noteSuccess() },
	}
	if c.Trace {
		opt.Trace = e.printTrace
	}
	var err error
	if s.pool, err = ccsclient.NewPool(c.Endpoint, cred, opt); err != nil {
		return usage("%w", err)
	}
	answered := make(chan struct{}) // every message has been told of
	var all sync.WaitGroup
	all.Go(func() { _ = s.pool.Run(context.Background()) }) // Shutdown and Close end it
	all.Go(func() { s.leave(answered) })
	began := time.Now()
	err = s.sendAll(source)
	close(answered)
	s.stop()
	if s.sum.Unknown > 0 && e.ctx.Err() == nil {
		s.pool.Close()
	} else {
		_ = s.pool.Shutdown(s.waiting) // in order, but nobody waits for an answer any more
	}
	all.Wait()
	s.bar.done()
	s.sum.Summary, s.sum.Seconds = true, round(time.Since(began).Seconds())
	if c.Count != nil || c.File != "" {
		s.print(s.sum, fmt.Sprintf("%d sent: %d acked, %d nacked, %d unknown, in %.1f s",
			s.sum.Sent, s.sum.Acked, s.sum.Nacked, s.sum.Unknown, s.sum.Seconds))
	}
	switch {
	case err != nil:
		return err
	case s.refused != nil:
		return s.refused
	case s.sum.Unknown > 0 && s.failure != nil:
		return fmt.Errorf("no connection: %w", s.failure)
	case s.unwritten != nil:
		return fmt.Errorf("stdout: %w: not every answer could be printed", s.unwritten)
	case s.sum.Acked < s.sum.Sent:
		return &exitError{code: exitFailed}
	}
	return nil
}

func (s *sending) noteSuccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected, s.failure = true, nil
}

// noteFailure hears of each attempt to connect. Refused credentials end the
// command: nothing gets better by waiting.
func (s *sending) noteFailure(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.failure != nil && errors.Is(err, context.Canceled) {
		return // our own end; the reason before it says more
	}
	s.failure = err
	if _, ok := errors.AsType[*ccsclient.CredentialsError](err); ok {
		s.refused = err
		s.stop()
	}
}

// leave waits for the first signal, or until every message is answered. After a
// signal nothing leaves that had not, and what had has its time to be answered.
func (s *sending) leave(answered <-chan struct{}) {
	select {
	case <-s.env.ctx.Done():
	case <-answered:
		return
	}
	s.pool.TakeBack()
	st := s.pool.State()
	if n := st.InFlight + st.Waiting + st.Resting; n > 0 {
		s.bar.clear()
		fmt.Fprintf(s.env.stderr, "penstock: ending: up to %v for the answers to %d messages, a second signal ends it at once\n",
			min(s.cmd.Timeout, sendGrace), n)
	}
	grace := time.NewTimer(sendGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
		s.stop()
	case <-answered:
	}
}

// sendAll hands every message over and waits for the answers.
func (s *sending) sendAll(source func() (*ccs.Downstream, error)) error {
	var left sync.WaitGroup
	defer left.Wait()
	var gap time.Duration
	if s.cmd.Rate != nil {
		gap = time.Duration(float64(time.Second) / *s.cmd.Rate)
	}
	due := time.Now()
	for {
		m, err := source()
		if m == nil || err != nil {
			return err
		}
		waitUntil(s.handing, due)
		due = latest(due.Add(gap), time.Now().Add(-maxLate))
		if s.env.ctx.Err() != nil {
			return errEndedBySignal
		}
		if s.handing.Err() != nil && s.sum.Sent > 0 {
			return nil // the credentials were refused, or nothing answers: the first message says so
		}
		one, cancel := context.WithTimeout(s.waiting, s.cmd.Timeout)
		left.Add(1)
		s.mu.Lock()
		s.sum.Sent++
		s.mu.Unlock()
		done := func(a ccsclient.Answer, err error) {
			defer left.Done()
			defer cancel()
			s.answered(a, err)
		}
		handed := time.Now()
		if err := s.pool.SendFunc(one, m, done); err != nil {
			done(ccsclient.Answer{Message: m, Took: time.Since(handed)}, err)
		}
	}
}

// maxLate is how far sending may fall behind its rate and still make up for it:
// timers are not exact, but a long wait must not end in a burst.
const maxLate = 50 * time.Millisecond

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// waitUntil returns when it is due, or ctx ends.
func waitUntil(ctx context.Context, due time.Time) {
	wait := time.Until(due)
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// answered counts and prints one answer.
func (s *sending) answered(a ccsclient.Answer, err error) {
	l := sendLine{
		MessageID: a.Message.MessageID, To: a.Message.Target(), Answer: "ack", RegistrationID: a.RegistrationID,
		Attempts: a.Attempts, Milliseconds: round(float64(a.Took) / float64(time.Millisecond)),
	}
	nack, nacked := errors.AsType[*ccs.NackError](err)
	s.mu.Lock()
	switch {
	case err == nil:
		s.sum.Acked++
	case nacked:
		l.Answer, l.Error, l.ErrorDescription = "nack", nack.Code, nack.Text()
		s.sum.Nacked++
	default:
		l.Answer, l.ErrorDescription = "unknown", s.why(a, err)
		s.sum.Unknown++
		if !s.connected && errors.Is(err, context.DeadlineExceeded) {
			s.stop()
		}
	}
	s.mu.Unlock()
	words := fmt.Sprintf("%-7s %s to %s after %.1f ms", l.Answer, l.MessageID, l.To.Redacted(), l.Milliseconds)
	if l.ErrorDescription != "" {
		words += ": "
		if l.Error != "" {
			words += string(l.Error) + ": "
		}
		words += l.ErrorDescription
	}
	if l.RegistrationID != "" {
		words += ", use token " + string(l.RegistrationID) + " from now on"
	}
	if isTerminal(s.env.stdout) {
		s.bar.clear() // elsewhere the line and the bar do not meet
	}
	s.print(l, words)
	s.bar.step()
}

// why says in a sentence why a message has no answer. Called with mu held.
func (s *sending) why(a ccsclient.Answer, err error) string {
	switch {
	case errors.Is(err, ccsclient.ErrOutcomeUnknown) && s.env.ctx.Err() != nil:
		return "written, but interrupted before the answer came; it may have been delivered"
	case errors.Is(err, ccsclient.ErrOutcomeUnknown):
		return "written, but the answer did not come in time; it may have been delivered"
	case a.Attempts > 0 && errors.Is(err, context.DeadlineExceeded):
		return "not delivered: nacked each time it was sent, and given up after " + s.cmd.Timeout.String()
	case a.Attempts > 0:
		return "not delivered: nacked each time it was sent, and then interrupted"
	case s.refused != nil:
		return "not sent: " + s.refused.Error()
	case s.failure != nil:
		return "not sent: " + s.failure.Error()
	case !s.connected && s.env.ctx.Err() == nil:
		return "not sent: no connection within " + s.cmd.Timeout.String()
	case errors.Is(err, context.DeadlineExceeded):
		return "not sent: no room in the window, or no connection, within " + s.cmd.Timeout.String()
	case errors.Is(err, context.Canceled), errors.Is(err, ccsclient.ErrWithdrawn), errors.Is(err, ccsclient.ErrClosed):
		return "not sent: interrupted"
	}
	return "not sent: " + err.Error()
}

// print writes a line, as JSON or in words.
func (s *sending) print(v any, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.cmd.JSON {
		err = json.NewEncoder(s.env.stdout).Encode(v)
	} else {
		_, err = fmt.Fprintln(s.env.stdout, words)
	}
	if err != nil && s.unwritten == nil {
		s.unwritten = err
	}
}

func round(x float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	return r
}
