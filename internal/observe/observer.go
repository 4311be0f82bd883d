package observe

import (
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
)

// The keys of log lines.
const (
	keyProject  = "project"
	keyFront    = "front"
	keySender   = "sender_id"
	keySession  = "session"
	keyAddress  = "address"
	keyMessage  = "message_id"
	keyToken    = "token"
	keyReason   = "reason"
	keyEndpoint = "endpoint"
)

// problem is the attribute for an error; nothing for none.
func problem(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("err", err)
}

// from is the attribute for where a peer connects from: text with every handler,
// made only for a line that is written. Without it JSON would have the fields of a
// net.Addr.
func from(addr net.Addr) slog.Attr { return slog.Any(keyAddress, address{addr}) }

type address struct{ net.Addr }

// LogValue implements [slog.LogValuer].
func (a address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// An Observer is told what happens, and tells metrics and logs. Any goroutine
// may call what it returns.
type Observer struct {
	log     *slog.Logger
	reg     prometheus.Registerer
	metrics metrics

	crowded, deaf seldom // lines about connections that wait
}

// New makes an observer and registers its metrics with reg, which must not have
// them yet: anything else is a mistake of the program, and panics.
func New(reg prometheus.Registerer, log *slog.Logger) *Observer {
	o := &Observer{log: log, reg: reg, metrics: newMetrics(), crowded: seldom{each: lastingEach}, deaf: seldom{each: lastingEach}}
	reg.MustRegister(o.metrics.all()...)
	return o
}

// metrics are all that is counted here; gauges that are read at the moment of a
// scrape stand in watch.go.
type metrics struct {
	accepted *prometheus.CounterVec   // project, front
	answered *prometheus.CounterVec   // project, front, outcome
	refused  *prometheus.CounterVec   // front, status
	gone     *prometheus.CounterVec   // project, front
	ignored  *prometheus.CounterVec   // project
	faults   *prometheus.CounterVec   // room
	answer   *prometheus.HistogramVec // project, front
	limits   *prometheus.CounterVec   // limit

	sends    *prometheus.CounterVec   // project, outcome
	unknown  *prometheus.CounterVec   // project
	send     *prometheus.HistogramVec // project
	wait     *prometheus.HistogramVec // project
	holds    *prometheus.CounterVec   // project, reason
	refresh  *prometheus.CounterVec   // project, outcome
	swaps    *prometheus.CounterVec   // project, outcome
	dials    *prometheus.CounterVec   // project, outcome
	goAways  *prometheus.CounterVec   // project
	drains   prometheus.Counter
	logins   *prometheus.CounterVec // outcome
	odd      prometheus.Counter
	upstream *prometheus.CounterVec // project, kind, outcome
	farDials *prometheus.CounterVec // project, outcome
}

// latency has room for the quick path on one machine and for the longest wait.
var latency = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 12.5, 30}

func newMetrics() metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "penstock_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "penstock_" + name, Help: help, Buckets: latency}, labels)
	}
	return metrics{
		accepted: counter("messages_accepted_total", "Messages that a front handed to the lane of their project.", "project", "front"),
		answered: counter("messages_answered_total", "Messages by the answer that their sender got.", "project", "front", "outcome"),
		refused:  counter("requests_refused_total", "HTTP requests refused as a whole, by status.", "front", "status"),
		gone:     counter("requests_abandoned_total", "HTTP requests whose sender left before the answer.", "project", "front"),
		ignored:  counter("ignored_fields_total", "Fields of legacy messages that were passed over: unknown, without effect, or of no use in HTTP v1.", "project"),
		faults:   counter("faults_total", "Faults of Penstock's own; each is logged.", "room"),
		answer:   histogram("answer_seconds", "From reading a message to its answer.", "project", "front"),
		limits:   counter("limit_hits_total", "What a limit refused.", "limit"),

		sends:   counter("sends_total", "Messages by what became of them at the far end.", "project", "outcome"),
		unknown: counter("unknown_outcomes_total", "Messages that the far end may or may not have taken.", "project"),
		send:    histogram("send_seconds", "The last try of a message alone.", "project"),
		wait:    histogram("wait_seconds", "From accepting a message to its last try.", "project"),
		holds:   counter("lane_holds_total", "How often a whole project had to wait.", "project", "reason"),

		refresh: counter("token_refreshes_total", "Tries to get an access token.", "project", "outcome"),
		swaps:   counter("credential_changes_total", "Changed credential files, by whether they were taken.", "project", "outcome"),
		dials:   counter("fcm_dials_total", "Tries to connect to FCM.", "project", "outcome"),
		goAways: counter("fcm_goaways_total", "Connections that FCM wanted to end.", "project"),

		drains:   prometheus.NewCounter(prometheus.CounterOpts{Name: "penstock_ccs_drains_total", Help: "Streams whose end was announced."}),
		logins:   counter("ccs_logins_total", "Logins of app servers: bound, wrong credentials, or broken off.", "outcome"),
		odd:      prometheus.NewCounter(prometheus.CounterOpts{Name: "penstock_ccs_oddities_total", Help: "What app servers wrote that CCS does not know."}),
		upstream: counter("upstream_messages_total", "Upstream messages and receipts from far ends, by what became of them here.", "project", "kind", "outcome"),
		farDials: counter("far_dials_total", "Tries to open a stream to a far end that speaks CCS.", "project", "outcome"),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.accepted, m.answered, m.refused, m.gone, m.ignored, m.faults, m.answer, m.limits,
		m.sends, m.unknown, m.send, m.wait, m.holds, m.refresh, m.swaps, m.dials, m.goAways,
		m.drains, m.logins, m.odd, m.upstream, m.farDials,
	}
}

// Forget drops what is shown of a project that is gone.
func (o *Observer) Forget(project string) {
	labels := prometheus.Labels{"project": project}
	for _, c := range o.metrics.all() {
		if v, ok := c.(interface{ DeletePartialMatch(prometheus.Labels) int }); ok {
			v.DeletePartialMatch(labels)
		}
	}
}
