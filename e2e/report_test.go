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
	{"CPU s/GiB", 2, cpuPerGiB},
	{"first byte p50, ms", 2, func(m measurement) float64 { return percentile(m.firsts, 50) }},
	{"first byte p99, ms", 2, func(m measurement) float64 { return percentile(m.firsts, 99) }},
}

const yardstick = "nginx"

func cpuPerGiB(m measurement) float64 { return m.cpu.Seconds() / float64(m.bytes) * (1 << 30) }

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
	var table strings.Builder
	table.WriteString("| load | |")
	for _, f := range figures {
		table.WriteString(" " + f.name + " |")
	}
	table.WriteString("\n|---|---|" + strings.Repeat("---:|", len(figures)) + "\n")
	for _, l := range streamLoads {
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
	writeReport(b, "streaming.svg", plot(all))
}

// plot draws the CPU per GiB of each load as bars, with that of nginx as 1.
func plot(all measurements) string {
	const left, unit, most, line = 200, 100, 4, 16
	colours := map[string]string{"before": "#b0b7c3", "this site": "#2f6fde"}
	var bars strings.Builder
	y := 44
	for _, l := range streamLoads {
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+12, l.name)
		for _, chain := range slices.Sorted(maps.Keys(all.of[l.name])) {
			if chain == yardstick {
				continue
			}
			_, ratio := all.medians(l.name, chain, cpuPerGiB)
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/><text x="%.0f" y="%d">%.2f × %s</text>`+"\n",
				left, y, min(ratio, most)*unit, line-2, colours[chain], left+min(ratio, most)*unit+6, y+12, ratio, chain)
			y += line
		}
		y += line / 2
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<text x="8" y="20" font-size="14">CPU seconds per GiB of the whole chain, nginx = 1; less is better</text>
%s<line x1="%d" x2="%[4]d" y1="36" y2="%d" stroke="black" stroke-dasharray="4 3"/>
</svg>
`, left+(most+1)*unit+60, y+8, bars.String(), left+unit, y)
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
