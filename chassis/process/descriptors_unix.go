//go:build unix

package process

import "syscall"

// descriptors is how many files and connections this process may have open. Go has raised it to the hard limit.
func descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return manyDescriptors
	}
	return int(min(limit.Cur, manyDescriptors))
}
