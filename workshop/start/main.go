// Start puts the code that a chapter of the workshop begins with into a new folder.
//
//	go run ./workshop/start CHAPTER DIR     as in: go run ./workshop/start 6 ~/workshop
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"flixtube/workshop"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: go run ./workshop/start CHAPTER DIR")
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%q is not the number of a chapter", args[0])
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	repository, err := workshop.Repository(here)
	if err != nil {
		return err
	}
	if err := workshop.Start(repository, number, args[1]); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is ready for chapter %d\n", args[1], number)
	return nil
}
