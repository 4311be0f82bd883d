// Package app puts the rooms together and runs them.
package app
