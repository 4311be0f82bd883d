// Package fcmsend sends messages to FCM HTTP v1.
package fcmsend
