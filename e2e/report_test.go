//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// measurements are those of all rounds. Ratios are those of each round, to nginx.
type measurements struct {
	rounds int
	memory []string // lines of a table

	of map[string]map[string][]measurement // by load and chain
}

func (a *measurements) add(l streamLoad, c *chain, m measurement) {
	if a.of == nil {
		a.of = map[string]map[string][]measurement{}
	}
	if a.of[l.name] == nil {
		a.of[l.name] = map[string][]measurement{}
	}
	a.of[l.name][c.name] = append(a.of[l.name][c.name], m)
}

var figures = []struct {
	name   string
	digits int
	of     func(measurement) float64
}{
	{"MB/s", 0, func(m measurement) float64 { return float64(m.bytes) / 1e6 / m.took.Seconds() }},
	{"requests/s", 0, func(m measurement) float64 { return float64(m.requests) / m.took.Seconds() }},
	{"CPU s/GiB", 2, func(m measurement) float64 { return m.cpu.Seconds() / float64(m.bytes) * (1 << 30) }},
	{"first byte p50, ms", 2, func(m measurement) float64 { return percentile(m.firsts, 50) }},
	{"first byte p99, ms", 2, func(m measurement) float64 { return percentile(m.firsts, 99) }},
}

const yardstick = "nginx"

// medians are those of a figure on a chain, and of its ratio to that of nginx in the same round.
func (a *measurements) medians(load, chain string, of func(measurement) float64) (value, ratio float64) {
	var values, ratios []float64
	for round, m := range a.of[load][chain] {
		values = append(values, of(m))
		ratios = append(ratios, of(m)/of(a.of[load][yardstick][round]))
	}
	return median(values), median(ratios)
}

// report prints the tables, and writes them and the plot into the folder REPORT.
func report(b *testing.B, all measurements) {
	b.Helper()
	var table, plot strings.Builder
	table.WriteString("| load | |")
	for _, f := range figures {
		table.WriteString(" " + f.name + " |")
	}
	table.WriteString("\n|---|---|" + strings.Repeat("---:|", len(figures)) + "\n")
	y := 40
	for _, l := range streamLoads {
		fmt.Fprintf(&plot, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", y, l.name)
		y += 20
		for _, chain := range slices.Sorted(maps.Keys(all.of[l.name])) {
			fmt.Fprintf(&table, "| %s | %s |", l.name, chain)
			for _, f := range figures {
				value, ratio := all.medians(l.name, chain, f.of)
				fmt.Fprintf(&table, " %.*f", f.digits, value)
				if chain != yardstick {
					fmt.Fprintf(&table, " (%.2f ×)", ratio)
				}
				table.WriteString(" |")
			}
			table.WriteString("\n")
		}
	}
	fmt.Fprintf(&table, "\n| after 256 connections | resident MiB |\n|---|---:|\n%s\n", strings.Join(all.memory, "\n"))
	fmt.Fprintf(&table, "\nMedians of %d rounds; × is the median of the ratios to nginx.\n", all.rounds)
	writeReport(b, "streaming.md", table.String())
}

// writeReport prints what is to be read, and writes it into the folder REPORT.
func writeReport(b *testing.B, name, content string) {
	b.Helper()
	fmt.Fprintf(os.Stdout, "\n%s\n", content)
	folder := os.Getenv("REPORT")
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}
