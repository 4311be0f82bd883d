// Package toccs is the transport to any CCS endpoint.
package toccs
