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
	Receipt      bool              `help:"Ask for a delivery receipt. It goes to whichever stream of the sender handles receipts."`
	TTL          string            `name:"ttl" placeholder:"60s" help:"Time to live, a duration or seconds, at most four weeks. 0: now or never. Default: four weeks."`
	CollapseKey  string            `name:"collapse-key" placeholder:"KEY" help:"An offline device gets only the newest message with this key."`
	Priority     string            `placeholder:"normal|high" help:"normal or high."`
	DryRun       bool              `name:"dry-run" help:"Have the message checked and answered, but not delivered."`
	MessageID    string            `name:"message-id" placeholder:"ID" help:"The message's id; with --count, its beginning. Default: a random one."`

	Count   *int          `placeholder:"N" help:"Send the message N times, with ids of their own, and print a summary."`
	Rate    float64       `placeholder:"R" help:"At most R messages a second. Default: as fast as answers come."`
	File    string        `placeholder:"FILE" type:"existingfile" help:"Send the downstream messages of this file, a JSON object a line, instead of one made of flags. Nothing is sent if a line is wrong."`
	Timeout time.Duration `default:"30s" help:"Give each message up after this time."`
	Trace   bool          `help:"Print every stanza to stderr, without tokens and payloads."`
	JSON    bool          `name:"json" help:"Print one JSON object a line."`
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

// sendAhead is how many messages are handed over beyond the window, so that
// the time that each one waits counts little against its timeout.
const sendAhead = 100

// A sending is one run of send.
type sending struct {
	cmd  *sendCmd
	env  *env
	pool *ccsclient.Pool
	bar  *progress

	mu      sync.Mutex // guards what follows, and stdout
	sum     sendSummary
	failure error // why the last attempt to connect failed
	refused error // the credentials were refused: no use to go on
	stop    context.CancelFunc
}

func (c *sendCmd) Run(e *env) error {
	source, total, err := c.messages()
	if err != nil {
		return err
	}
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return err
	}
	if c.Timeout <= 0 || c.Rate < 0 {
		return usage("--timeout must be positive, --rate not negative")
	}
	s := &sending{cmd: c, env: e, bar: newProgress(e.stderr, total, "sending")}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	s.stop = stop
	opt := &ccsclient.Options{TLS: tlsConfig, MaxWaiting: sendAhead, Events: &ccsclient.Events{
		ReconnectFailed: s.noteFailure,
		Authenticated:   func(ccsclient.Stream) { s.noteFailure(nil) },
	}}
	if c.Trace {
		opt.Trace = e.printTrace
	}
	if s.pool, err = ccsclient.NewPool(c.Endpoint, cred, opt); err != nil {
		return &exitError{exitUsage, err}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.pool.Run(context.Background()) // Shutdown and Close end it
	}()
	began := time.Now()
	err = s.sendAll(ctx, source)
	if s.sum.Unknown > 0 {
		s.pool.Close()
	} else {
		bye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_ = s.pool.Shutdown(bye) // every message has its answer
		cancel()
	}
	<-ended
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
	case s.sum.Acked < s.sum.Sent:
		return &exitError{code: exitFailed}
	}
	return nil
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

// sendAll hands every message over and waits for the answers.
func (s *sending) sendAll(ctx context.Context, source func() (*ccs.Downstream, error)) error {
	var left sync.WaitGroup
	defer left.Wait()
	var tick <-chan time.Time
	if s.cmd.Rate > 0 {
		t := time.NewTicker(time.Duration(float64(time.Second) / s.cmd.Rate))
		defer t.Stop()
		tick = t.C
	}
	for first := true; ; first = false {
		m, err := source()
		if m == nil || err != nil {
			return err
		}
		if tick != nil && !first {
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		one, cancel := context.WithTimeout(ctx, s.cmd.Timeout)
		left.Add(1)
		s.mu.Lock()
		s.sum.Sent++
		s.mu.Unlock()
		done := func(a ccsclient.Answer, err error) {
			defer left.Done()
			defer cancel()
			s.answered(a, err)
		}
		if err := s.pool.SendFunc(one, m, done); err != nil {
			done(ccsclient.Answer{Message: m}, err)
		}
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
		l.Answer, l.ErrorDescription = "unknown", s.why(err)
		s.sum.Unknown++
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
	s.bar.clear()
	s.print(l, words)
	s.bar.step()
}

// why says in a sentence why a message has no answer. Called with mu held.
func (s *sending) why(err error) string {
	switch {
	case errors.Is(err, ccsclient.ErrOutcomeUnknown):
		return "written, but the answer did not come in time; it may have been delivered"
	case s.refused != nil:
		return "not sent: " + s.refused.Error()
	case s.failure != nil:
		return "not sent: " + s.failure.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "not sent: no connection and no room within " + s.cmd.Timeout.String()
	case errors.Is(err, context.Canceled):
		return "not sent: interrupted"
	}
	return "not sent: " + err.Error()
}

// print writes a line, as JSON or in words.
func (s *sending) print(v any, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd.JSON {
		_ = json.NewEncoder(s.env.stdout).Encode(v)
	} else {
		fmt.Fprintln(s.env.stdout, words)
	}
}

func round(x float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	return r
}

// messages checks what is to be sent, all of it, before anything is. It returns
// a source that ends with nil, and how many there are.
func (c *sendCmd) messages() (func() (*ccs.Downstream, error), int, error) {
	if c.File != "" {
		if c.To != "" || c.Condition != "" || len(c.Data) > 0 || c.Count != nil {
			return nil, 0, usage("--file excludes --to, --condition, --data and --count: its lines say it all")
		}
		return fileMessages(c.File)
	}
	m, err := c.message()
	if err != nil {
		return nil, 0, err
	}
	n := 1
	if c.Count != nil {
		if n = *c.Count; n < 1 {
			return nil, 0, usage("--count is %d: give at least 1", n)
		}
	}
	next := 0
	return func() (*ccs.Downstream, error) {
		if next == n {
			return nil, nil
		}
		next++
		one := *m
		switch {
		case c.MessageID == "":
			one.MessageID = ccs.NewMessageID()
		case c.Count != nil:
			one.MessageID = ccs.MessageID(fmt.Sprintf("%s-%d", c.MessageID, next))
		}
		return &one, nil
	}, n, nil
}

// message makes the message of the flags.
func (c *sendCmd) message() (*ccs.Downstream, error) {
	m := &ccs.Downstream{
		To: ccs.RegistrationToken(c.To), Condition: c.Condition, MessageID: ccs.MessageID(c.MessageID),
		CollapseKey: ccs.CollapseKey(c.CollapseKey), Priority: ccs.Priority(c.Priority),
		DeliveryReceiptRequested: c.Receipt, DryRun: c.DryRun, Data: c.Data, Notification: c.Notification,
	}
	if m.To == "" && m.Condition == "" {
		return nil, usage("whom to? Give --to, --condition or --file")
	}
	if c.TTL != "" {
		ttl, err := time.ParseDuration(c.TTL)
		if n, err2 := strconv.ParseInt(c.TTL, 10, 32); err2 == nil {
			ttl, err = time.Duration(n)*time.Second, nil
		}
		if err != nil {
			return nil, usage("--ttl %q is neither a duration such as 60s nor a number of seconds", c.TTL)
		}
		m.TTL = &ttl
	}
	check := *m
	if check.MessageID == "" {
		check.MessageID = "checked"
	}
	if err := check.Validate(); err != nil {
		return nil, usage("%v", err)
	}
	return m, nil
}
