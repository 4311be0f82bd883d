// Package pace decides when a message may be tried: quotas, ramp, waits that FCM
// asked for, and the breaker of one project.
package pace
