package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"penstock/ccs"
)

// A fault is one thing that goes wrong, at a time, somewhere.
type fault struct {
	At   time.Duration
	Kind string
	Dice [4]uint32 // what is open: which sender, which pool, which link, how much
}

func (f fault) String() string { return fmt.Sprintf("%8.3f s  %s %v", f.At.Seconds(), f.Kind, f.Dice) }

// The kinds of faults. The network's are those of faultproxy.
const (
	faultCut       = "cut"
	faultReset     = "reset"
	faultHalfClose = "half-close"
	faultFlip      = "flip"
	faultSilence   = "silence"
	faultSlow      = "slow"
	faultDrain     = "drain"
	faultDrainNack = "drain-by-nack"
	faultDrainTwo  = "drain-overlapping"
	faultRestart   = "restart"
	faultKill      = "kill"
	faultNacks     = "nacks"
	faultLate      = "late-answers"
	faultMute      = "no-answers"
	faultSimCut    = "cut-by-server"
	faultFullCut   = "reset-with-full-window"
)

// deck is what one round of faults has, in some order. A run of twenty seconds
// plays it at least once.
var deck = []string{
	faultCut, faultReset, faultHalfClose, faultFlip, faultSilence, faultSlow,
	faultDrain, faultDrainNack, faultDrainTwo, faultNacks, faultLate, faultMute, faultSimCut, faultFullCut,
	faultRestart, faultCut, faultReset, faultFlip, faultKill, faultDrain, faultSlow,
}

// calm is how long a run goes without faults but for one drain and answers that
// are late: bugs of the client itself show while there is nothing to excuse them.
const calm = 5 * time.Second

// planFaults says what goes wrong in a run.
func planFaults(seed uint64, total, every time.Duration) []fault {
	r := rand.New(rand.NewPCG(seed, 1))
	dice := func() [4]uint32 { return [4]uint32{r.Uint32(), r.Uint32(), r.Uint32(), r.Uint32()} }
	var plan []fault
	for sender := range uint32(senders) {
		plan = append(plan,
			fault{At: calm/2 - 200*time.Millisecond, Kind: faultLate, Dice: [4]uint32{sender}},
			fault{At: calm / 2, Kind: faultDrain, Dice: [4]uint32{sender}})
	}
	var cards []string
	for at := calm; at < total; at += every/2 + time.Duration(r.Int64N(int64(every))) {
		if len(cards) == 0 {
			cards = append(cards, deck...)
			r.Shuffle(len(cards), func(i, k int) { cards[i], cards[k] = cards[k], cards[i] })
		}
		plan = append(plan, fault{At: at, Kind: cards[0], Dice: dice()})
		cards = cards[1:]
	}
	return plan
}

// Who is there.
const (
	senders       = 2 // each with a server of its own
	poolsOfSender = 2
	window        = 100
)

// What a message is: its id says whose it is and which, and all the rest follows
// from that and the seed. So whoever receives it can tell whether it is whole.
func messageID(pool, n int) string { return fmt.Sprintf("m-%d-%d", pool, n) }

// poolOf reads a message's id; false: nobody here made it.
func poolOf(id ccs.MessageID) (pool, n int, ok bool) {
	k, err := fmt.Sscanf(string(id), "m-%d-%d", &pool, &n)
	return pool, n, k == 2 && err == nil && pool >= 0 && pool < senders*poolsOfSender && messageID(pool, n) == string(id)
}

// A spec is one message with what its caller does.
type spec struct {
	message  *ccs.Downstream
	patience time.Duration // 0: the caller waits
	withdraw time.Duration // 0: never
}

// devices are a server's tokens, by what they lead to.
type devices struct {
	live, dead, foreign []ccs.RegistrationToken
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// makeSpec makes the n-th message of a pool.
func makeSpec(seed uint64, d *devices, pool, n int) spec {
	r := rand.New(rand.NewPCG(seed^0x5eed, uint64(pool)<<32|uint64(n)))
	m := &ccs.Downstream{MessageID: ccs.MessageID(messageID(pool, n)), Data: map[string]string{"text": words(r)}}
	s := spec{message: m}
	switch k := r.IntN(100); {
	case k < 3:
		m.To = pick(r, d.dead)
	case k < 5:
		m.To = pick(r, d.foreign)
	case k < 6:
		m.To = "nobody's"
	default:
		m.To = pick(r, d.live)
	}
	switch k := r.IntN(100); {
	case k < 5:
		s.patience = time.Duration(1+r.IntN(400)) * time.Millisecond
	case k < 8:
		s.withdraw = time.Duration(1+r.IntN(50)) * time.Millisecond
	case k < 12:
		m.DeliveryReceiptRequested = true
	case k < 16:
		ttl := time.Duration(r.IntN(3)) * 30 * time.Second
		m.TTL = &ttl
	case k < 18:
		m.CollapseKey = ccs.CollapseKey(fmt.Sprint("key-", r.IntN(4)))
		m.Priority = ccs.PriorityHigh
	}
	return s
}

// words are up to 600 bytes with what XML and JSON are touchy about.
func words(r *rand.Rand) string {
	bits := []string{"a plain word ", "<tag attr='1'>", "&amp;", "\"quoted\"", "\\n", "]]>", "\u00fc", "\U0001F600", "\n", "</gcm>", "{\"k\":1}", "0123456789"}
	var b strings.Builder
	for range 1 + r.IntN(40) {
		b.WriteString(pick(r, bits))
	}
	return b.String()
}

func upstreamID(sender, n int) string { return fmt.Sprintf("u-%d-%d", sender, n) }

// senderOf reads an upstream message's id; false: no device here made it.
func senderOf(id ccs.MessageID) (sender, n int, ok bool) {
	k, err := fmt.Sscanf(string(id), "u-%d-%d", &sender, &n)
	return sender, n, k == 2 && err == nil && sender >= 0 && sender < senders && upstreamID(sender, n) == string(id)
}

// What a program's handler does with an upstream message.
type conduct uint8

const (
	handles conduct = iota
	triesAgain
	fails
	panics
)

// An upstreamSpec is one message of a device.
type upstreamSpec struct {
	from    ccs.RegistrationToken
	data    map[string]string
	ttl     *time.Duration
	short   bool // it may expire
	conduct conduct
	takes   time.Duration
}

// makeUpstream makes the n-th upstream message to a sender.
func makeUpstream(seed uint64, d *devices, sender, n int) upstreamSpec {
	r := rand.New(rand.NewPCG(seed^0xdef1ce, uint64(sender)<<32|uint64(n)))
	s := upstreamSpec{from: pick(r, d.live), data: map[string]string{"text": words(r)}}
	switch k := r.IntN(100); {
	case k < 3:
		ttl := 2 * time.Second
		s.ttl, s.short = &ttl, true
	case k < 20:
		ttl := time.Hour
		s.ttl = &ttl
	}
	switch k := r.IntN(100); {
	case k < 3:
		s.conduct = triesAgain
	case k < 5:
		s.conduct = fails
	case k < 6:
		s.conduct = panics
	case k < 15:
		s.takes = time.Duration(r.IntN(50)) * time.Millisecond
	}
	return s
}
