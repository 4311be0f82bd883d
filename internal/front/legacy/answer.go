package legacy

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"penstock/ccs"
	"penstock/internal/translate"
)

// What answers are made of.
type (
	multicast struct {
		MulticastID  int64    `json:"multicast_id"`
		Success      int      `json:"success"`
		Failure      int      `json:"failure"`
		CanonicalIDs int      `json:"canonical_ids"`
		Results      []result `json:"results"`
	}
	result struct {
		MessageID      string                `json:"message_id,omitempty"`
		RegistrationID ccs.RegistrationToken `json:"registration_id,omitempty"`
		Error          string                `json:"error,omitempty"`
	}
	group struct {
		Success int                     `json:"success"`
		Failure int                     `json:"failure"`
		Failed  []ccs.RegistrationToken `json:"failed_registration_ids,omitempty"`
	}
	toMany struct { // devices of a topic or a condition
		MessageID json.Number `json:"message_id,omitempty"`
		Error     string      `json:"error,omitempty"`
	}
)

// answer writes what became of the messages, in the form that belongs to the
// kind of request.
func answer(w http.ResponseWriter, q *translate.Legacy, outcomes []outcome) {
	status := http.StatusOK
	if wait, all := unavailable(outcomes); all {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", seconds(wait))
	}
	if len(outcomes) == 1 && outcomes[0].word == translate.InvalidParameters {
		status = http.StatusBadRequest
	}
	if first := outcomes[0]; q.Form {
		write(w, status, "text/plain; charset=UTF-8", first.plain())
	} else {
		write(w, status, "application/json; charset=UTF-8", encode(reply(q, outcomes)))
	}
}

// unavailable reports whether nothing but trouble that passes came of all
// messages, and the longest wait that any of them was asked for.
func unavailable(outcomes []outcome) (wait time.Duration, all bool) {
	for _, o := range outcomes {
		if o.word != translate.Unavailable {
			return 0, false
		}
		wait = max(wait, o.retryAfter)
	}
	return wait, true
}

func reply(q *translate.Legacy, outcomes []outcome) any {
	first := outcomes[0]
	switch a := first.answer; {
	case q.Topic() && first.word != "":
		return toMany{Error: first.word}
	case q.Topic():
		return toMany{MessageID: json.Number(translate.MessageNumber(first.id, uint64(random())))}
	case !q.Many && (a.Success+a.Failure > 0 || a.FailedRegistrationIDs != nil):
		return group{Success: a.Success, Failure: a.Failure, Failed: a.FailedRegistrationIDs}
	}
	m := multicast{MulticastID: random(), Results: make([]result, len(outcomes))}
	for i, o := range outcomes {
		if o.word != "" {
			m.Failure++
			m.Results[i].Error = o.word
			continue
		}
		m.Success++
		m.Results[i] = result{MessageID: o.id, RegistrationID: o.answer.RegistrationID}
		if o.answer.RegistrationID != "" {
			m.CanonicalIDs++
		}
	}
	return m
}

// plain is the answer as text.
func (o outcome) plain() []byte {
	if o.word != "" {
		return []byte("Error=" + o.word)
	}
	text := "id=" + o.id
	if o.answer.RegistrationID != "" {
		text += "\nregistration_id=" + string(o.answer.RegistrationID)
	}
	return []byte(text)
}

// random is a positive number below 2^63. Nobody need be unable to guess it.
func random() int64 { return 1 + rand.Int64N(math.MaxInt64) }

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // of strings and numbers alone: cannot be
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
