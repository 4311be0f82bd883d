// Package doctor finds out why a Penstock does not work, and names the fix.
package doctor
