package ccsclient_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"penstock/ccs"
	"penstock/ccsclient"
)

// data is what the client's next stanza, a downstream message, carries.
func (st *stream) data(to string) (id, data string) {
	st.t.Helper()
	m := st.payload()
	if m["to"] != to || m["message_type"] != nil {
		st.t.Fatalf("%v, want a message to %s", m, to)
	}
	return m["message_id"].(string), fmt.Sprint(m["data"])
}

// processed plays with a pool whose upstream goes to p's handler; what is told
// by Events.Handled comes through told.
func processed(t *testing.T, p *ccsclient.Processors, f func(t *testing.T, st *stream, told *list[error])) {
	t.Helper()
	play(t, func(t *testing.T, srv *server) {
		var told list[error]
		_, st := srv.bound(func(o *ccsclient.Options) {
			o.Upstream = p.Handler()
			o.Events.Handled = func(_ ccs.FromServer, err error) { told.add(err) }
		})
		f(t, st, &told)
	})
}

func action(data string) string {
	return `{"from":"device","message_id":"u-1","category":"com.example.app","data":{` + data + `}}`
}

func TestProcessorsEchoForwardAndRegister(t *testing.T) {
	t.Run("ECHO goes back to the device", func(t *testing.T) {
		processed(t, &ccsclient.Processors{}, func(t *testing.T, st *stream, told *list[error]) {
			st.device(action(`"action":"ECHO","k":"v"`))
			id, data := st.data("device")
			if data != "map[action:ECHO k:v]" {
				t.Errorf("the data is %s", data)
			}
			st.wantQuiet() // acked when the answer is on its way
			st.ack(id)
			st.wantAck("device", "u-1")
			if got := told.take(); len(got) != 1 || got[0] != nil {
				t.Errorf("told %v", got)
			}
		})
	})
	t.Run("MESSAGE goes to its recipient", func(t *testing.T) {
		processed(t, &ccsclient.Processors{}, func(t *testing.T, st *stream, told *list[error]) {
			st.device(action(`"action":"MESSAGE","recipient":"other","k":"v"`))
			id, data := st.data("other")
			if data != "map[action:MESSAGE k:v recipient:other]" {
				t.Errorf("the data is %s", data)
			}
			st.nack(id, ccs.CodeDeviceUnregistered, "gone")
			st.wantAck("device", "u-1") // it has failed for good
			got := told.take()
			if nack, ok := errors.AsType[*ccs.NackError](errors.Join(got...)); !ok || nack.Code != ccs.CodeDeviceUnregistered {
				t.Errorf("told %v", got)
			}
		})
	})
	t.Run("MESSAGE without recipient is acked and reported", func(t *testing.T) {
		processed(t, &ccsclient.Processors{}, func(t *testing.T, st *stream, told *list[error]) {
			st.device(action(`"action":"MESSAGE"`))
			st.wantAck("device", "u-1")
			if got := told.take(); len(got) != 1 || got[0] == nil || got[0].Error() != `the upstream message u-1 has no "recipient"` {
				t.Errorf("told %v", got)
			}
		})
	})
	t.Run("REGISTER answers the device", func(t *testing.T) {
		var heard string
		processed(t, &ccsclient.Processors{
			Registrar: func(_ context.Context, token ccs.RegistrationToken, category ccs.Category, data map[string]string) error {
				heard = fmt.Sprint(string(token), " ", category, " ", data)
				return nil
			},
		}, func(t *testing.T, st *stream, _ *list[error]) {
			st.device(action(`"action":"REGISTER","account":"a@b"`))
			id, data := st.data("device")
			if data != "map[action:REGISTER status:ok]" {
				t.Errorf("the data is %s", data)
			}
			st.ack(id)
			st.wantAck("device", "u-1")
			if heard != "device com.example.app map[account:a@b action:REGISTER]" {
				t.Errorf("the registrar heard %q", heard)
			}
		})
	})
	t.Run("REGISTER that fails is acked, reported and not answered", func(t *testing.T) {
		full := errors.New("the table is full")
		processed(t, &ccsclient.Processors{
			Registrar: func(context.Context, ccs.RegistrationToken, ccs.Category, map[string]string) error { return full },
		}, func(t *testing.T, st *stream, told *list[error]) {
			st.device(action(`"action":"REGISTER"`))
			st.wantAck("device", "u-1")
			st.wantQuiet()
			if got := told.take(); len(got) != 1 || !errors.Is(got[0], full) {
				t.Errorf("told %v", got)
			}
		})
	})
}

func TestUnknownAndMissingActionsAreAckedAndReported(t *testing.T) {
	for name, c := range map[string]struct {
		p            ccsclient.Processors
		data, action string
	}{
		"unknown":                    {ccsclient.Processors{}, `"action":"DANCE"`, "DANCE"},
		"missing":                    {ccsclient.Processors{}, `"k":"v"`, ""},
		"of another case":            {ccsclient.Processors{}, `"action":"echo"`, "echo"},
		"REGISTER without registrar": {ccsclient.Processors{}, `"action":"REGISTER"`, "REGISTER"},
		"not among those served":     {ccsclient.Processors{Only: []string{"MESSAGE", "NONE"}}, `"action":"ECHO"`, "ECHO"},
	} {
		t.Run(name, func(t *testing.T) {
			processed(t, &c.p, func(t *testing.T, st *stream, told *list[error]) {
				st.device(action(c.data))
				st.wantAck("device", "u-1")
				st.wantQuiet()
				got := told.take()
				if unknown, ok := errors.AsType[*ccsclient.UnknownActionError](errors.Join(got...)); !ok || unknown.Action != c.action || unknown.Error() == "" {
					t.Errorf("told %v", got)
				}
			})
			var heard list[string]
			p := c.p
			p.Unknown = func(m *ccs.Upstream, action string) { heard.add(string(m.MessageID) + " " + action) }
			processed(t, &p, func(t *testing.T, st *stream, told *list[error]) {
				st.device(action(c.data))
				st.wantAck("device", "u-1")
				if got := heard.take(); len(got) != 1 || got[0] != "u-1 "+c.action {
					t.Errorf("Unknown heard %q", got)
				}
				if got := told.take(); len(got) != 1 || got[0] != nil {
					t.Errorf("told %v", got)
				}
			})
		})
	}
}

func TestProcessorsOfOnesOwn(t *testing.T) {
	var heard list[string]
	own := func(name string) ccsclient.UpstreamHandler {
		return func(_ context.Context, _ ccsclient.Sender, m *ccs.Upstream) error {
			heard.add(name + " " + m.Data["action"])
			return nil
		}
	}
	processed(t, &ccsclient.Processors{
		Actions: map[string]ccsclient.UpstreamHandler{"DANCE": own("dance"), "ECHO": own("mine")},
		Only:    []string{"DANCE", "ECHO"},
	}, func(t *testing.T, st *stream, _ *list[error]) {
		for i, a := range []string{"DANCE", "ECHO"} {
			st.device(`{"from":"device","message_id":"` + string(nth(i)) + `","data":{"action":"` + a + `"}}`)
			st.wantAck("device", string(nth(i)))
		}
		if got := fmt.Sprint(heard.take()); got != "[dance DANCE mine ECHO]" {
			t.Errorf("heard %s", got)
		}
	})
}

func TestAReplyThatAShutdownRefusesLeavesTheMessageUnacked(t *testing.T) {
	play(t, func(t *testing.T, srv *server) {
		let := make(chan struct{})
		processors := ccsclient.Processors{Registrar: func(context.Context, ccs.RegistrationToken, ccs.Category, map[string]string) error {
			<-let
			return nil
		}}
		p, st := srv.bound(func(o *ccsclient.Options) { o.Upstream = processors.Handler() })
		r := p.send("m-1") // holds the shutdown up
		st.want("m-1")
		st.device(action(`"action":"REGISTER"`))
		shut := make(chan error, 1)
		go func() { shut <- p.Shutdown(t.Context()) }()
		synctest.Wait()
		close(let)
		st.wantQuiet() // neither a reply nor an ack: the message will come again
		st.ack("m-1")
		r.wantAcked()
		st.wantGoodbye()
		if err := <-shut; err != nil {
			t.Error(err)
		}
	})
}
