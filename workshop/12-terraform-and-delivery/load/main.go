// Load asks for a page over and over, and says every second how often that has failed.
package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	// A connection for each request: every one is sent to some pod.
	client := http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var requests, failed atomic.Int64
	for range 5 {
		go func() {
			for ; ; time.Sleep(20 * time.Millisecond) {
				response, err := client.Get(os.Args[1])
				if err != nil || response.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					response.Body.Close()
				}
				requests.Add(1)
			}
		}()
	}
	for range time.Tick(time.Second) {
		fmt.Printf("requests %d, failed %d\n", requests.Load(), failed.Load())
	}
}
