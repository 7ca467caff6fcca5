package codes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// TestAllNamesEveryCode reads the source: a constant that All lacks would have no translation.
func TestAllNamesEveryCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := All()
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !slices.Contains(all, value) {
			t.Errorf("All lacks %s (%q)", spec.Names[0], value)
		}
		declared++
		return true
	})
	slices.Sort(all)
	if len(slices.Compact(all)) != declared {
		t.Errorf("%d codes are declared, All has %d different ones", declared, len(slices.Compact(all)))
	}
}
