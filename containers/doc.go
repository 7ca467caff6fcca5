// Package containers holds the tests of the container files: the Dockerfiles, the compose files, and the publishing of
// images.
//
// What can be seen in the files is checked by every go test. What must be run needs a Docker engine with Compose v2 and
// takes some ten minutes; those tests have the build tag containers, and scripts/test-containers runs them. They work on a
// copy of the sources, with ports of their own, and print what they measure.
package containers
