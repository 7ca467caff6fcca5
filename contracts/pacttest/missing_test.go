//go:build !pact

package pacttest

import (
	"testing"

	"flixtube/chassis/chassistest"
)

// TestPact says why go test work has no test of a pact. .ci/run sets the tag.
func TestPact(t *testing.T) {
	chassistest.Missing(t, "the build tag pact, with libpact_ffi (scripts/contracts install, then scripts/contracts test),")
}
