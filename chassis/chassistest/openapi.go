package chassistest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"
)

// Documented returns h. The test fails if an answer of h, to a route that exists, is not as its GET /openapi.json says. If
// h is an Echo, the test fails, too, unless the document has its routes and no others.
func Documented(tb testing.TB, h http.Handler) http.Handler {
	tb.Helper()
	api := OpenAPI(tb, h)
	if e, ok := h.(*echo.Echo); ok {
		DocumentedRoutes(tb, h, e)
	}
	router, err := legacy.NewRouter(api)
	if err != nil {
		tb.Fatalf("the OpenAPI document: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked := req.Clone(context.WithoutCancel(req.Context())) // handlers may change the request
		recorded := &recorder{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(recorded, req)
		if err := recorded.check(router, asked); err != nil {
			tb.Errorf("%s %s is answered otherwise than /openapi.json says: %v", asked.Method, asked.URL, err)
		}
	})
}

// DocumentedRoutes fails the test unless the OpenAPI document that h answers with has the routes of e and no others.
func DocumentedRoutes(tb testing.TB, h http.Handler, e *echo.Echo) {
	tb.Helper()
	documented := map[string]bool{}
	for path, item := range OpenAPI(tb, h).Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	for _, route := range e.Routes() {
		name := route.Method + " " + pathParameter.ReplaceAllString(route.Path, "{$1}")
		if !documented[name] {
			tb.Errorf("/openapi.json lacks %s", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		tb.Errorf("/openapi.json has %s, which is no route", name)
	}
}

var pathParameter = regexp.MustCompile(`:(\w+)`)

// OpenAPI returns the document that h answers GET /openapi.json with. It fails the test unless that is valid OpenAPI 3.1.
func OpenAPI(tb testing.TB, h http.Handler) *openapi3.T {
	tb.Helper()
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	api, err := openapi3.NewLoader().LoadFromData(res.Body.Bytes())
	if err == nil {
		err = api.Validate(tb.Context())
	}
	if err != nil || !strings.HasPrefix(api.OpenAPI, "3.1.") {
		tb.Fatalf("GET /openapi.json: %d, no valid document of OpenAPI 3.1: %v", res.Code, err)
	}
	return api
}

// maxRecorded bounds what is kept of a body, in bytes. JSON answers are shorter.
const maxRecorded = 1 << 20

// recorder keeps the JSON of an answer while it passes.
type recorder struct {
	http.ResponseWriter
	status int
	json   bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.isJSON() && r.json.Len() < maxRecorded {
		r.json.Write(p)
	}
	return r.ResponseWriter.Write(p)
}

// ReadFrom keeps the way of the bytes of a video short.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.isJSON() {
		return io.Copy(struct{ io.Writer }{r}, src)
	}
	return io.Copy(r.ResponseWriter, src)
}

func (r *recorder) isJSON() bool {
	return strings.HasPrefix(r.Header().Get("Content-Type"), "application/json")
}

func (r *recorder) check(router routers.Router, req *http.Request) error {
	req.URL.Host, req.URL.Scheme = "", ""
	route, parameters, err := router.FindRoute(req)
	if err != nil {
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed {
			return nil // not a route
		}
		return fmt.Errorf("no such route is documented, and the answer is %d: %w", r.status, err)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: parameters},
		Status:                 r.status, Header: r.Header(),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: !r.isJSON()},
	}
	input.SetBodyBytes(r.json.Bytes())
	return openapi3filter.ValidateResponse(req.Context(), input)
}
