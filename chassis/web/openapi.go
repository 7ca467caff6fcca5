package web

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// openAPI describes in OpenAPI 3.1 what services have in common.
//
//go:embed openapi.json
var openAPI []byte

type document struct {
	Version    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Paths      map[string]json.RawMessage            `json:"paths"`
	Components map[string]map[string]json.RawMessage `json:"components,omitempty"`
}

// OpenAPI answers GET /openapi.json with own, an OpenAPI 3.1 document of the service's own routes, completed by those of
// e that services have in common and by components that errors need. It panics if own is no such document.
func OpenAPI(e *echo.Echo, own []byte) echo.HandlerFunc {
	var doc, common document
	for content, into := range map[*[]byte]*document{&own: &doc, &openAPI: &common} {
		if err := json.Unmarshal(*content, into); err != nil {
			panic(fmt.Errorf("read the OpenAPI document: %w", err))
		}
	}
	if doc.Components == nil {
		doc.Components = map[string]map[string]json.RawMessage{}
	}
	for kind, components := range common.Components {
		if doc.Components[kind] == nil {
			doc.Components[kind] = map[string]json.RawMessage{}
		}
		for name, component := range components {
			doc.Components[kind][name] = component
		}
	}
	return func(c echo.Context) error {
		all := doc
		all.Paths = map[string]json.RawMessage{}
		for _, route := range e.Routes() {
			if path, ok := common.Paths[route.Path]; ok {
				all.Paths[route.Path] = path
			}
		}
		for name, path := range doc.Paths {
			all.Paths[name] = path
		}
		return c.JSON(http.StatusOK, all)
	}
}
