//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/flixtube/launch"
)

const (
	pageClients = 32
	pageRounds  = 3
)

// BenchmarkPages measures the pages of the site, with the embedded servers, for viewers who come again, and how they grow with
// the library. BEFORE and REPORT are as for BenchmarkStreaming.
//
//	go test ./e2e -run '^$' -bench Pages
func BenchmarkPages(b *testing.B) {
	programs(b)
	servers, err := launch.New(launch.Options{Bin: bin, Data: b.TempDir(), Output: launch.NewOutput(&logs)})
	if err != nil {
		b.Fatal(err)
	}
	vars := map[string]string{"RATE_LIMIT": "1000000"}
	b.Cleanup(servers.Stop)
	if err := servers.StartServers(b.Context(), vars); err != nil {
		b.Fatal(err)
	}
	db, err := database.Connect(vars["DBHOST"], "metadata")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	versions := map[string]*site{"this site": newSiteOf(b, bin, vars)}
	if before := os.Getenv("BEFORE"); before != "" {
		versions["before"] = newSiteOf(b, before, vars)
	}
	var table strings.Builder
	table.WriteString("| videos | page | | pages/s | % without a part | CPU ms a page | gateway | metadata | recommendations | history | broker, database |\n" +
		"|---:|---|---|" + strings.Repeat("---:|", 8) + "\n")
	rows := map[string][]pageRow{}
	var names []string
	stored := 0
	for _, videos := range []int{1, 100, 10_000} {
		var more []any
		for ; stored < videos; stored++ {
			more = append(more, bson.M{
				"_id": fmt.Sprintf("page-%d", stored), "name": fmt.Sprintf("Video %d", stored), "owner": "nobody", "duration": 60.5,
				"uploadedAt": time.Now().UTC().Format(time.RFC3339), "contentType": "video/mp4",
			})
		}
		if _, err := db.Collection("videos").InsertMany(b.Context(), more); err != nil {
			b.Fatal(err)
		}
		for round := range pageRounds {
			for _, path := range []string{"/", "/video?id=page-0"} {
				order := slices.Sorted(maps.Keys(versions))
				if round%2 == 1 {
					slices.Reverse(order)
				}
				for _, version := range order {
					name := fmt.Sprintf("| %d | %s | %s |", videos, path, version)
					if round == 0 {
						names = append(names, name)
					}
					rows[name] = append(rows[name], measurePages(b, versions[version], servers.Servers.PID(), path))
				}
			}
		}
	}
	for _, name := range names {
		fmt.Fprintf(&table, "%s %.0f | %.0f |", name, median(column(rows[name], func(r pageRow) float64 { return r.perSecond })),
			median(column(rows[name], func(r pageRow) float64 { return r.partial })))
		for i := range 6 {
			fmt.Fprintf(&table, " %.2f |", median(column(rows[name], func(r pageRow) float64 { return r.cpu[i] })))
		}
		table.WriteString("\n")
	}
	writeReport(b, "pages.md", table.String())
}

// pageRow has the CPU of a page in milliseconds: of all, gateway, metadata, recommendations, history, the embedded servers.
type pageRow struct {
	perSecond, partial float64 // partial in percent
	cpu                [6]float64
}

func column(rows []pageRow, of func(pageRow) float64) (values []float64) {
	for _, r := range rows {
		values = append(values, of(r))
	}
	return values
}

// measurePages asks for a page for a turn, as viewers who have been there before.
func measurePages(b *testing.B, s *site, servers int, path string) (row pageRow) {
	b.Helper()
	cookies := make([]string, pageClients)
	for i := range cookies {
		cookies[i] = s.cookie(b)
	}
	pids := [][]int{
		nil,
		{s.system.Services["gateway"].PID()},
		{s.system.Services["metadata"].PID()},
		{s.system.Services["recommendations"].PID()},
		{s.system.Services["history"].PID()},
		{servers},
	}
	_ = chassistest.Poll(10*time.Second, func() error { // until the site has done with what came before, if it ever gets so far
		r, err := call(b.Context(), http.DefaultClient, http.MethodGet, s.url+path, nil)
		if err == nil && missingPart.Match(r.body) {
			err = errors.New("a part is missing")
		}
		return err
	})
	before, began := cpuTimes(b, pids), time.Now()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pageClients}}
	defer client.CloseIdleConnections()
	var pages, partial atomic.Int64
	var wg sync.WaitGroup
	for _, cookie := range cookies {
		wg.Go(func() {
			for time.Since(began) < turn {
				r, err := call(b.Context(), client, http.MethodGet, s.url+path, nil, "Cookie", cookie)
				if err != nil || r.status != http.StatusOK {
					b.Errorf("%s: %v, %d", path, err, r.status)
					return
				}
				pages.Add(1)
				if missingPart.Match(r.body) { // a service took longer than the page waits
					partial.Add(1)
				}
			}
		})
	}
	wg.Wait()
	row.perSecond = float64(pages.Load()) / time.Since(began).Seconds()
	row.partial = 100 * float64(partial.Load()) / float64(pages.Load())
	for i, cpu := range cpuTimes(b, pids) {
		row.cpu[i] = float64((cpu - before[i]).Microseconds()) / 1000 / float64(pages.Load())
		row.cpu[0] += row.cpu[i]
	}
	return row
}

func cpuTimes(b *testing.B, pids [][]int) (times []time.Duration) {
	b.Helper()
	for _, p := range pids {
		times = append(times, cpuTime(b, p))
	}
	return times
}
