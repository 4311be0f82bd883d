//go:build planted_window

package ccsclient

const planted = "window" // one message more than the window may be unanswered
