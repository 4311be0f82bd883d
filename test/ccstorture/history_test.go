package main

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const drainLimit = 5 * time.Second

// Each story is a history by hand, and the one violation that is in it; those
// without show what must not be mistaken for one.
func TestTheCheckerFindsWhatItIsFor(t *testing.T) {
	sound := new(link)
	struck := new(link)
	struck.struck.Store(true)
	// plain is a message that went as it should, but for what f adds.
	plain := func(f func(h *history)) func(h *history) {
		return func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", toldAck)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
			if f != nil {
				f(h)
			}
		}
	}
	wrote := func(f func(h *history)) func(h *history) {
		return func(h *history) {
			h.bound("s1", sound)
			h.written("u", 1, false)
			f(h)
		}
	}
	for _, story := range []struct {
		name string
		want string
		play func(h *history)
	}{
		{"all is well", "", plain(nil)},
		{"an ack for what no device has", kindLost, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", toldAck)
			h.told("m", toldAck, noon)
		}},
		{"an ack for what was never written", kindLost, func(h *history) {
			h.sent("m")
			h.told("m", toldAck, noon)
		}},
		{"an ack that the server never gave", kindLie, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"a nack of another code", kindLie, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", "BAD_REGISTRATION")
			h.told("m", "DEVICE_UNREGISTERED", noon)
		}},
		{"a nack as it was", "", func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", "BAD_REGISTRATION")
			h.told("m", "BAD_REGISTRATION", noon)
		}},
		{"nothing was sent, and it came", kindLie, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.told("m", toldNotSent, noon)
		}},
		{"nothing was sent, and what came was refused", "", func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", "SERVICE_UNAVAILABLE")
			h.told("m", toldNotSent, noon)
		}},
		{"no outcome", kindStuck, func(h *history) { h.sent("m") }},
		{"two outcomes", kindDouble, plain(func(h *history) { h.told("m", toldUnknown, noon) })},
		{"a late answer to a message that had one", kindDouble, plain(func(h *history) { h.late("m") })},
		{"a late answer to one that had none", "", func(h *history) {
			h.sent("m")
			h.told("m", toldUnknown, noon)
			h.late("m")
		}},
		{"twice on one stream", kindDuplicate, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			for range 2 {
				h.received("s1", "m", true, 0)
				h.answered("s1", "m", toldAck)
			}
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"again, although the first stream was sound and had answered", kindDuplicate, func(h *history) {
			h.bound("s1", sound)
			h.bound("s2", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", toldAck)
			h.delivered(1, "m")
			h.closed("s1", true, 0, noon)
			h.received("s2", "m", true, 0)
			h.answered("s2", "m", toldAck)
			h.told("m", toldAck, noon)
		}},
		{"again, although its caller had been told", kindDuplicate, plain(func(h *history) {
			h.bound("s2", sound)
			h.streams["s1"].link = struck
			h.received("s2", "m", true, 0)
		})},
		{"again behind a broken stream", "", func(h *history) {
			h.bound("s1", struck)
			h.bound("s2", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", toldAck)
			h.delivered(1, "m")
			h.received("s2", "m", true, 0)
			h.answered("s2", "m", toldAck)
			h.delivered(2, "m")
			h.told("m", toldAck, noon)
		}},
		{"again behind a stream that ended out of order", "", func(h *history) {
			h.bound("s1", sound)
			h.bound("s2", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.closed("s1", false, 1, noon)
			h.received("s2", "m", true, 0)
			h.answered("s2", "m", toldAck)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"again behind a nack that asks for it", "", func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			for _, v := range []verdict{"SERVICE_UNAVAILABLE", "CONNECTION_DRAINING", "INTERNAL_SERVER_ERROR", toldAck} {
				h.received("s1", "m", true, 0)
				h.answered("s1", "m", v)
			}
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"a copy that hung in a broken link", "", plain(func(h *history) {
			h.bound("s2", struck)
			h.received("s2", "m", true, 0)
		})},
		{"a drain that a caller hears of", kindGaveUp, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.answered("s1", "m", "CONNECTION_DRAINING")
			h.told("m", "CONNECTION_DRAINING", noon)
		}},
		{"a stream that closes without an answer that it owes", kindSilent, func(h *history) {
			h.bound("s1", sound)
			h.bound("s2", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.draining("s1", noon)
			h.closed("s1", true, 0, noon)
			h.received("s2", "m", true, 0)
			h.answered("s2", "m", toldAck)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"a drain that ends before the answer", "", func(h *history) {
			h.bound("s1", sound)
			h.bound("s2", sound)
			h.sent("m")
			h.received("s1", "m", true, 0)
			h.draining("s1", noon)
			h.closed("s1", true, 1, noon.Add(drainLimit))
			h.received("s2", "m", true, 0)
			h.answered("s2", "m", toldAck)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"delivered twice by one server", kindDuplicate, plain(func(h *history) { h.delivered(1, "m") })},
		{"a message that nobody sent", kindPhantom, func(h *history) { h.received("s1", "m", true, 0) }},
		{"a receipt for what no device has", kindPhantom, func(h *history) {
			h.sent("m")
			h.told("m", toldUnknown, noon)
			h.receipt("m")
		}},
		{"other words", kindCorrupt, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", false, 0)
			h.answered("s1", "m", toldAck)
			h.delivered(1, "m")
			h.told("m", toldAck, noon)
		}},
		{"the 101st unanswered message", kindWindow, func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 100)
			h.told("m", toldUnknown, noon)
		}},
		{"the 100th", "", func(h *history) {
			h.bound("s1", sound)
			h.sent("m")
			h.received("s1", "m", true, 99)
			h.told("m", toldUnknown, noon)
		}},
		{"the 101st unacked upstream message", kindWindow, func(h *history) { h.offered("s1", 101) }},
		{"goodbye with something unanswered", kindAbandoned, func(h *history) {
			h.bound("s1", sound)
			h.draining("s1", noon)
			h.closed("s1", true, 1, noon.Add(drainLimit-1))
		}},
		{"goodbye out of the blue", kindAbandoned, func(h *history) {
			h.bound("s1", sound)
			h.closed("s1", true, 1, noon)
		}},
		{"a drain that took its whole time", "", func(h *history) {
			h.bound("s1", sound)
			h.draining("s1", noon)
			h.closed("s1", true, 1, noon.Add(drainLimit))
		}},
		{"acked before it was handled", kindEarlyAck, wrote(func(h *history) {
			h.settled("u", noon)
			h.handled("u", 0, true)
		})},
		{"a device's message that nobody acked", kindStuck, wrote(func(*history) {})},
		{"a device's message with other words", kindCorrupt, wrote(func(h *history) {
			h.handled("u", 0, false)
			h.settled("u", noon)
		})},
		{"a device's message twice at one pool", kindDuplicate, wrote(func(h *history) {
			h.handled("u", 0, true)
			h.handled("u", 0, true)
			h.settled("u", noon)
		})},
		{"a device's message at two pools", "", wrote(func(h *history) {
			h.handled("u", 0, true)
			h.handled("u", 1, true)
			h.settled("u", noon)
		})},
		{"settled twice", kindDouble, wrote(func(h *history) {
			h.handled("u", 0, true)
			h.settled("u", noon)
			h.settled("u", noon)
		})},
		{"a device's message that no device wrote", kindPhantom, func(h *history) { h.handled("u", 0, true) }},
		{"a device's message whose time was short", "", func(h *history) { h.written("u", 1, true) }},
	} {
		t.Run(story.name, func(t *testing.T) {
			for _, swept := range []bool{false, true} {
				var got []violation
				h := newHistory(100, drainLimit, func(v violation) { got = append(got, v) })
				story.play(h)
				if swept { // long before the end, or at it: the same
					h.sweep(noon.Add(time.Hour))
				}
				h.end()
				switch {
				case story.want == "" && len(got) > 0:
					t.Errorf("it finds %v", got)
				case story.want != "" && (len(got) != 1 || got[0].kind != story.want || h.tally.Kinds[story.want] != 1):
					t.Errorf("it finds %v, want one that is %q", got, story.want)
				}
			}
		})
	}
}

func TestTheHistoryForgetsWhatIsOver(t *testing.T) {
	h := newHistory(100, drainLimit, func(v violation) { t.Error(v) })
	h.bound("s1", new(link))
	h.sent("m")
	h.received("s1", "m", true, 0)
	h.answered("s1", "m", toldAck)
	h.delivered(1, "m")
	h.told("m", toldAck, noon)
	h.closed("s1", true, 0, noon)
	h.written("u", 1, false)
	h.handled("u", 0, true)
	h.settled("u", noon)
	h.sweep(noon)
	if len(h.messages) != 1 || len(h.upstreams) != 1 || len(h.streams) != 1 {
		t.Error("it forgets what may still be spoken of")
	}
	h.sweep(noon.Add(time.Second))
	if len(h.messages) != 0 || len(h.upstreams) != 0 || len(h.streams) != 0 {
		t.Errorf("it keeps %d messages, %d upstream messages, %d streams", len(h.messages), len(h.upstreams), len(h.streams))
	}
}
