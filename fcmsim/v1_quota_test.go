package fcmsim_test

import (
	"fmt"
	"testing"
	"time"

	"penstock/ccs"
	"penstock/fcmsim"
)

// accepted sends a message n times and counts those that were answered 200; all
// others have to be answered 429.
func (f *v1Face) accepted(n int, message string) (passed int) {
	f.t.Helper()
	for range n {
		switch r := f.message(message); r.status {
		case 200:
			passed++
		case 429:
		default:
			f.t.Fatalf("%d %s", r.status, r.body)
		}
	}
	return passed
}

func TestM_17_BeyondTheProjectsMinuteThereIsE13(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle, ProjectQuota: 10})
	c.pass(90*time.Second + 7*time.Millisecond) // the minute begins with the first message, not with the clock's
	const topic = `{"topic":"news"}`
	if n := f.accepted(15, topic); n != 10 {
		t.Errorf("%d passed; want 10", n)
	}
	number := string(f.SenderID())
	r := f.message(topic)
	r.wantError(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service "+
		"'fcm.googleapis.com' for consumer 'project_number:"+number+"'.",
		`[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{
		   "service":"fcm.googleapis.com","consumer":"projects/`+number+`","quota_metric":"fcm.googleapis.com/send_requests",
		   "quota_limit":"SendsPerMinutePerProject","quota_limit_value":"10","quota_unit":"1/min/{project}","quota_location":"global"}},
		  {"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Request a higher quota limit.",
		   "url":"https://cloud.google.com/docs/quotas/help/request_increase"}]}]`)
	if got := r.header["Retry-After"]; got != nil {
		t.Errorf("Retry-After is %v, which nobody asked for", got)
	}
	c.pass(time.Minute - time.Millisecond)
	if n := f.accepted(1, topic); n != 0 {
		t.Error("the quota came back before its minute was over, or little by little")
	}
	c.pass(time.Millisecond)
	if n := f.accepted(15, topic); n != 10 {
		t.Errorf("%d passed in the next minute; want 10", n)
	}
	t.Run("M-17 the default is 600,000, and off", func(t *testing.T) {
		f := newV1(t, fcmsim.Options{Now: c.now, ProjectQuota: 1})
		if n := f.accepted(5, topic); n != 5 {
			t.Errorf("%d of 5 passed without quotas", n)
		}
		f = newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle, ProjectQuota: 0})
		if err := f.SetFault(fcmsim.Fault{Error: "E13"}); err != nil {
			t.Fatal(err)
		}
		r := f.message(topic)
		if n := fmt.Sprint(r.status, len(r.body) > 0); n != "429 true" || !contains(r.body, `"quota_limit_value": "600000"`) || !contains(r.body, "project_number:"+string(f.SenderID())) {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("M-17 Retry-After can be set", func(t *testing.T) {
		f := newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle, ProjectQuota: 241, RetryAfter: "30"})
		for range 241 {
			f.message(`{"token":"%s"}`)
		}
		if r := f.message(`{"token":"%s"}`); r.status != 429 || r.header.Get("Retry-After") != "30" || !contains(r.body, "QUOTA_EXCEEDED") {
			t.Errorf("device: %d %v %s", r.status, r.header, r.body)
		}
		if r := f.message(topic); r.status != 200 {
			t.Errorf("what was refused for the device counted: %d", r.status)
		}
		if r := f.message(topic); r.status != 429 || r.header.Get("Retry-After") != "30" || contains(r.body, "FcmError") {
			t.Errorf("project: %d %v %s", r.status, r.header, r.body)
		}
		if _, err := fcmsim.New(&fcmsim.Options{RetryAfter: "a\r\nb: c"}); err == nil {
			t.Error("RetryAfter may be more than a header")
		}
	})
}

func TestM_18_ADeviceHasLimitsOfItsOwn(t *testing.T) {
	c := newClock()
	f := newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle})
	const m = `{"token":"%s"}`
	if n := f.accepted(250, m); n != 240 {
		t.Errorf("%d passed in a minute; want 240", n)
	}
	f.message(m).wantError(429, "RESOURCE_EXHAUSTED", "Device quota exceeded.", list(fcmError("QUOTA_EXCEEDED")))
	if r := f.message(`{"token":"` + string(f.Tokens()[1]) + `"}`); r.status != 200 {
		t.Errorf("another device: %d", r.status)
	}
	passed := 240
	for range 40 {
		c.pass(time.Minute)
		passed += f.accepted(250, m)
	}
	// 5,000 to begin with, and two thirds of an hour's share of as many; by the
	// minute alone there would have been 9,840.
	if passed != 8333 {
		t.Errorf("%d passed in 40 minutes; want 8,333", passed)
	}
	t.Run("M-18 Apple and browsers have other limits", func(t *testing.T) {
		f := f.on(t)
		for _, p := range []fcmsim.Platform{fcmsim.PlatformIOS, fcmsim.PlatformWeb} {
			d := f.add(fcmsim.DeviceOptions{Platform: p})
			if n := f.accepted(300, `{"token":"`+string(d.Token)+`"}`); n != 300 {
				t.Errorf("%s: %d of 300 passed", p, n)
			}
		}
	})
	t.Run("M-18 both faces draw on one", func(t *testing.T) {
		inBubble(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle}, func(b *bench) {
			f, a := v1Of(t, b.Sim), b.login()
			if n := f.accepted(239, m); n != 239 {
				t.Errorf("%d passed", n)
			}
			a.sendAcked(down(b.Tokens()[0], "m-1"))
			a.send(down(b.Tokens()[0], "m-2"))
			a.wantNack("m-2", ccs.CodeDeviceMessageRateExceeded)
			if n := f.accepted(1, m); n != 0 {
				t.Error("the 241st passed")
			}
		})
	})
}

func TestM_19_CollapsibleMessagesComeInBurstsOfTwenty(t *testing.T) {
	for name, m := range map[string]string{
		"with a key":                 `{"token":"%s","android":{"collapse_key":"k"}}`,
		"with keys that differ":      `{"token":"%s","android":{"collapse_key":"N","ttl":"60s"}}`,
		"for the user's eyes":        `{"token":"%s","notification":{"title":"t"}}`,
		"of android_v2, and to look": `{"token":"%s","android_v2":{"remote_notification":{"notification":{"title":"t"}}}}`,
	} {
		t.Run("M-19 "+name, func(t *testing.T) {
			c := newClock()
			f := newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle})
			if n := f.accepted(30, m); n != 20 {
				t.Errorf("%d passed at once; want 20", n)
			}
			c.pass(3*time.Minute - time.Second)
			if n := f.accepted(1, m); n != 0 {
				t.Error("one passed before three minutes were over")
			}
			c.pass(time.Second)
			if n := f.accepted(5, m); n != 1 {
				t.Errorf("%d passed after three minutes; want 1", n)
			}
			c.pass(24 * time.Hour)
			f.auth = "Bearer " + f.AccessToken()
			if n := f.accepted(30, m); n != 20 {
				t.Errorf("%d passed after a day; want 20", n)
			}
			if n := f.accepted(5, `{"token":"%s","data":{"a":"b"}}`); n != 5 {
				t.Errorf("%d of 5 that are not collapsible passed", n)
			}
		})
	}
	t.Run("M-19 not for ttl 0", func(t *testing.T) {
		f := newV1(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle})
		if n := f.accepted(100, `{"token":"%s","notification":{"title":"t"},"android":{"collapse_key":"k","ttl":"0s"}}`); n != 100 {
			t.Errorf("%d of 100 passed", n)
		}
	})
	t.Run("M-19 over CCS too", func(t *testing.T) {
		inBubble(t, fcmsim.Options{Quotas: fcmsim.QuotasGoogle}, func(b *bench) {
			a := b.login()
			for i := range 21 {
				m := down(b.Tokens()[0], ccs.MessageID(fmt.Sprint(i)))
				m.CollapseKey = "k"
				if a.send(m); i == 20 {
					a.wantNack("20", ccs.CodeDeviceMessageRateExceeded)
				} else {
					a.want(ack(m))
				}
			}
			var now time.Duration
			m := down(b.Tokens()[0], "now")
			m.CollapseKey, m.TTL = "k", &now
			a.sendAcked(m)
		})
	})
}

func TestM_20_RefusedRequestsCountUnlessRefusedForTheQuota(t *testing.T) {
	c := newClock()
	const topic = `{"topic":"news"}`
	setup := func(t *testing.T, quota int) *v1Face {
		return newV1(t, fcmsim.Options{Now: c.now, Quotas: fcmsim.QuotasGoogle, ProjectQuota: quota})
	}
	for name, bad := range map[string]func(*v1Face) reply{
		"400":             func(f *v1Face) reply { return f.message(`{"topic":"a b"}`) },
		"400 for JSON":    func(f *v1Face) reply { return f.post(`{`) },
		"403":             func(f *v1Face) reply { return f.message(`{"token":"` + string(f.ForeignTokens()[0]) + `"}`) },
		"404":             func(f *v1Face) reply { return f.message(`{"token":"` + string(f.DeadTokens()[0]) + `"}`) },
		"400 and no body": func(f *v1Face) reply { return f.post(``) },
	} {
		t.Run("M-20 "+name+" counts", func(t *testing.T) {
			f := setup(t, 3)
			for range 3 {
				if r := bad(f); r.status < 400 || r.status == 429 {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			if n := f.accepted(1, topic); n != 0 {
				t.Error("it did not")
			}
		})
	}
	t.Run("M-20 401 comes before any project, and does not", func(t *testing.T) {
		f := setup(t, 1)
		f.do("POST", f.path(), "{}")
		if n := f.accepted(1, topic); n != 1 {
			t.Error("it did")
		}
	})
	for name, fault := range map[string]fcmsim.Fault{
		"E13": {Error: "E13"}, "E14": {Error: "E14"}, "another's 429": {Status: 429}, "E14 for what is delivered all the same": {Error: "E14", Deliver: true},
	} {
		t.Run("M-20 429 that a fault asks for does not: "+name, func(t *testing.T) {
			f := setup(t, 1)
			fault.Next = 3
			if err := f.SetFault(fault); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if r := f.message(topic); r.status != 429 {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			if n := f.accepted(2, topic); n != 1 {
				t.Errorf("%d passed", n)
			}
		})
	}
	t.Run("M-20 503 and 200 that a fault asks for do", func(t *testing.T) {
		f := setup(t, 2)
		for _, status := range []int{503, 200} {
			if err := f.SetFault(fcmsim.Fault{Status: status, Next: 1}); err != nil {
				t.Fatal(err)
			}
			f.message(topic)
		}
		if n := f.accepted(1, topic); n != 0 {
			t.Error("they did not")
		}
	})
	t.Run("M-20 429 of the project does not", func(t *testing.T) {
		f := setup(t, 3)
		f.accepted(100, topic)
		c.pass(time.Minute)
		if n := f.accepted(3, topic); n != 3 {
			t.Errorf("%d passed", n)
		}
	})
}
