//go:build planted_drop

package ccsclient

const planted = "drop" // one message is called acked and never written
