package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"penstock/ccs"
)

// A listenLine is what listen prints for one message or receipt.
type listenLine struct {
	Kind        string                `json:"kind"`
	From        ccs.RegistrationToken `json:"from"`
	Category    ccs.Category          `json:"category"`
	MessageID   ccs.MessageID         `json:"message_id"`
	Data        map[string]string     `json:"data"`
	Stream      string                `json:"stream"`
	Redelivered bool                  `json:"redelivered"`
}

const (
	kindUpstream = "upstream"
	kindReceipt  = "receipt"
)

func lineOf(m ccs.FromServer) listenLine {
	l := listenLine{Kind: kindReceipt}
	switch m := m.(type) {
	case *ccs.Upstream:
		l = listenLine{Kind: kindUpstream, From: m.From, Category: m.Category, MessageID: m.MessageID, Data: m.Data}
	case *ccs.Receipt:
		l.From, l.Category, l.MessageID = ccs.ReceiptFrom, m.Category, m.MessageID
		l.Data = map[string]string{
			"message_status": m.Status, "original_message_id": string(m.OriginalMessageID), "device_registration_id": string(m.Device),
		}
		if !m.SentAt.IsZero() {
			l.Data["message_sent_timestamp"] = strconv.FormatInt(m.SentAt.UnixMilli(), 10)
		}
	}
	if l.Data == nil {
		l.Data = map[string]string{}
	}
	return l
}

// device is whom the line is about.
func (l *listenLine) device() ccs.RegistrationToken {
	if l.Kind == kindReceipt {
		return ccs.RegistrationToken(l.Data["device_registration_id"])
	}
	return l.From
}

// words is the line for people. What devices wrote is quoted: it could steer
// a terminal.
func (l *listenLine) words() string {
	var data []string
	for _, k := range slices.Sorted(maps.Keys(l.Data)) {
		v := l.Data[k]
		if l.Kind == kindReceipt && k == "device_registration_id" {
			v = ccs.RegistrationToken(v).Redacted()
		}
		data = append(data, fmt.Sprintf("%q: %q", k, v))
	}
	again := ""
	if l.Redelivered {
		again = ", redelivered"
	}
	return fmt.Sprintf("%-8s %s, app %s: {%s}", l.Kind, l.who(), quoted(string(l.Category)), strings.Join(data, ", ")) + again
}

// who names a message on stderr and for people.
func (l *listenLine) who() string {
	return fmt.Sprintf("%s from %s", quoted(string(l.MessageID)), l.device().Redacted())
}

// quoted adds quotes where a word is more than letters, digits and marks.
func quoted(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` || s == "" || strings.Contains(s, " ") {
		return q
	}
	return s
}
