// Package translate turns the legacy dialects of FCM into HTTP v1 and v1 outcomes
// back into the words of the legacy dialects. Everything here is pure.
package translate
