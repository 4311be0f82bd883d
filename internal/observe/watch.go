package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// A State is what is read at the moment of a scrape.
type State struct {
	Projects []ProjectState
	// ForgottenEarly is how many message ids the CCS server has forgotten before
	// their time.
	ForgottenEarly int
}

// A ProjectState is what is read of one project.
type ProjectState struct {
	Name    string
	Lane    downstream.State
	Streams int // bound streams of its app servers
	// Of a far end that speaks CCS:
	FarStreams int
	// Of FCM:
	Connections map[string]int // by protocol
	TokenExpiry time.Time      // zero: there is no token
}

// Watch shows, at each scrape, what state tells then. It is called once.
func (o *Observer) Watch(state func() State) {
	project := []string{"project"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc("penstock_"+name, help, labels, nil)
	}
	o.reg.MustRegister(&watch{
		state:     state,
		waiting:   desc("lane_waiting_messages", "Messages that wait for their turn.", project),
		inFlight:  desc("lane_in_flight_messages", "Messages on their way to the far end.", project),
		rate:      desc("lane_rate_messages_per_second", "Messages that may leave in a second now; 0: as many as there are.", project),
		held:      desc("lane_held", "1 while the whole project waits, by reason.", []string{"project", "reason"}),
		targets:   desc("lane_remembered_targets", "Devices and topics whose pace is remembered.", project),
		forgotten: desc("lane_forgotten_targets_total", "Devices and topics whose pace was forgotten early.", project),
		streams:   desc("ccs_streams", "Bound streams of app servers.", project),
		far:       desc("far_streams", "Open streams to a far end that speaks CCS.", project),
		links:     desc("fcm_connections", "Connections to FCM.", []string{"project", "protocol"}),
		expiry:    desc("token_expiry_timestamp_seconds", "When the access token ends that is in use.", project),
		early:     desc("ids_forgotten_early_total", "Acked message ids forgotten before dedupe_window was over: raise dedupe_max.", nil),
	})
}

type watch struct {
	state func() State

	waiting, inFlight, rate, held, targets, forgotten, streams, far, links, expiry, early *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (w *watch) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{w.waiting, w.inFlight, w.rate, w.held, w.targets, w.forgotten, w.streams, w.far, w.links, w.expiry, w.early} {
		c <- d
	}
}

// Collect implements [prometheus.Collector].
func (w *watch) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	state := w.state()
	for _, p := range state.Projects {
		gauge(w.waiting, float64(p.Lane.Waiting), p.Name)
		gauge(w.inFlight, float64(p.Lane.InFlight), p.Name)
		gauge(w.rate, p.Lane.Pace.Rate, p.Name)
		gauge(w.targets, float64(p.Lane.Pace.Targets), p.Name)
		c <- prometheus.MustNewConstMetric(w.forgotten, prometheus.CounterValue, float64(p.Lane.Pace.Forgotten), p.Name)
		for _, reason := range []pace.Reason{pace.Quota, pace.Storm, pace.Credential, pace.Configuration} {
			held := 0.0
			if p.Lane.Pace.Held == reason {
				held = 1
			}
			gauge(w.held, held, p.Name, reason.String())
		}
		gauge(w.streams, float64(p.Streams), p.Name)
		gauge(w.far, float64(p.FarStreams), p.Name)
		for protocol, n := range p.Connections {
			gauge(w.links, float64(n), p.Name, protocol)
		}
		if !p.TokenExpiry.IsZero() {
			gauge(w.expiry, float64(p.TokenExpiry.UnixMilli())/1000, p.Name)
		}
	}
	c <- prometheus.MustNewConstMetric(w.early, prometheus.CounterValue, float64(state.ForgottenEarly))
}
