package ccsserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
)

func TestS30_MessageStanzasInEveryForm(t *testing.T) {
	const open, payload = `<gcm xmlns="google:mobile:data">`, `{"to":"` + token + `","message_id":"m-1"}`
	for name, stanza := range map[string]string{
		"without attributes":              `<message>` + open + payload + `</gcm></message>`,
		"with an empty id":                `<message id="">` + open + payload + `</gcm></message>`,
		"with Smack's id":                 `<message id='U0Dfp-7'>` + open + payload + `</gcm></message>`,
		"with aioxmpp's id":               `<message id=":P7pCLm-x">` + open + payload + `</gcm></message>`,
		"of type normal":                  `<message type="normal">` + open + payload + `</gcm></message>`,
		"of type chat":                    `<message type="chat" id="1">` + open + payload + `</gcm></message>`,
		"with a to and a from":            `<message to="devices@gcm.googleapis.com" from="x@y/z">` + open + payload + `</gcm></message>`,
		"with a to that is no JID":        `<message to="a b &amp; c" from="@@">` + open + payload + `</gcm></message>`,
		"with the namespace again":        `<message xmlns="jabber:client" type="normal" id="1">` + open + payload + `</gcm></message>`,
		"with single quotes":              `<message xmlns='jabber:client'><gcm xmlns='google:mobile:data'>` + payload + `</gcm></message>`,
		"with a prefixed payload":         `<message><data:gcm xmlns:data="google:mobile:data">` + payload + `</data:gcm></message>`,
		"with a prefix from outside":      `<message xmlns:x="google:mobile:data"><x:gcm>` + payload + `</x:gcm></message>`,
		"with a newline behind it":        `<message>` + open + payload + "</gcm></message>\n",
		"with white space all over":       "\n <message\n id = '1' >\n" + open + " \n" + payload + "\n</gcm >\n</message >\n",
		"with other children around":      `<message><body>hello</body>` + open + payload + `</gcm><x xmlns="y"/></message>`,
		"with a prefix on the stanza too": `<c:message xmlns:c="jabber:client">` + open + payload + `</gcm></c:message>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza)
				p.want(acked("m-1"))
				p.wantQuiet()
			})
		})
	}
}

func TestS31_EachDownstreamGetsOneAnswerOnItsOwnStream(t *testing.T) {
	t.Run("acks, nacks and error stanzas, and nothing else", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p, other := srv.bind(t), srv.bind(t)
			srv.handle(func(r *ccsserver.Request) {
				if r.Message.MessageID == "m-2" {
					r.Answer(nil, &ccs.NackError{Code: ccs.CodeDeviceUnregistered})
					return
				}
				r.Answer(nil, nil)
			})
			p.write(downstream("m-1"), downstream("m-2"), stanza(`{"to":"x"}`), downstream("m-3"))
			p.want(acked("m-1"), nacked("m-2", "DEVICE_UNREGISTERED", "The registration token is no longer valid"))
			if s := p.next(); !strings.Contains(s, `type="error"`) {
				t.Errorf("a message without id was answered by %s", s)
			}
			p.want(acked("m-3"))
			time.Sleep(59 * time.Second)
			p.wantQuiet()
			other.wantQuiet()
		})
	})
	t.Run("only the first verdict counts", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"), downstream("m-2"))
			first, second := srv.take(t), srv.take(t)
			first.Answer(nil, nil)
			first.Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
			second.Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
			second.Answer(nil, nil)
			p.want(acked("m-1"), nacked("m-2", "BAD_REGISTRATION", "The registration token is malformed"))
			p.wantQuiet()
			p.write(downstream("m-2")) // a nacked id is open, whatever was said later
			srv.take(t).Answer(nil, nil)
			p.want(acked("m-2"))
			p.wantQuiet()
		})
	})
	t.Run("verdicts out of order", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			p := srv.bind(t)
			p.write(downstream("m-1"), downstream("m-2"), downstream("m-3"))
			a, b, c := srv.take(t), srv.take(t), srv.take(t)
			c.Answer(nil, nil)
			p.want(acked("m-3"))
			a.Answer(nil, nil)
			p.want(acked("m-1"))
			b.Answer(nil, nil)
			p.want(acked("m-2"))
		})
	})
	t.Run("each stream reads the answers to its own messages", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			a, b := srv.bind(t), srv.bind(t)
			a.write(downstream("m-a"))
			ra := srv.take(t)
			b.write(downstream("m-b"))
			rb := srv.take(t)
			if ra.Stream != a.id || rb.Stream != b.id {
				t.Errorf("brought by %s and %s, want %s and %s", ra.Stream, rb.Stream, a.id, b.id)
			}
			rb.Answer(nil, nil)
			a.wantQuiet()
			b.want(acked("m-b"))
			ra.Answer(nil, nil)
			a.want(acked("m-a"))
			b.wantQuiet()
		})
	})
	t.Run("the verdict of a stream that is gone is written nowhere", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			srv.hold()
			a, b := srv.bind(t), srv.bind(t)
			a.write(downstream("m-1"))
			r := srv.take(t)
			a.cut()
			a.wait()
			r.Answer(nil, nil)
			b.wantQuiet()
			b.write(downstream("m-1"))
			b.want(acked("m-1"))
			srv.wantHandedOn(t, 1)
		})
	})
	t.Run("a verdict that is on its way while the handler returns leaves at once", func(t *testing.T) {
		// The reader lets leave what was answered before it waits for input.
		// This answer comes behind that, from one who began before it.
		synctest.Test(t, func(t *testing.T) {
			begun, goOn := make(chan struct{}), make(chan struct{})
			hand := ccsserver.HandlerFunc(func(r *ccsserver.Request) {
				go r.Answer(nil, errors.New("x"))
				<-begun
			})
			srv, err := ccsserver.New(hand, everybody, &ccsserver.Options{ClearText: true, Events: &ccsserver.Events{
				Failed: func(ccs.SenderID, *ccs.Downstream, error) { begun <- struct{}{}; <-goOn },
			}})
			if err != nil {
				t.Fatal(err)
			}
			ln := newListener()
			go srv.Serve(ln)
			t.Cleanup(func() { srv.Close() })
			p := (&server{Server: srv, ln: ln}).bind(t)
			p.write(downstream("m-1"))
			p.wantQuiet() // the handler has returned, and the reader waits
			close(goOn)
			p.want(nacked("m-1", "INTERNAL_SERVER_ERROR", textInternal))
		})
	})
}

func TestS32_AnswersHaveNoAttributes(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		for _, attrs := range []string{``, ` id=""`, ` id="x"`, ` id="x" type="normal" to="devices@gcm.googleapis.com"`} {
			p.write(`<message` + attrs + `><gcm xmlns="google:mobile:data">{"to":"T","message_id":"m` + fmt.Sprint(len(attrs)) + `"}</gcm></message>`)
			p.want(`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"T","message_id":"m` + fmt.Sprint(len(attrs)) + `"}</data:gcm></message>`)
			p.write(`<message` + attrs + `><gcm xmlns="google:mobile:data">{"message_id":"m-2"}</gcm></message>`)
			p.want(`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"unknown","message_id":"m-2","error":"INVALID_JSON","error_description":`)
			p.skip()
		}
		// What the app server named itself comes back escaped for JSON and XML.
		p.write(`<message><gcm xmlns="google:mobile:data">{"condition":"'a' in topics &amp;&amp; 'b' in topics","message_id":"&lt;\"&#xE9;\u0001>"}</gcm></message>`)
		p.want(`<message><data:gcm xmlns:data="google:mobile:data">`)
		var got map[string]string
		text := strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(strings.TrimSuffix(p.came(), `</data:gcm></message>`))
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if got["from"] != "'a' in topics && 'b' in topics" || got["message_id"] != "<\"é\x01>" || got["message_type"] != "ack" || len(got) != 3 {
			t.Errorf("got %q", got)
		}
		p.skip()
	})
}

var codes = []ccs.Code{
	ccs.CodeInvalidJSON, ccs.CodeBadRegistration, ccs.CodeDeviceUnregistered, ccs.CodeSenderIDMismatch, ccs.CodeBadAck,
	ccs.CodeServiceUnavailable, ccs.CodeInternalServerError, ccs.CodeDeviceMessageRateExceeded,
	ccs.CodeTopicsMessageRateExceeded, ccs.CodeConnectionDraining, ccs.CodeInvalidAPNSCredential,
	ccs.CodeAuthenticationFailed, ccs.CodeQuotaExceeded,
}

func TestS33_EveryFieldOfANackIsFilled(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		for i, code := range codes {
			srv.refuse(&ccs.NackError{Code: code})
			id := fmt.Sprint("m-", i)
			p.write(downstream(id))
			p.want(nacked(id, code, code.Sentence()))
			if code.Sentence() == "" {
				t.Errorf("%s has no sentence", code)
			}
		}
		srv.refuse(&ccs.NackError{Code: ccs.CodeBadRegistration, Description: "Invalid token on 'to' field: x"})
		p.write(downstream("m-a"))
		p.want(nacked("m-a", "BAD_REGISTRATION", "Invalid token on 'to' field: x"))
		srv.refuse(&ccs.NackError{})
		p.write(downstream("m-b"))
		p.want(nacked("m-b", "INTERNAL_SERVER_ERROR", "Unknown error code"))

		// Nacks of the server's own, where the message lacks what they need.
		for _, bad := range []string{`{"message_id":"m-c"}`, `{"message_id":7}`, `{"message_type":"ack"}`, `{"message_type":"nack"}`, `{"to":"","message_id":"m-d"}`} {
			p.write(stanza(bad))
			text, ok := strings.CutPrefix(p.next(), `<message><data:gcm xmlns:data="google:mobile:data">`)
			var nack map[string]any
			if err := json.Unmarshal([]byte(strings.TrimSuffix(text, `</data:gcm></message>`)), &nack); err != nil || !ok {
				t.Fatalf("%s was answered by %s: %v", bad, text, err)
			}
			for _, field := range []string{"from", "message_id", "error", "error_description"} {
				if s, ok := nack[field].(string); !ok || s == "" {
					t.Errorf("%s: %s is %v", bad, field, nack[field])
				}
			}
			if nack["message_type"] != "nack" || len(nack) != 5 {
				t.Errorf("%s was answered by %v", bad, nack)
			}
		}
	})
}

func TestS34_TheMessageIDIsEchoedAsAString(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		for _, id := range []string{"39", "m-20261122061642-6981e48d", "AB+/==", "🙂", strings.Repeat("x", 1024)} {
			p.write(downstream(id))
			p.want(acked(id))
		}
		srv.wantHandedOn(t, 5)
		for _, number := range []string{"42", "-1.5e3", "0", "12345678901234567890123"} {
			p.write(stanza(`{"to":"` + token + `","message_id":` + number + `}`))
			p.want(nacked(number, "INVALID_JSON", `InvalidJson: JSON_TYPE_ERROR : Field \"message_id\" must be a JSON java.lang.String: `+number))
		}
		srv.wantHandedOn(t, 5)
	})
}

func TestS35_NoAckBeforeTheMessageIsSafe(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		srv.hold()
		p := srv.bind(t)
		p.write(downstream("m-1"))
		r := srv.take(t)
		p.wantQuiet()
		time.Sleep(11 * time.Second)
		p.wantQuiet()
		r.Answer(nil, nil)
		p.want(acked("m-1"))
	})
}

func TestS36_WhatIsInvalidIsRefusedByTheFieldsName(t *testing.T) {
	for name, tt := range map[string]struct{ json, says string }{
		"no target":                   {`{"message_id":"m-1"}`, `to`},
		"an empty target":             {`{"to":"","message_id":"m-1"}`, `to`},
		"two targets":                 {`{"to":"T","condition":"'a' in topics","message_id":"m-1"}`, `condition`},
		"a target that is no string":  {`{"to":["T"],"message_id":"m-1"}`, `to`},
		"a TTL that is no number":     {`{"to":"T","message_id":"m-1","time_to_live":"abc"}`, `Field "time_to_live" must be a JSON java.lang.Number: abc`},
		"a TTL below zero":            {`{"to":"T","message_id":"m-1","time_to_live":-1}`, `InvalidJson : INVALID_TTL : Invalid value (-1) for "time_to_live": must be between 0 and "2419200"`},
		"a TTL over four weeks":       {`{"to":"T","message_id":"m-1","time_to_live":2419201}`, `time_to_live`},
		"a flag that is no boolean":   {`{"to":"T","message_id":"m-1","dry_run":"yes"}`, `Field "dry_run" must be a JSON java.lang.Boolean: yes`},
		"data that is no object":      {`{"to":"T","message_id":"m-1","data":"x"}`, `data`},
		"a notification of that kind": {`{"to":"T","message_id":"m-1","notification":[]}`, `notification`},
		"a collapse key of that kind": {`{"to":"T","message_id":"m-1","collapse_key":1}`, `collapse_key`},
		"an unknown priority":         {`{"to":"T","message_id":"m-1","priority":"urgent"}`, `priority`},
		"the reserved key from":       {`{"to":"T","message_id":"m-1","data":{"from":"x"}}`, `data`},
		"a reserved key of google's":  {`{"to":"T","message_id":"m-1","data":{"google.x":"x"}}`, `google.x`},
		"a reserved key of gcm's":     {`{"to":"T","message_id":"m-1","data":{"gcm.x":"x"}}`, `gcm.x`},
		"too big":                     {`{"to":"T","message_id":"m-1","data":{"k":"` + strings.Repeat("x", 4096) + `"}}`, `data`},
		"too big with both":           {`{"to":"T","message_id":"m-1","data":{"k":"` + strings.Repeat("x", 2000) + `"},"notification":{"body":"` + strings.Repeat("x", 2100) + `"}}`, `notification`},
		"too big to a topic":          {`{"to":"/topics/x","message_id":"m-1","data":{"k":"` + strings.Repeat("x", 4096) + `"}}`, `data`},
		"eight kilobytes":             {`{"to":"T","message_id":"m-1","data":{"k":"` + strings.Repeat("&quot;", 8100) + `"}}`, ``},
		"an id that is too long":      {`{"to":"T","message_id":"` + strings.Repeat("x", 1025) + `"}`, `message_id`},
		"nesting without end":         {`{"to":"T","message_id":"m-1","x":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, `nest`},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza(tt.json))
				got := p.next()
				if tt.says == "" { // quotes that are real, so no JSON: but the stream lives
					if !strings.Contains(got, `type="error"`) {
						t.Errorf("answered by %s", got)
					}
				} else {
					text := strings.ReplaceAll(got, `\"`, `"`)
					if !strings.HasPrefix(got, `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":`) ||
						!strings.Contains(text, `"error":"INVALID_JSON","error_description":"InvalidJson`) || !strings.Contains(text, tt.says) {
						t.Errorf("answered by %s, want INVALID_JSON and %s", got, tt.says)
					}
				}
				p.write(pingIQ)
				p.want(p.pong())
				srv.wantHandedOn(t, 0)
			})
		})
	}
	t.Run("what is just small enough is taken", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(stanza(`{"to":"` + token + `","message_id":"m-1","time_to_live":2419200,"data":{"k":"` + strings.Repeat("x", 4095) + `"}}`))
			p.want(acked("m-1"))
			p.write(stanza(`{"to":"/topics/x","message_id":"m-2","time_to_live":0,"data":{"k":"` + strings.Repeat("x", 4095) + `"}}`))
			p.want(answer(`{"message_type":"ack","from":"/topics/x","message_id":"m-2"}`))
		})
	})
}

func TestS37_TimeToLiveAsANumberAndAsDigits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`600`: 10 * time.Minute, `"600"`: 10 * time.Minute, `0`: 0, `"0"`: 0, `2419200`: ccs.MaxTTL, `"2419200"`: ccs.MaxTTL, `6e2`: 10 * time.Minute,
	} {
		t.Run(text, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza(`{"to":"` + token + `","message_id":"m-1","time_to_live":` + text + `}`))
				p.want(acked("m-1"))
				if ttl := srv.take(t).Message.TTL; ttl == nil || *ttl != want {
					t.Errorf("handed on %v, want %v", ttl, want)
				}
			})
		})
	}
	t.Run("absent stays absent", func(t *testing.T) {
		play(t, nil, func(t *testing.T, srv *server) {
			p := srv.bind(t)
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			if ttl := srv.take(t).Message.TTL; ttl != nil {
				t.Errorf("handed on %v", *ttl)
			}
		})
	})
}

func TestS38_NumbersAndBooleansBecomeStrings(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		p.write(stanza(`{"to":"` + token + `","message_id":"m-1","data":{"i":100,"f":-1.5e3,"t":true,"f2":false,"o":{"a":[1,"x"]},"s":"s"},"notification":{"badge":3,"title_loc_args":["a","b"],"sound":true}}`))
		p.want(acked("m-1"))
		m := srv.take(t).Message
		if got, want := fmt.Sprint(m.Data), `map[f:-1.5e3 f2:false i:100 o:{"a":[1,"x"]} s:s t:true]`; got != want {
			t.Errorf("data is %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(m.Notification), `map[badge:3 sound:true title_loc_args:["a","b"]]`; got != want {
			t.Errorf("notification is %s, want %s", got, want)
		}
	})
}

func TestS39_UnknownTopLevelKeysAreIgnored(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		p.write(stanza(`{"android":{"x":[1,2,{}]},"to":"` + token + `","message_id":"m-1","fcm_options":null,"":0,"MESSAGE_ID":"x","message_type":"gcm"}`))
		p.want(acked("m-1"))
		if m := srv.take(t).Message; m.To != token || len(m.Data) != 0 {
			t.Errorf("handed on %+v", m)
		}
	})
}

func TestS40_ADryRunIsAnsweredLikeAMessage(t *testing.T) {
	// Delivery is the handler's: what the server owes it is to say that this
	// message is not to be delivered.
	play(t, nil, func(t *testing.T, srv *server) {
		delivered := 0
		srv.handle(func(r *ccsserver.Request) {
			if !r.Message.DryRun {
				delivered++
			}
			r.Answer(nil, nil)
		})
		p := srv.bind(t)
		p.write(stanza(`{"to":"` + token + `","message_id":"m-1","dry_run":true}`))
		p.want(acked("m-1"))
		p.write(stanza(`{"message_id":"m-2","dry_run":true}`))
		p.want(`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"unknown","message_id":"m-2","error":"INVALID_JSON",`)
		p.skip()
		if delivered != 0 {
			t.Errorf("%d delivered", delivered)
		}
		// It is another message than the real one of the same id.
		p.write(downstream("m-1"))
		p.want(nacked("m-1", "INVALID_JSON", textReused))
	})
}

func TestS41_ErrorsOfTheOnwardPath(t *testing.T) {
	secret := errors.New("postgres://user:password@host")
	for name, tt := range map[string]struct {
		err        error
		code       ccs.Code
		text       string
		isReported bool
	}{
		"a nack is that nack":                    {&ccs.NackError{Code: ccs.CodeSenderIDMismatch, Description: "d", Err: secret}, "SENDER_ID_MISMATCH", "d", false},
		"a nack that is wrapped":                 {fmt.Errorf("send: %w", &ccs.NackError{Code: ccs.CodeDeviceUnregistered}), "DEVICE_UNREGISTERED", "The registration token is no longer valid", false},
		"a code that nobody knows":               {&ccs.NackError{Code: "NEW_CODE"}, "NEW_CODE", "Unknown error code", false},
		"any other error is ours, and is hidden": {secret, "INTERNAL_SERVER_ERROR", textInternal, true},
		"a context that ended":                   {context.DeadlineExceeded, "INTERNAL_SERVER_ERROR", textInternal, true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				srv.refuse(tt.err)
				p := srv.bind(t)
				p.write(downstream("m-1"))
				p.want(nacked("m-1", tt.code, tt.text))
				if reported := len(srv.failed) == 1 && errors.Is(srv.failed[0], tt.err); reported != tt.isReported {
					t.Errorf("Events.Failed got %v", srv.failed)
				}
			})
		})
	}
	for _, code := range codes {
		t.Run(string(code), func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				srv.refuse(&ccs.NackError{Code: code})
				p := srv.bind(t)
				p.write(downstream("m-1"))
				p.want(nacked("m-1", code, code.Sentence()))
			})
		})
	}
}

func TestAcksCarryWhatTheHandlerAdds(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		srv.handle(func(r *ccsserver.Request) {
			r.Answer(&ccs.Ack{RegistrationID: "new", Success: 2, Failure: 1, FailedRegistrationIDs: []ccs.RegistrationToken{"x"}}, nil)
		})
		const full = `{"message_type":"ack","from":"` + token + `","message_id":"m-1","registration_id":"new","success":2,"failure":1,"failed_registration_ids":["x"]}`
		p := srv.bind(t)
		p.write(downstream("m-1"))
		p.want(answer(full))
		p.write(downstream("m-1")) // the same ack, with all that was in it
		p.want(answer(full))
		srv.wantHandedOn(t, 1)
	})
}

func TestS43_TheIDsOfTwoSendersDoNotMeet(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		srv.hold()
		a, b := srv.bind(t), srv.bindAs(t, rival)
		a.write(downstream("m-1"))
		ra := srv.take(t)
		b.write(stanza(`{"to":"T","message_id":"m-1"}`)) // another content
		rb := srv.take(t)
		if ra.Sender != sender || rb.Sender != rival {
			t.Errorf("from %s and %s", ra.Sender, rb.Sender)
		}
		ra.Answer(nil, nil)
		b.wantQuiet()
		a.want(acked("m-1"))
		rb.Answer(nil, &ccs.NackError{Code: ccs.CodeBadRegistration})
		b.want(answer(`{"message_type":"nack","from":"T","message_id":"m-1","error":"BAD_REGISTRATION","error_description":"The registration token is malformed"}`))
		a.write(downstream("m-1"))
		a.want(acked("m-1"))
		srv.wantHandedOn(t, 2)
		b.write(downstream("m-1"))
		srv.wantHandedOn(t, 3)
	})
}

func TestS44_JSONThatCannotBeReadCostsOneStanza(t *testing.T) {
	for name, tt := range map[string]struct{ attrs, payload, id, echo, text string }{
		"with an id":         {` id="3"`, `{"random": "text"}`, ` id="3"`, `{"random": "text"}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`},
		"with an empty id":   {` id=""`, `{"random": "text"}`, ``, `{"random": "text"}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`},
		"without an id":      {``, `{"random": "text"}`, ``, `{"random": "text"}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`},
		"an id to escape":    {` id='a"&amp;&lt;'`, `{}`, ` id="a&quot;&amp;&lt;"`, `{}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`},
		"no JSON":            {` id="3"`, `hello &amp; &lt;goodbye>`, ` id="3"`, `hello &amp; &lt;goodbye&gt;`, ``},
		"JSON that is cut":   {` id="3"`, `{"to":"T","message_id":"m-1","data":{`, ` id="3"`, `{"to":"T","message_id":"m-1","data":{`, ``},
		"JSON and more":      {` id="3"`, `{"to":"T","message_id":"m-1"}}`, ` id="3"`, `{"to":"T","message_id":"m-1"}}`, ``},
		"an array":           {` id="3"`, `[1]`, ` id="3"`, `[1]`, ``},
		"nothing":            {` id="3"`, ``, ` id="3"`, ``, ``},
		"an empty id inside": {``, `{"to":"T","message_id":""}`, ``, `{"to":"T","message_id":""}`, `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id`},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(`<message` + tt.attrs + `><gcm xmlns="google:mobile:data">` + tt.payload + `</gcm></message>`)
				p.want(`<message`, tt.id, ` type="error" to="`, p.jid, `"><gcm xmlns="google:mobile:data">`, tt.echo,
					`</gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">`)
				if tt.text == "" {
					tt.text, _, _ = strings.Cut(p.came(), "<")
					if !strings.HasPrefix(tt.text, "InvalidJson: ") {
						t.Errorf("the text is %q", tt.text)
					}
				}
				p.want(tt.text, `</text></error></message>`)
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
				srv.wantHandedOn(t, 1)
			})
		})
	}
}

func TestS45_AMessageWithoutPayloadIsPassedOver(t *testing.T) {
	for name, stanza := range map[string]string{
		"empty":                          `<message/>`,
		"with a body":                    `<message id="1" type="chat"><body>hello</body></message>`,
		"with a payload of nobody's":     `<message><gcm>{"to":"T","message_id":"m"}</gcm></message>`,
		"with a payload further down":    `<message><x><gcm xmlns="google:mobile:data">{}</gcm></x></message>`,
		"of type error, as Smack's echo": `<message id="1" type="error"><error code="503"/></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, srv *server) {
				p := srv.bind(t)
				p.write(stanza)
				p.wantQuiet()
				p.write(downstream("m-1"))
				p.want(acked("m-1"))
				if len(srv.odd) != 1 {
					t.Errorf("odd: %q", srv.odd)
				}
			})
		})
	}
}

func TestS46_ANackFromAnAppServerIsNoReasonToPart(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		p := srv.bind(t)
		o := srv.offer(t, fromDevice("u-1"))
		p.want(upstream("u-1"))
		p.write(stanza(`{"to":"` + token + `","message_id":"u-1","message_type":"nack"}`))
		p.want(nacked("u-1", "BAD_ACK", `InvalidJson: INVALID_FIELD : Field \"message_type\" must not be \"nack\": upstream messages are acked or left alone`))
		p.write(downstream("m-1"))
		p.want(acked("m-1"))
		o.want(t, 0, 1)
	})
}

func TestS49_OneSendersSlowRoadIsNobodyElsesTrouble(t *testing.T) {
	play(t, nil, func(t *testing.T, srv *server) {
		srv.handle(func(r *ccsserver.Request) {
			if r.Sender != rival {
				r.Answer(nil, nil)
			}
		})
		slow, full, deaf := srv.bindAs(t, rival), srv.bindAs(t, rival), srv.bindAs(t, rival)
		slow.write(downstream("s"))
		for i := range 150 { // over its window
			full.write(downstream(fmt.Sprint("m-", i)))
		}
		deaf.deafen()
		go func() {
			for range 2000 { // pongs that it does not read
				deaf.try(pingIQ)
			}
		}()
		p := srv.bind(t)
		for i := range 300 {
			id := fmt.Sprint("m-", i)
			p.write(downstream(id))
			p.want(acked(id)) // at once
		}
		slow.wantQuiet()
		deaf.listen()
	})
}

func TestAPanicCostsItsStreamAlone(t *testing.T) {
	const sorry = `<stream:error><internal-server-error xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`
	play(t, nil, func(t *testing.T, srv *server) {
		srv.handle(func(r *ccsserver.Request) {
			if r.Message.MessageID == "poison" {
				panic("at the disco")
			}
			r.Answer(nil, nil)
		})
		p, other := srv.bind(t), srv.bind(t)
		p.write(downstream("m-1"), downstream("poison"), downstream("m-2"))
		p.wantClosed(acked("m-1"), nacked("poison", "INTERNAL_SERVER_ERROR", textInternal), sorry)
		closed := srv.closed()
		if len(closed) != 1 || !strings.Contains(closed[0].err.Error(), "at the disco") || !strings.Contains(closed[0].err.Error(), "messages_test.go") {
			t.Errorf("the cause does not tell of the panic: %v", closed)
		}
		other.write(downstream("m-3"))
		other.want(acked("m-3"))
		srv.handle(nil)
		other.write(downstream("poison")) // the id is not in work for ever
		other.want(acked("poison"))
	})
	t.Run("in Blocking not even the stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := newServer(t, nil)
			srv.handle(ccsserver.Blocking(t.Context(), func(_ context.Context, _ ccs.SenderID, m *ccs.Downstream) error {
				if m.MessageID == "poison" {
					panic("at the disco")
				}
				return nil
			}).Downstream)
			p := srv.bind(t)
			p.write(downstream("poison"))
			p.want(nacked("poison", "INTERNAL_SERVER_ERROR", textInternal))
			p.write(downstream("m-1"))
			p.want(acked("m-1"))
			if len(srv.failed) != 1 || !strings.Contains(srv.failed[0].Error(), "at the disco") || !strings.Contains(srv.failed[0].Error(), "messages_test.go") {
				t.Errorf("Events.Failed got %v", srv.failed)
			}
		})
	})
}

func TestBlockingTurnsWhatAFunctionReturnsIntoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		srv.handle(ccsserver.Blocking(ctx, func(ctx context.Context, from ccs.SenderID, m *ccs.Downstream) error {
			switch {
			case from != sender:
				t.Errorf("from %s", from)
			case m.MessageID == "slow":
				<-ctx.Done() // neither the stream nor its end concerns it
				return nil
			case m.MessageID == "bad":
				return &ccs.NackError{Code: ccs.CodeBadRegistration}
			case m.MessageID == "worse":
				return errors.New("x")
			}
			return nil
		}).Downstream)
		p := srv.bind(t)
		p.write(downstream("slow"), downstream("m-1"))
		p.want(acked("m-1"))
		p.write(downstream("bad"))
		p.want(nacked("bad", "BAD_REGISTRATION", "The registration token is malformed"))
		p.write(downstream("worse"))
		p.want(nacked("worse", "INTERNAL_SERVER_ERROR", textInternal))
		p.cut()
		p = srv.bind(t)
		p.write(downstream("slow"))
		p.wantQuiet()
		cancel()
		p.want(acked("slow"))
	})
}
