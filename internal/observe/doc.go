// Package observe turns the events of the rooms into metrics and log lines.
//
//	obs := observe.New(registry, logger)
//	…
//	srv, err := ccsserver.New(handler, accounts, &ccsserver.Options{Events: obs.CCS()})
//	lane, err := downstream.New(transport, &downstream.Options{Events: obs.Lane("shop")})
//
// Metrics are called penstock_NOUN_UNIT. Their labels come from closed sets: the
// projects' own names, fronts, outcomes, limits, reasons; never from tokens, ids
// or what a peer wrote. Log lines have keys that are constants, and tokens in
// them are cut short. Serving the metrics is left to others.
package observe
