// Package ccs is the front for app servers that speak CCS: it hands the messages
// of a ccsserver to the lanes of their projects.
package ccs
