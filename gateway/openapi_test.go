package main

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

func routes() *echo.Echo {
	e := web.NewEcho(slog.New(slog.DiscardHandler))
	none := echo.HandlerFunc(func(echo.Context) error { return nil })
	gateway{video: none, poster: none, position: none, upload: none, tus: none}.routes(e)
	return e
}

// TestRoutesAreDocumented: the public document has every route, and no others. start compares the answers.
func TestRoutesAreDocumented(t *testing.T) {
	e := routes()
	chassistest.DocumentedRoutes(t, e, e)
}

var update = flag.Bool("update", false, "write the table of docs/api.md")

// TestAPIPage: the table of docs/api.md is the one that openapi.json makes.
func TestAPIPage(t *testing.T) {
	const page, mark = "../docs/api.md", "<!-- routes -->\n"
	current, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, found := strings.Cut(string(current), mark)
	if !found {
		t.Fatalf("%s has no %s", page, mark)
	}
	want := prose + mark + apiTable(t)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(current) != want {
		t.Errorf("%s is not as openapi.json makes it; run this test with -update", page)
	}
}

func apiTable(t *testing.T) string {
	t.Helper()
	document := chassistest.OpenAPI(t, routes())
	var table strings.Builder
	table.WriteString("\n| route | does | parameters | answers |\n|---|---|---|---|\n")
	for _, path := range document.Paths.InMatchingOrder() {
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		operations := document.Paths.Find(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			o := operations[method]
			var parameters, answers []string
			for _, p := range o.Parameters {
				text := fmt.Sprintf("`%s`: %s", p.Value.Name, p.Value.Description)
				if !p.Value.Required {
					text += " (optional)"
				}
				parameters = append(parameters, text)
			}
			for status, answer := range o.Responses.Map() {
				if status != "default" {
					answers = append(answers, status+" "+*answer.Value.Description)
				}
			}
			slices.Sort(answers)
			fmt.Fprintf(&table, "| `%s %s` | %s | %s | %s |\n", method, path, o.Summary, strings.Join(parameters, "<br>"), strings.Join(answers, "<br>"))
		}
	}
	return table.String()
}
