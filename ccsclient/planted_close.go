//go:build planted_close

package ccsclient

const planted = "close" // a draining stream is closed at once, with what is unanswered on it
