// Package pacttest tests both sides of a contract between two services with Pact. A consumer's test records in
// contracts/pacts what it reads of a provider; the provider's test replays that on the real service.
//
// pact-go calls a C library, so everything here needs cgo and the build tag pact. scripts/contracts test runs it all.
package pacttest
