// Package kubernetes holds the tests of the manifests in this folder.
//
// Those that need a cluster and a Docker engine have the build tag kubernetes, and scripts/test-kubernetes runs them. They
// build the images, apply overlays/local into a namespace of its own, and print what they measure.
package kubernetes
