module flixtube/deploy

go 1.26.0
