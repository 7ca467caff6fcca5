// Package containers holds the tests of the container files: the Dockerfiles, the compose files, and the publishing of
// images.
//
// What can be seen in the files is checked by every go test. What must be run needs a Docker engine with Compose v2, takes
// some ten minutes, and is done when CONTAINERS gives the prefix of the names of what the tests make: scripts/test-containers
// does that. They work on a copy of the sources, with ports of their own, and print what they measure.
package containers
