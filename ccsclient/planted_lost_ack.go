//go:build planted_lost_ack

package ccsclient

const planted = "lost_ack" // one ack that came is thrown away
