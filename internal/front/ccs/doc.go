// Package ccs is the front for app servers that speak CCS: it hands the messages
// of a ccsserver to the lanes of their projects, and says who may log in.
//
//	h := ccs.New(ring, func(project string) ccs.Lane { … }, nil)
//	srv, err := ccsserver.New(h, ccs.Accounts(ring), &ccsserver.Options{…})
package ccs
