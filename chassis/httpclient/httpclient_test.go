package httpclient_test

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
)

// TestGetJSON: whatever the answer, its connection serves the next request, too.
func TestGetJSON(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/found" {
			_, _ = io.WriteString(w, `{"name":"x"}`)
			w.(http.Flusher).Flush() // what follows comes when the value is decoded
			_, _ = io.WriteString(w, "\n")
			return
		}
		http.Error(w, strings.Repeat("secret ", 1000), http.StatusNotFound)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for range 10 {
		for path, want := range map[string]int{"/found": 200, "/nothing": 404} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Name string }
			err = httpclient.GetJSON(server.Client(), req, &answer)
			var status *httpclient.StatusError
			if want == 200 && (err != nil || answer.Name != "x") {
				t.Errorf("%s: %+v, %v", path, answer, err)
			}
			if want != 200 && (!errors.As(err, &status) || status.Status != want || errors.As(err, new(*web.Error))) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
}

func TestErrors(t *testing.T) {
	for body, want := range map[string]httpclient.StatusError{
		`{"error":"too long","code":"invalid_name","args":{"max":200}}`: {Code: "invalid_name", Message: "too long", Args: map[string]any{"max": 200.0}},
		`{"error":"old"}`:        {Message: "old"},
		`{"error":"x","code":7}`: {},
		"<html>502":              {},
		"":                       {},
		`{"code":"` + strings.Repeat("x", 70<<10):     {},
		`{"error":null,"code":"a","args":null,"b":1}`: {Code: "a"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, body)
		}))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got *httpclient.StatusError
		err = httpclient.Send(server.Client(), req)
		if !errors.As(err, &got) || got.Status != http.StatusConflict || got.Code != want.Code || got.Message != want.Message ||
			!maps.Equal(got.Args, want.Args) {
			t.Errorf("%.50s: %+v", body, err)
		}
		server.Close()
	}
}

func TestSend(t *testing.T) {
	for _, status := range []int{200, 201, 204} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := httpclient.Send(server.Client(), req); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
}
