package observe

import (
	"time"

	"penstock/fcm"
	"penstock/internal/downstream"
	"penstock/internal/pace"
)

// thirdPartyEach is how often the log says that FCM is refused by Apple or by web
// push. Every message to these devices fails then, and the operator alone can
// mend it.
const thirdPartyEach = 10 * time.Minute

// Lane returns events for the lane of a project.
func (o *Observer) Lane(project string) *downstream.Events {
	m := &o.metrics
	log := o.log.With(keyProject, project)
	send, wait, unknown := m.send.WithLabelValues(project), m.wait.WithLabelValues(project), m.unknown.WithLabelValues(project)
	thirdParty := seldom{each: thirdPartyEach}
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
			if a.Class == fcm.ThirdPartyAuth {
				if leftOut, ok := thirdParty.may(); ok {
					log.Warn("messages fail: the project's key for APNs or web push is missing, wrong or expired", leftOut)
				}
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
