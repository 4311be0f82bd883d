package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/ccs"
	"penstock/ccsclient"
)

// listenCmd is `penstock listen`: what devices send, line by line, until a
// signal comes.
type listenCmd struct {
	connectFlags `embed:""`

	Processor   []string          `placeholder:"NAME" help:"Answer messages by the \"action\" in their data, as the app servers of old did: echo, message, register. Several with commas."`
	Exec        string            `placeholder:"CMD" help:"Run this command by /bin/sh for each message, its line of JSON on stdin. Exit 0: handled. 75: try again. Any other: failed for good."`
	ExecTimeout time.Duration     `name:"exec-timeout" default:"5m" help:"End a command that takes longer, as if it had asked to be tried again."`
	Grace       time.Duration     `default:"10s" help:"After the first signal, how long the command under way may take to end."`
	SendFirst   map[string]string `name:"send-first" mapsep:"none" placeholder:"K=V" help:"Begin by sending one message with this entry of data to --to; repeat it for more."`
	To          string            `placeholder:"TOKEN" help:"Where --send-first goes: a registration token, notification key, or /topics/NAME."`
	Trace       bool              `help:"Print every stanza to stderr, without tokens and payloads."`
	JSON        bool              `name:"json" help:"Print each message and receipt as one JSON object on a line."`
}

// Help is what --help says between the summary and the flags.
func (c *listenCmd) Help() string {
	return `One line is printed for each upstream message and each receipt. It is acked after its line is written; with --exec after the command exits 0. What was not acked comes again, to this program or the next: then "redelivered" is true if this run has printed it before, and no command is run for it again. Messages are handled one after the other, in the order in which they came, and receipts likewise, beside them. Refused credentials end the command at once; any other trouble is tried again for ever.

Examples, with the values that "penstock sim" printed:

  export PENSTOCK_ENDPOINT=127.0.0.1:5235 PENSTOCK_CA_FILE=/tmp/sim/ca.pem
  export PENSTOCK_SENDER_ID=123456789 PENSTOCK_KEY_FILE=/tmp/key
  penstock listen
  penstock listen --json --processor echo,message,register
  penstock listen --exec 'jq -r .data.text >> texts' --send-first hello=world --to TOKEN

A device writes, in another terminal:

  curl $CONTROL/devices/$TOKEN/upstream -d '{"data":{"action":"ECHO"}}'

The command of --exec gets nothing of the message but its stdin, so that no message can say what is run. What it prints goes to stderr; it has this program's environment, without PENSTOCK_KEY. Exit 75 leaves the message unacked; it is run again after 1, 2, 4, 8 and 16 s, while later ones wait, and has then failed for good. What has failed for good is acked, told on stderr, and makes the exit code 1 in the end.

SIGTERM and Ctrl-C take no new message, let the command under way end within --grace, and close the stream in order.`
}

// listenBye bounds the way out behind the last handler: answers to what was
// sent, and the stream's end.
const listenBye = 5 * time.Second

func (c *listenCmd) Run(e *env) error {
	cred, err := c.credentials(e.given)
	if err != nil {
		return err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return err
	}
	return c.listen(e, cred, &ccsclient.Options{TLS: tlsConfig})
}

// check refuses wrong use, and makes the first message; nil if there is none.
func (c *listenCmd) check(given map[string]bool) (*ccs.Downstream, error) {
	for _, name := range c.Processor {
		if !slices.Contains([]string{"echo", "message", "register"}, name) {
			return nil, usage("--processor %q: there are echo, message and register", name)
		}
	}
	switch {
	case c.ExecTimeout <= 0:
		return nil, usage("--exec-timeout is %v: give a positive duration such as 5m", c.ExecTimeout)
	case c.Grace < 0:
		return nil, usage("--grace is %v: give 0 or more, such as 10s", c.Grace)
	case len(c.SendFirst) == 0 && given["to"]:
		return nil, usage("--to is for --send-first: give both")
	case len(c.SendFirst) == 0:
		return nil, nil
	case c.To == "":
		return nil, usage("--send-first to whom? Give --to")
	}
	m := &ccs.Downstream{To: ccs.RegistrationToken(c.To), MessageID: ccs.NewMessageID(), Data: c.SendFirst}
	if err := m.Validate(); err != nil {
		return nil, usage("%v", err)
	}
	return m, nil
}

// A listening is one run of listen.
type listening struct {
	cmd        *listenCmd
	env        *env
	processors ccsclient.UpstreamHandler
	served     map[string]bool // actions of the processors

	ctx  context.Context // ends when nothing new is handled any more
	stop context.CancelCauseFunc
	// commands ends when the command under way has had its time; kill ends it.
	commands context.Context
	kill     context.CancelFunc

	out sync.Mutex // guards stdout
	err sync.Mutex // guards stderr

	mu     sync.Mutex // guards what follows
	works  map[workKey]*work
	failed int           // messages that failed for good
	idle   chan struct{} // not nil: somebody waits until no work is busy; closed then
	// connected: a stream stood once.
	connected bool
}

// listen does all that is left when the flags are read; opt has the
// connection's part of the options.
func (c *listenCmd) listen(e *env, cred ccsclient.Credentials, opt *ccsclient.Options) error {
	first, err := c.check(e.given)
	if err != nil {
		return err
	}
	l := &listening{cmd: c, env: e, works: make(map[workKey]*work), served: make(map[string]bool)}
	var only []string
	for _, name := range c.Processor {
		only = append(only, strings.ToUpper(name))
		l.served[strings.ToUpper(name)] = true
	}
	l.processors = (&ccsclient.Processors{Only: only, Registrar: registered}).Handler()
	l.ctx, l.stop = context.WithCancelCause(e.ctx)
	defer l.stop(nil)
	l.commands, l.kill = context.WithCancel(context.Background())
	defer l.kill()
	opt.Upstream, opt.Receipts, opt.Repeats = l.upstream, l.receipt, true
	opt.ReconnectSpread = -1 // one client, and somebody watches it
	opt.Events = l.events()
	if c.Trace {
		opt.Trace = func(t ccsclient.Trace) {
			l.err.Lock()
			defer l.err.Unlock()
			e.printTrace(t)
		}
	}
	pool, err := ccsclient.NewPool(c.Endpoint, cred, opt)
	if err != nil {
		return usage("%w", err)
	}
	done := make(chan struct{}) // every goroutine of this run has ended
	var all sync.WaitGroup
	all.Go(func() { _ = pool.Run(context.Background()) }) // Shutdown and Close end it
	if first != nil {
		all.Go(func() { l.sendFirst(pool, first) })
	}
	<-l.ctx.Done()
	go func() {
		defer close(done)
		l.leave(pool)
		all.Wait()
	}()
	limit := time.NewTimer(c.Grace + killAfter + 2*listenBye)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		// Whoever reads stdout takes nothing: a write there cannot be broken off.
		return errors.New("stdout takes nothing: what was not written is not acked, and will come again")
	}
	cause := context.Cause(l.ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !errors.Is(cause, context.Canceled):
		return cause
	case l.failed > 0:
		return &exitError{code: exitFailed}
	case !l.connected:
		return &exitError{code: exitNotTried, err: errors.New("there was no connection until the end")}
	}
	return nil
}

// registered serves REGISTER: the device's line on stdout is all that becomes
// of it here.
func registered(context.Context, ccs.RegistrationToken, ccs.Category, map[string]string) error {
	return nil
}

// leave ends the work in order: the handlers under way, within their time,
// then the streams.
func (l *listening) leave(pool *ccsclient.Pool) {
	grace := time.NewTimer(l.cmd.Grace)
	defer grace.Stop()
	idle := l.whenIdle()
	select {
	case <-idle:
	default:
		l.say("ending: what is under way may take %v, a second signal ends it at once", l.cmd.Grace)
	}
	select {
	case <-idle:
	case <-grace.C:
		l.kill()
		end := time.NewTimer(killAfter + listenBye)
		defer end.Stop()
		select {
		case <-idle:
		case <-end.C: // it is stdout that is stuck, no command
		}
	}
	if len(pool.State().Streams) == 0 {
		pool.Close() // no answer will come
		return
	}
	bye, cancel := context.WithTimeout(context.Background(), listenBye)
	defer cancel()
	_ = pool.Shutdown(bye) // who sent something learns by itself
}

func (l *listening) events() *ccsclient.Events {
	return &ccsclient.Events{
		Authenticated: func(s ccsclient.Stream) {
			l.mu.Lock()
			l.connected = true
			l.mu.Unlock()
			l.say("listening on %s as %s, stream %s", s.Address, s.JID, s.ID)
		},
		Draining: func(s ccsclient.Stream) { l.say("stream %s is draining, the next one is being opened", s.ID) },
		Closed: func(s ccsclient.Stream, err error) {
			if err != nil && l.ctx.Err() == nil {
				l.say("stream %s ended: %v", s.ID, err)
			}
		},
		ReconnectFailed: func(err error) {
			switch {
			case l.ctx.Err() != nil:
			case errors.As(err, new(*ccsclient.CredentialsError)):
				l.stop(err) // nothing gets better by waiting
			default:
				l.say("no connection: %v", err)
			}
		},
		ReconnectingIn: func(d time.Duration) {
			if l.ctx.Err() == nil {
				l.say("connecting again in %v", d.Round(100*time.Millisecond))
			}
		},
		Handled: l.handled,
		Odd:     func(s ccsclient.Stream, what string) { l.say("ignored on stream %s: %q", s.ID, what) },
	}
}

// say tells people something, in either mode.
func (l *listening) say(format string, args ...any) {
	l.err.Lock()
	defer l.err.Unlock()
	fmt.Fprintf(l.env.stderr, "penstock: "+format+"\n", args...)
}

func (l *listening) sendFirst(pool *ccsclient.Pool, m *ccs.Downstream) {
	_, err := pool.Send(context.Background(), m) // the pool's end ends it
	if err == nil {
		l.say("the first message %s to %s is acked", m.MessageID, m.To.Redacted())
		return
	}
	l.say("the first message: %v", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
}

// print writes a line whole, or says why not.
func (l *listening) print(line *listenLine) error {
	text := line.words()
	if l.cmd.JSON {
		b, err := json.Marshal(line)
		if err != nil {
			return err
		}
		text = string(b)
	}
	l.out.Lock()
	defer l.out.Unlock()
	_, err := io.WriteString(l.env.stdout, text+"\n")
	return err
}
