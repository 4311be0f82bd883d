// Package doctor finds out what keeps a Penstock from working, and names the fix.
//
//	summary := doctor.Examine(ctx, cfg, nil, func(f doctor.Finding) { fmt.Println(f.Result, f.Text, f.Fix) })
//	if summary.Bad > 0 { … }
//
// It looks at files, ports and certificates, connects as the server does, with
// the same options, and asks each far end whether it would take a message.
// Nothing is delivered: FCM is asked to validate a message to a token that
// cannot exist, and a CCS endpoint sees a login and a goodbye. Nothing is made
// or changed either; of the data directory it tries for a moment whether it
// can be written.
//
// Texts name hosts, files, accounts and settings; they hold no key, no token
// and no password.
package doctor
