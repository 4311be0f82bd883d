//go:build planted_twice && !planted_drop

package ccsclient

const planted = "twice" // one message is written twice
