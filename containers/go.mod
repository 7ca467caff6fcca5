module flixtube/containers

go 1.26.0
