// Package containers holds the tests of the container files: the Dockerfiles, the compose files, and the publishing of
// images.
//
// Every go test checks the text of the files. The tests that run them need a Docker engine with Compose v2 and some ten
// minutes; they have the build tag containers, and scripts/test-containers runs them. They work on a
// copy of the sources, with ports of their own, and print what they measure.
package containers
