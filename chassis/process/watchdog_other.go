//go:build !unix

package process

import "errors"

func killOthers() error { return errors.ErrUnsupported }
