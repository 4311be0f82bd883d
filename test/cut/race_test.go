//go:build race

package cut_test

// stride is every how many bytes the conversation is broken. The race detector
// makes each bubble some ten times slower; without it each byte has its turn.
const stride = 7

// tlsStride is the same over TLS, where handshakes cost more.
const tlsStride = 71
