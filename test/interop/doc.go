// Package interop runs programs by others, built on their own unchanged
// libraries, against penstock sim. It holds nothing but tests; the script run
// in this directory installs what they need and starts them. README.md tells
// the rest.
package interop
