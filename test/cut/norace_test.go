//go:build !race

package cut_test

const stride = 1 // every byte

// tlsStride is the same over TLS, where handshakes cost more.
const tlsStride = 3
