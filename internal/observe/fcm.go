package observe

import (
	"time"

	"penstock/fcmsend"
)

// FCM returns events for the sender of a project.
func (o *Observer) FCM(project string) *fcmsend.Events {
	m := &o.metrics
	log := o.log.With(keyProject, project)
	return &fcmsend.Events{
		TokenRefreshed: func(expiry time.Time) {
			m.refresh.WithLabelValues(project, "ok").Inc()
			log.Info("a new access token is there", "until", expiry)
		},
		TokenFailed: func(err error, next time.Time) {
			m.refresh.WithLabelValues(project, "failed").Inc()
			log.Error("no access token", problem(err), "next_try", next)
		},
		CredentialsSwapped: func() {
			m.swaps.WithLabelValues(project, "taken").Inc()
			log.Info("the changed credential file is in use")
		},
		CredentialsBroken: func(err error) {
			m.swaps.WithLabelValues(project, "refused").Inc()
			log.Error("the changed credential file cannot be used; the old one stays", problem(err))
		},
		ConnectionOpened: func(c fcmsend.ConnectionInfo) {
			m.dials.WithLabelValues(project, "ok").Inc()
			log.Debug("a connection to FCM is open", "connection", c.ID, "protocol", c.Protocol)
		},
		ConnectionClosed: func(c fcmsend.ConnectionInfo, err error) {
			log.Debug("a connection to FCM is gone", "connection", c.ID, problem(err))
		},
		DialFailed: func(err error, next time.Time) {
			m.dials.WithLabelValues(project, "failed").Inc()
			log.Warn("no connection to FCM", problem(err), "next_try", next)
		},
		GoAway: func(c fcmsend.ConnectionInfo, code, reason string) {
			m.goAways.WithLabelValues(project).Inc()
			log.Info("FCM wants a connection to end", "connection", c.ID, "code", code, keyReason, reason)
		},
	}
}
