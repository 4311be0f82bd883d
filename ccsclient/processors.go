package ccsclient

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"penstock/ccs"
)

// The actions that [Processors] know by themselves: values of the key "action"
// in an upstream message's data.
const (
	ActionEcho     = "ECHO"     // the data goes back to the device that sent it
	ActionMessage  = "MESSAGE"  // the data goes to the token in its key "recipient"
	ActionRegister = "REGISTER" // the program's Registrar hears of the device
)

// A Registrar hears of a device that registered. Nil answers the device with
// {"action":"REGISTER","status":"ok"}; an error is reported, and the device
// hears nothing.
type Registrar func(ctx context.Context, token ccs.RegistrationToken, category ccs.Category, data map[string]string) error

// Processors handle upstream messages by their key "action", as the app
// servers of old did. The zero value knows ECHO and MESSAGE.
type Processors struct {
	// Registrar serves REGISTER; nil: the action is unknown.
	Registrar Registrar
	// Actions adds processors by action, or replaces those of this package.
	Actions map[string]UpstreamHandler
	// Only, if not empty, names the actions that are served; others are unknown.
	Only []string
	// Unknown is told of messages whose action is missing or unknown. They are
	// acked. Nil: the handler's error says so, and [Events.Handled] reports it.
	Unknown func(m *ccs.Upstream, action string)
}

// An UnknownActionError says that nobody serves the action of an upstream
// message; an empty one is missing.
type UnknownActionError struct{ Action string }

func (e *UnknownActionError) Error() string {
	if e.Action == "" {
		return `the upstream message has no "action"`
	}
	return fmt.Sprintf("no processor for action %q", e.Action)
}

// Handler is the [UpstreamHandler] of these processors. p must not be changed
// afterwards.
func (p *Processors) Handler() UpstreamHandler {
	actions := map[string]UpstreamHandler{ActionEcho: echo, ActionMessage: forward}
	if p.Registrar != nil {
		actions[ActionRegister] = p.register
	}
	maps.Copy(actions, p.Actions)
	if len(p.Only) > 0 {
		only := make(map[string]UpstreamHandler, len(p.Only))
		for _, action := range p.Only {
			if h := actions[action]; h != nil {
				only[action] = h
			}
		}
		actions = only
	}
	return func(ctx context.Context, out Sender, m *ccs.Upstream) error {
		action := m.Data["action"]
		if h := actions[action]; h != nil {
			return h(ctx, out, m)
		}
		if p.Unknown != nil {
			p.Unknown(m, action)
			return nil
		}
		return &UnknownActionError{Action: action}
	}
}

// echo sends the data back.
func echo(ctx context.Context, out Sender, m *ccs.Upstream) error {
	return reply(ctx, out, m.From, m.Data)
}

// forward sends the data to the token in its key "recipient".
func forward(ctx context.Context, out Sender, m *ccs.Upstream) error {
	to := m.Data["recipient"]
	if to == "" {
		return fmt.Errorf(`the upstream message %s has no "recipient"`, m.MessageID)
	}
	return reply(ctx, out, ccs.RegistrationToken(to), m.Data)
}

func (p *Processors) register(ctx context.Context, out Sender, m *ccs.Upstream) error {
	if err := p.Registrar(ctx, m.From, m.Category, m.Data); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return reply(ctx, out, m.From, map[string]string{"action": ActionRegister, "status": "ok"})
}

func reply(ctx context.Context, out Sender, to ccs.RegistrationToken, data map[string]string) error {
	_, err := out.Send(ctx, &ccs.Downstream{To: to, MessageID: ccs.NewMessageID(), Data: data})
	if errors.Is(err, ErrClosed) {
		// The pool is being shut down: left unacked, the message comes again
		// to whoever is there next.
		return fmt.Errorf("%w: %w", ErrTryAgain, err)
	}
	return err
}
