//go:build planted_lost_ack

package ccsclient

const planted = "lost_ack" // ten acks that came are thrown away
