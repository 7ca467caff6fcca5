// Package e2e holds the tests of the whole system: journeys in a browser, chaos, the removal saga, the launcher. It has
// nothing but tests.
//
// Each TestJourney… needs only the address of a gateway. When FLIXTUBE_URL names that of a FlixTube which runs already,
// they use it, and tests that need more than the address are skipped:
//
//	FLIXTUBE_URL=http://localhost:4000 go test -count=1 -run '^TestJourney' flixtube/e2e
//
// For a site with https and a certificate of an authority of its own, SSL_CERT_FILE names the authority's.
//
// SCREENSHOTS names a folder for pictures of the pages.
package e2e
