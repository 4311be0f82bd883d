// Package app puts the rooms together and runs them: the fronts, a lane for each
// project, the way to its far end, and the admin listener.
//
//	a, err := app.New(cfg, app.Options{LogTo: os.Stderr, Ready: func(addr app.Addresses) { … }})
//	…
//	err = a.Run(ctx) // until ctx ends, and then until all is answered
//
// It is the only room that knows all the others, and decides nothing that one of
// them could decide. Reading the configuration and the command line is left to
// config and cli.
package app
