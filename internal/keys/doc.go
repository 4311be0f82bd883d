// Package keys knows the server keys of the projects and what each may do. Of a
// key only a keyed hash is kept, in memory and on disk.
//
//	ring, err := keys.NewRing(secret, projects)
//	…
//	project, ok := ring.Lookup(key, keys.Legacy)
//	…
//	err = ring.Replace(projects) // from the next call on
//
// Files are read and written by others; there is no I/O here and no goroutine.
package keys
