// Package bridge tests the whole bridge from end to end: app servers of all
// three fronts, an assembled Penstock or two, and the simulator as the far end,
// with everything that may go wrong in between. What callers were told is
// compared with the simulator's record.
//
// Most of it happens in bubbles of testing/synctest over a network in memory, so
// that the minutes of FCM's rules take no time; TLS, HTTP/2 and XMPP are the
// real ones there too. What is about sockets and load is on loopback.
package bridge
