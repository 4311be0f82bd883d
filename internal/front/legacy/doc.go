// Package legacy is the front for senders of legacy HTTP: POST /fcm/send.
package legacy
