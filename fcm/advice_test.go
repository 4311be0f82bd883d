package fcm_test

import (
	"testing"
	"time"

	"penstock/fcm"
)

func TestAdviceFollowsGooglesRules(t *testing.T) {
	cases := []struct {
		name    string
		err     fcm.SendError
		attempt int
		least   time.Duration
		scope   fcm.Scope
		again   bool
	}{
		{"S-28 the project's quota holds the project", fcm.SendError{Class: fcm.ProjectQuota, RetryAfter: 30 * time.Second}, 1, 30 * time.Second, fcm.ScopeProject, true},
		{"S-29 a device's quota holds the device", fcm.SendError{Class: fcm.DeviceQuota}, 1, time.Minute, fcm.ScopeDevice, true},
		{"S-30 a topic waits a minute", fcm.SendError{Class: fcm.TopicQuota}, 1, time.Minute, fcm.ScopeTopic, true},
		{"S-30 a topic waits a minute though less was asked", fcm.SendError{Class: fcm.TopicQuota, RetryAfter: 20 * time.Second}, 1, time.Minute, fcm.ScopeTopic, true},
		{"S-30 a topic waits longer if that was asked", fcm.SendError{Class: fcm.TopicQuota, RetryAfter: 5 * time.Minute}, 1, 5 * time.Minute, fcm.ScopeTopic, true},
		{"S-31 429 without Retry-After waits a minute", fcm.SendError{Class: fcm.ProjectQuota}, 1, time.Minute, fcm.ScopeProject, true},
		{"S-31 429 without Retry-After waits longer the second time", fcm.SendError{Class: fcm.ProjectQuota}, 2, 2 * time.Minute, fcm.ScopeProject, true},
		{"S-33 the first wait is ten seconds", fcm.SendError{Class: fcm.Unavailable}, 1, 10 * time.Second, fcm.ScopeMessage, true},
		{"S-33 the second wait is twenty", fcm.SendError{Class: fcm.Internal}, 2, 20 * time.Second, fcm.ScopeMessage, true},
		{"S-33 the third wait is forty", fcm.SendError{Class: fcm.Unavailable}, 3, 40 * time.Second, fcm.ScopeMessage, true},
		{"waits end to grow", fcm.SendError{Class: fcm.Unavailable}, 1000, 10 * time.Minute, fcm.ScopeMessage, true},
		{"an attempt before the first counts as it", fcm.SendError{Class: fcm.Unavailable}, 0, 10 * time.Second, fcm.ScopeMessage, true},
		{"S-34 a short Retry-After waits the floor", fcm.SendError{Class: fcm.Unavailable, RetryAfter: 3 * time.Second}, 1, 10 * time.Second, fcm.ScopeMessage, true},
		{"S-34 a longer one is obeyed, the third time too", fcm.SendError{Class: fcm.Unavailable, RetryAfter: 17 * time.Second}, 3, 17 * time.Second, fcm.ScopeMessage, true},
		{"S-17 the project waits for its credential", fcm.SendError{Class: fcm.Credential}, 1, time.Minute, fcm.ScopeProject, false},
		{"S-27 the project waits for its configuration", fcm.SendError{Class: fcm.Configuration}, 1, time.Minute, fcm.ScopeProject, false},
		{"S-19 a dead address is final", fcm.SendError{Class: fcm.Unregistered}, 1, 0, 0, false},
		{"S-26 another's address is final", fcm.SendError{Class: fcm.SenderIDMismatch}, 1, 0, 0, false},
		{"S-16 the key for APNs is no matter of waiting", fcm.SendError{Class: fcm.ThirdPartyAuth, RetryAfter: time.Minute}, 1, 0, 0, false},
		{"S-23 a malformed address is final", fcm.SendError{Class: fcm.MalformedToken}, 1, 0, 0, false},
		{"S-24 a bad message is final", fcm.SendError{Class: fcm.InvalidMessage}, 1, 0, 0, false},
		{"S-36 what is expired is over", fcm.SendError{Class: fcm.Expired}, 1, 0, 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 50 {
				wait, scope, again := fcm.Advise(&c.err, c.attempt)
				if wait < c.least || wait > c.least+c.least/4 || scope != c.scope || again != c.again {
					t.Fatalf("%v, %v, %v; want %v and at most a quarter more, %v, %v", wait, scope, again, c.least, c.scope, c.again)
				}
				seen[wait] = true
			}
			if c.least > 0 && len(seen) < 10 {
				t.Errorf("%d different waits in 50; want jitter", len(seen))
			}
		})
	}
}

func TestScopesHaveWords(t *testing.T) {
	for scope, want := range map[fcm.Scope]string{
		0: "none", fcm.ScopeMessage: "message", fcm.ScopeDevice: "device", fcm.ScopeTopic: "topic", fcm.ScopeProject: "project", 9: "none",
	} {
		if scope.String() != want {
			t.Errorf("%d is %q; want %q", scope, scope, want)
		}
	}
}
