// Load waits for a page, then asks for it over and over, and says every second how often that has failed.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A connection for each request: every one is sent to some pod.
var client = http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func ask() error {
	response, err := client.Get(os.Args[1])
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func main() {
	for ask() != nil {
		time.Sleep(time.Second)
	}
	var requests, failed atomic.Int64
	for range 5 {
		go func() {
			for ; ; time.Sleep(20 * time.Millisecond) {
				if ask() != nil {
					failed.Add(1)
				}
				requests.Add(1)
			}
		}()
	}
	for range time.Tick(time.Second) {
		fmt.Printf("requests %d, failed %d\n", requests.Load(), failed.Load())
	}
}
