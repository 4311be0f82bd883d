// Package cut breaks one conversation between ccsclient and ccsserver at each
// of its bytes, in each direction: by a cut, a reset, a half-close, a flipped
// bit. Whatever byte it is, the pool comes back and finishes, and the callers
// learn the truth. It is all in bubbles of testing/synctest, through a link of
// faultproxy.
package cut
