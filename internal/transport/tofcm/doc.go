// Package tofcm is the transport to FCM HTTP v1.
package tofcm
