// Package v1 is the front for senders of HTTP v1.
package v1
