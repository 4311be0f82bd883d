//go:build planted_early_ack

package ccsclient

const planted = "early_ack" // messages from devices are acked before their handler has run
