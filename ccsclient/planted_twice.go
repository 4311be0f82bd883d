//go:build planted_twice

package ccsclient

const planted = "twice" // one message is written twice
