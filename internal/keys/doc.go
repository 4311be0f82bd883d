// Package keys knows the server keys of the projects, hashed, and what each may do.
package keys
