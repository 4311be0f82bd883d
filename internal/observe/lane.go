package observe

import (
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// Lane returns events for the lane of a project.
func (o *Observer) Lane(project string) *downstream.Events {
	m := &o.metrics
	log := o.log.With(keyProject, project)
	send, wait, unknown := m.send.WithLabelValues(project), m.wait.WithLabelValues(project), m.unknown.WithLabelValues(project)
	return &downstream.Events{
		Answered: func(a downstream.Answered) {
			m.sends.WithLabelValues(project, a.Outcome()).Inc()
			wait.Observe(a.Queued.Seconds())
			if a.Tries > 0 {
				send.Observe(a.Sending.Seconds())
			}
			if a.OutcomeUnknown {
				unknown.Inc()
			}
		},
		Held: func(h downstream.Held) {
			m.holds.WithLabelValues(project, h.Why.String()).Inc()
			switch h.Why {
			case pace.Credential, pace.Configuration:
				log.Error("nothing of this project goes out until an operator acts", keyReason, h.Why.String(), "next_try_in", h.For, problem(h.Err))
			default:
				log.Warn("the project waits", keyReason, h.Why.String(), "for", h.For, problem(h.Err))
			}
		},
		Resumed: func(r downstream.Resumed) {
			log.Info("the project waits no more", keyReason, r.Why.String())
		},
	}
}
