package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
)

func TestPosition(t *testing.T) {
	var got string
	gateway := start(t, time.Second, fakes{"history": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.String() + " " + web.Viewer(r.Header) + " " + string(body)
		w.WriteHeader(http.StatusNoContent)
	}})
	viewer := strings.Repeat("v", 32)
	req := request(t, "POST", gateway+"/api/position?video=a%26b", strings.NewReader(`{"position":1,"duration":2}`),
		"Cookie", "viewer="+viewer, "Content-Type", "application/json", "Origin", gateway)
	if res, body := do(t, req); res.StatusCode != 204 || got != "PUT /position?video=a%26b "+viewer+` {"position":1,"duration":2}` {
		t.Errorf("%s %s; history got %s", res.Status, body, got)
	}
	if res, _ := do(t, request(t, "GET", gateway+"/api/position?video=x", nil)); res.StatusCode != 405 {
		t.Errorf("GET: %s", res.Status)
	}
}
