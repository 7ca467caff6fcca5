# bash contracts.sh: tests the contracts between the services.
set -e
export CGO_LDFLAGS="-L$PWD/lib" LD_LIBRARY_PATH=$PWD/lib DYLD_LIBRARY_PATH=$PWD/lib
export PACT_DO_NOT_TRACK=true # it would tell its makers about this run
go test -count=1 -tags pact -run Contract ./history
go test -count=1 -tags pact -run Contract ./video-streaming
