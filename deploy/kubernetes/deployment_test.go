//go:build kubernetes

package kubernetes

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var full = flag.Bool("full", false, "every failure, and what each kind of request costs")

// deployment is a running site and what was done on it.
type deployment struct {
	*cluster
	ids     []string // of the sample videos
	long    string
	content []byte // of the long video
}

func TestDeployment(t *testing.T) {
	d := &deployment{cluster: newCluster(t)}
	d.apply()
	for i, sample := range readSamples(t) {
		d.ids = append(d.ids, upload(t, d.site, fmt.Sprintf("sample%d.mp4", i), sample))
	}
	d.content = newLongVideo(t)
	d.long = upload(t, d.site, "long.mp4", d.content)
	d.waitListed()

	for _, step := range []struct {
		name string
		run  func(*deployment)
		full bool // only with -full
	}{
		{"only the gateway is exposed", (*deployment).testExposed, false},
		{"smoke", (*deployment).testSmoke, false},
		{"videos of others", (*deployment).testVideosOfOthers, false},
		{"journeys", (*deployment).testJourneys, false},
		{"steady load", (*deployment).testSteady, true},
		{"rolling restart", (*deployment).testRollingRestart, false},
		{"pods deleted", (*deployment).testPodsDeleted, false},
		{"servers deleted", (*deployment).testServersDeleted, true},
		{"broker away", (*deployment).testBrokerAway, true},
		{"an image that does not start", (*deployment).testBrokenImage, true},
		{"three replicas", (*deployment).testThreeReplicas, true},
		{"costs", (*deployment).testCosts, true},
		{"backup and restore", (*deployment).testBackup, true},
	} {
		if step.full && !*full {
			continue
		}
		t.Run(step.name, func(t *testing.T) {
			inner, base := *d, *d.cluster
			inner.cluster, base.t = &base, t
			started := time.Now()
			step.run(&inner)
			t.Logf("%s took %.0f s", step.name, time.Since(started).Seconds())
		})
	}
}

func (d *deployment) waitListed() {
	d.t.Helper()
	waitFor(d.t, "all videos in the library", func() error {
		ids, err := listed(d.site)
		for _, id := range append(slices.Clone(d.ids), d.long) {
			if err == nil && !slices.Contains(ids, id) {
				err = fmt.Errorf("%s is not on it", id)
			}
		}
		return err
	})
}

func (d *deployment) load() *load { return startLoad(d.t, d.site, d.ids, d.long, d.content) }

// under runs f under load, and checks that no request fails and that every view is recorded once.
func (d *deployment) under(what string, f func()) {
	d.t.Helper()
	before := d.settled()
	l := d.load()
	defer l.mustSucceed(d.t, what) // prints what there was, also if f fails
	f()
	l.stop()
	d.allRecorded(before, l.views)
}

// while lets the load go on for some time.
func while(length time.Duration) { <-time.After(length) }

// recorded returns the ids of all views that history knows.
func (d *deployment) recorded() map[string]bool {
	d.t.Helper()
	const page = 500
	ids := map[string]bool{}
	for skip := 0; ; skip += page {
		var list struct {
			History []struct {
				ID string `json:"_id"`
			}
		}
		path := fmt.Sprintf("/api/v1/namespaces/%s/services/history:http/proxy/history?skip=%d&limit=%d", d.namespace, skip, page)
		waitFor(d.t, "history", func() error { return d.raw(path, &list) })
		for _, view := range list.History {
			ids[view.ID] = true
		}
		if len(list.History) < page {
			return ids
		}
	}
}

// settled waits until the views of what came before are recorded, and returns all.
func (d *deployment) settled() (ids map[string]bool) {
	d.t.Helper()
	waitFor(d.t, "no more views to come", func() error {
		before := len(ids)
		while(3 * time.Second)
		if ids = d.recorded(); len(ids) != before {
			return fmt.Errorf("%d are new", len(ids)-before)
		}
		return nil
	})
	return ids
}

// allRecorded waits until exactly these views were added to those from before.
func (d *deployment) allRecorded(before map[string]bool, views []string) {
	d.t.Helper()
	started := time.Now()
	var missing, more int
	waitFor(d.t, "all views in history", func() error {
		now := d.recorded()
		missing, more = 0, len(now)-len(before)-len(views)
		for _, view := range views {
			if !now[view] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d are missing", missing, len(views))
		}
		return nil
	})
	if more != 0 {
		d.t.Errorf("history has %d views more than were made", more)
	}
	measured(d.t, fmt.Sprintf("of %d views %d lost, %d too many; all were there after", len(views), missing, more), time.Since(started))
}

func (d *deployment) testExposed() {
	types := d.kubectl("get", "services", "-o", `jsonpath={range .items[*]}{.metadata.name}={.spec.type} {end}`)
	for entry := range strings.FieldsSeq(types) {
		name, kind, _ := strings.Cut(entry, "=")
		if want := map[bool]string{true: "NodePort", false: "ClusterIP"}[name == "gateway"]; kind != want {
			d.t.Errorf("service %s is a %s, not a %s", name, kind, want)
		}
	}
	for _, p := range d.pods("") {
		if _, err := d.try("exec", p.Metadata.Name, "--", "/service", "-version"); workloads[p.service()] != "" && err != nil {
			d.t.Errorf("%s: %v", p.Metadata.Name, err)
		}
		for _, v := range p.Spec.Volumes {
			for _, source := range v.Projected.Sources {
				if source.ServiceAccountToken != nil {
					d.t.Errorf("%s has a token in its volume %s", p.Metadata.Name, v.Name)
				}
			}
		}
	}
}

// testSmoke runs the check that every release has to pass.
func (d *deployment) testSmoke() {
	started := time.Now()
	d.run(exec.Command("../../scripts/smoke", d.site))
	measured(d.t, "smoke: upload, watch, find in the history, remove", time.Since(started))
}

// testVideosOfOthers renames and removes a video as an operator does who is not its owner, with the commands of
// docs/operations.md.
func (d *deployment) testVideosOfOthers() {
	started := time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), 5*time.Minute)
	forward := exec.CommandContext(ctx, "kubectl", "--namespace", d.namespace, "port-forward", "service/metadata", ":80")
	forward.Stderr = os.Stderr
	output, err := forward.StdoutPipe()
	if err == nil {
		err = forward.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { cancel(); _ = forward.Wait() }()
	line, err := bufio.NewReader(output).ReadString('\n')
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || address == "" {
		d.t.Fatalf("port-forward says %q, error %v", line, err)
	}
	videos := func(args ...string) string {
		d.t.Helper()
		cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./flixtube", "videos"}, args...)...)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "METADATA_URL=http://"+address, "GOWORK=")
		return d.run(cmd)
	}

	id := upload(d.t, d.site, "of-a-stranger.mp4", readSamples(d.t)[0])
	waitFor(d.t, "the video in the operator's list", func() error {
		if list := videos("list"); !strings.Contains(list, id) {
			return errors.New(list)
		}
		return nil
	})
	const title = "a title of the operator's"
	videos("rename", id, title)
	if shown := videos("show", id); !strings.Contains(shown, title) {
		d.t.Errorf("the renamed video is shown as\n%s", shown)
	}
	videos("remove", id)
	waitFor(d.t, "the end of the removed bytes", func() error {
		_, err := get(d.site+"/api/video?id="+id, "Range", "bytes=0-0")
		if err == nil {
			return errors.New("they are still there")
		}
		if !strings.Contains(err.Error(), "404") {
			return err
		}
		return nil
	})
	measured(d.t, "videos list, rename, show and remove through kubectl port-forward", time.Since(started))
}

// testJourneys runs journeys of e2e: with -full all of them.
func (d *deployment) testJourneys() {
	started := time.Now()
	pattern := "^TestJourney(Watch|Owner|History)$"
	if *full {
		pattern = "^TestJourney"
	}
	cmd := exec.Command("go", "test", "-count=1", "-run", pattern, "-v", "flixtube/e2e")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "FLIXTUBE_URL="+d.site, "GOWORK=")
	output, err := cmd.CombinedOutput()
	passed := regexp.MustCompile(`(?m)^--- PASS: TestJourney`).FindAll(output, -1)
	if err != nil || len(passed) == 0 {
		d.t.Errorf("the journeys: %v\n%s", err, output)
	}
	measured(d.t, fmt.Sprintf("%d journeys of the whole system", len(passed)), time.Since(started))
}

// testSteady measures what the pods use while nothing happens to them.
func (d *deployment) testSteady() {
	d.under("steady load", func() {
		before := d.usages()
		while(20 * time.Second)
		after := d.usages()
		cores, memory := map[string]float64{}, map[string]int64{}
		for name, a := range after {
			cores[a.service] += (a.cpu - before[name].cpu).Seconds() / a.at.Sub(before[name].at).Seconds()
			memory[a.service] = max(memory[a.service], a.memory)
		}
		for _, name := range slices.Sorted(maps.Keys(cores)) {
			measured(d.t, "all pods of "+name+" under this load", fmt.Sprintf("%.3f cores; the largest holds %d MiB", cores[name], memory[name]>>20))
		}
	})
	d.noRestarts()
}

// testCosts measures the CPU that each kind of request costs in each service.
func (d *deployment) testCosts() {
	cost := func(what string, units float64, work func()) {
		before := d.usages()
		work()
		seconds := map[string]float64{}
		for name, a := range d.usages() {
			seconds[a.service] += (a.cpu - before[name].cpu).Seconds()
		}
		var list []string
		for _, name := range slices.Sorted(maps.Keys(seconds)) {
			list = append(list, fmt.Sprintf("%s %.2f", name, 1000*seconds[name]/units))
		}
		measured(d.t, "CPU milliseconds for one "+what, strings.Join(list, ", "))
	}
	// at makes n requests, four at a time.
	at := func(n int, path func() string, headers ...string) func() {
		return func() {
			var four sync.WaitGroup
			for range 4 {
				four.Go(func() {
					for range n / 4 {
						if _, err := get(d.site+path(), headers...); err != nil {
							d.t.Error(err)
							return
						}
					}
				})
			}
			four.Wait()
		}
	}
	cost("home page", 400, at(400, func() string { return "/" }))
	cost("page of a video", 400, at(400, func() string { return "/video?id=" + d.ids[0] }))
	cost("view that begins", 2000, at(2000, func() string { return "/api/video?id=" + d.ids[0] + "&view=" + newUUID() }, "Range", "bytes=0-0"))
	more := "/api/video?id=" + d.long + "&view=" + newUUID()
	cost("range of 64 KiB", 2000, at(2000, func() string { return more }, "Range", "bytes=5000000-5065535"))
	cost("GiB of long ranges", 2, at(32, func() string { return more }, "Range", fmt.Sprintf("bytes=1-%d", longVideo)))
}

func (d *deployment) testRollingRestart() {
	d.under("rolling restart of every service", func() {
		started := time.Now()
		d.kubectl("rollout", "restart", "deployment,statefulset", "--selector", "app.kubernetes.io/part-of=flixtube")
		d.rolledOut()
		measured(d.t, "rolling restart of every service", time.Since(started))
	})
}

// testPodsDeleted deletes one pod of every service at the same time and, with -full, the others when these are replaced.
func (d *deployment) testPodsDeleted() {
	rounds, what := 1, "one pod of every service deleted"
	if *full {
		rounds, what = 2, "every pod deleted once"
	}
	d.under(what, func() {
		var names []string
		old := map[string][]string{}
		for service := range workloads {
			for _, p := range d.pods(service) {
				old[service] = append(old[service], p.Metadata.Name)
			}
			if len(old[service]) != 2 {
				d.t.Fatalf("%s has the pods %v", service, old[service])
			}
		}
		started := time.Now()
		for i := range rounds {
			var some []string
			for service := range workloads {
				some = append(some, old[service][i])
			}
			names = append(names, some...)
			d.kubectl(append([]string{"delete", "pod", "--wait=true"}, some...)...)
			d.rolledOut()
		}
		measured(d.t, fmt.Sprintf("%d pods deleted and replaced", len(names)), time.Since(started))
	})
}

// testServersDeleted deletes the pods of the broker and of the database. What is watched meanwhile must play and be
// recorded; pages may lack the parts that come from the database.
func (d *deployment) testServersDeleted() {
	d.under("the pod of rabbit deleted", func() {
		// With nobody there who takes them, the messages stay in the queue.
		d.kubectl("scale", "deployment/history", "--replicas=0")
		d.kubectl("wait", "pod", "--selector", "app.kubernetes.io/name=history", "--for=delete", "--timeout=2m")
		before := 0
		waitFor(d.t, "messages that wait for history", func() error {
			before = d.messages("history.viewed")
			if before < 50 {
				return fmt.Errorf("there are %d", before)
			}
			return nil
		})
		d.kubectl("delete", "pod", "rabbit-0")
		d.kubectl("rollout", "status", "statefulset/rabbit", "--timeout=5m")
		after := 0
		waitFor(d.t, "the messages that waited", func() error { // RabbitMQ counts them some seconds after its start
			after = d.messages("history.viewed")
			if after < before {
				return fmt.Errorf("of %d messages %d are there", before, after)
			}
			return nil
		})
		measured(d.t, "messages in history.viewed before its broker's pod was deleted, and after", fmt.Sprintf("%d, %d", before, after))
		d.kubectl("scale", "deployment/history", "--replicas=2")
		d.rolledOut()
	})
	d.under("the pod of db deleted", func() {
		started := time.Now()
		d.kubectl("delete", "pod", "db-0")
		d.rolledOut()
		measured(d.t, "the pod of db deleted and replaced, the services ready again", time.Since(started))
	})
	d.waitListed()
	d.noRestarts()
}

// messages returns how many are in a queue.
func (d *deployment) messages(queue string) (n int) {
	d.t.Helper()
	output := d.queues("messages")
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(queue) + `\t(\d+)$`).FindStringSubmatch(output)
	if match == nil {
		d.t.Fatalf("there is no queue %s:\n%s", queue, output)
	}
	n, _ = strconv.Atoi(match[1])
	return n
}

// queues returns a line for each queue: its name, a tab, and how many it has of what.
func (d *deployment) queues(what string) (list string) {
	d.t.Helper()
	waitFor(d.t, "the broker's list of queues", func() (err error) {
		// In front of the program Debian has a script of the same name, which wants another user.
		list, err = d.try("exec", "rabbit-0", "--", "sh", "-c",
			"PATH=/usr/lib/rabbitmq/bin:$PATH exec rabbitmqctl -q list_queues name "+what)
		if err != nil {
			err = fmt.Errorf("%w\n%.300s", err, list)
		}
		return err
	})
	return list
}

// testBrokerAway takes the broker away for longer than the liveness probes are patient.
func (d *deployment) testBrokerAway() {
	const away = 3 * time.Minute
	d.under(fmt.Sprintf("RabbitMQ away for %v", away), func() {
		d.kubectl("scale", "statefulset/rabbit", "--replicas=0")
		d.kubectl("wait", "pod/rabbit-0", "--for=delete", "--timeout=2m")
		while(away)
		d.noRestarts()
		d.kubectl("scale", "statefulset/rabbit", "--replicas=1")
		d.rolledOut()
	})
	d.noRestarts()
	measured(d.t, fmt.Sprintf("containers restarted while RabbitMQ was away for %v", away), 0)
}

// testBrokenImage deploys an image in which nothing can be started.
func (d *deployment) testBrokenImage() {
	broken := d.image("broken")
	cmd := exec.Command("sh", "-c", `tar -c --files-from /dev/null | docker import --change 'ENTRYPOINT ["/service"]' - "$0"`, broken)
	d.run(cmd)
	d.cluster.load(broken)
	targets := []string{"deployment/history", "statefulset/video-streaming"}
	d.under("a release that does not start, rolled back", func() {
		for _, target := range targets {
			d.kubectl("set", "image", target, "service="+broken)
		}
		for _, target := range targets {
			_, service, _ := strings.Cut(target, "/")
			waitFor(d.t, "a pod of "+service+" that does not start", func() error {
				for _, p := range d.pods(service) {
					for _, container := range p.Status.ContainerStatuses {
						if r := container.State.Waiting.Reason; r == "CrashLoopBackOff" || r == "RunContainerError" {
							return nil
						}
					}
				}
				return errors.New("there is none")
			})
			if output, err := d.try("rollout", "status", target, "--timeout=10s"); err == nil {
				d.t.Errorf("%s is rolled out: %s", target, output)
			}
			ready := 0
			for _, p := range d.pods(service) {
				if p.ready() {
					ready++
				}
			}
			measured(d.t, "old pods of "+service+" that serve", ready)
			if ready == 0 {
				d.t.Errorf("no pod of %s serves", service)
			}
		}
		started := time.Now()
		for _, target := range targets {
			d.kubectl("rollout", "undo", target)
		}
		d.rolledOut()
		measured(d.t, "rolled back", time.Since(started))
	})
}

func (d *deployment) testThreeReplicas() {
	d.under("scaled to three pods of every service", func() {
		started := time.Now()
		d.kubectl("scale", "deployment,statefulset", "--selector", "app.kubernetes.io/part-of=flixtube", "--replicas=3")
		d.rolledOut()
		for service := range workloads {
			if pods := d.pods(service); len(pods) != 3 {
				d.t.Errorf("%s has %d pods", service, len(pods))
			}
		}
		measured(d.t, "scaled to three pods of every service", time.Since(started))
		while(5 * time.Second)
	})
	queues := d.queues("consumers")
	for _, queue := range []string{"history.viewed", "recommendations.viewed", "metadata.video-uploaded", "video-storage.video-uploaded", "video-storage.video-removed"} {
		if !strings.Contains(queues, queue+"\t3\n") {
			d.t.Errorf("%s has not three consumers:\n%s", queue, queues)
		}
	}
}

// testBackup saves the volumes of the database and of the blobs, restores them over what came later, and finds the site as it
// was.
func (d *deployment) testBackup() {
	stop := func() {
		d.kubectl("scale", "deployment,statefulset", "--all", "--replicas=0")
		d.kubectl("wait", "pod", "--all", "--for=delete", "--timeout=3m")
	}
	start := func() {
		d.kubectl("scale", "statefulset/db", "statefulset/rabbit", "statefulset/azurite", "--replicas=1")
		d.kubectl("scale", "deployment,statefulset", "--selector", "app.kubernetes.io/part-of=flixtube", "--replicas=2")
		d.rolledOut()
		waitFor(d.t, "the home page", func() error { _, err := listed(d.site); return err })
	}
	claims := []string{"data-db-0", "data-azurite-0"}
	volume := func(action, claim string) {
		started := time.Now()
		file := filepath.Join(d.manifests, claim+".tar")
		cmd := exec.Command("sh", "-c", map[string]string{"save": `"$@" >"$0"`, "restore": `"$@" <"$0"`}[action],
			file, filepath.Join(d.manifests, "overlays/local/volume"), action, claim)
		cmd.Env = append(os.Environ(), "NAMESPACE="+d.namespace)
		d.run(cmd)
		info, err := os.Stat(file)
		if err != nil {
			d.t.Fatal(err)
		}
		measured(d.t, fmt.Sprintf("backup: %s %s, %d MB", action, claim, info.Size()/1e6), time.Since(started))
	}

	before := d.recorded()
	stop()
	for _, claim := range claims {
		volume("save", claim)
	}
	start()
	later := upload(d.t, d.site, "later.mp4", readSamples(d.t)[0])
	waitFor(d.t, "the later video", func() error {
		ids, err := listed(d.site)
		if err == nil && !slices.Contains(ids, later) {
			err = errors.New("it is not listed")
		}
		return err
	})
	stop()
	for _, claim := range claims {
		volume("restore", claim)
	}
	start()
	d.waitListed()
	ids, err := listed(d.site)
	if err != nil || slices.Contains(ids, later) {
		d.t.Errorf("the video that came after the backup is there: %v, %v", ids, err)
	}
	if body, err := get(d.site + "/api/video?id=" + d.ids[0] + "&view=" + newUUID()); err != nil || body != string(readSamples(d.t)[0]) {
		d.t.Errorf("a restored video does not play: %d bytes, %v", len(body), err)
	}
	now := d.recorded()
	for view := range before {
		if !now[view] {
			d.t.Fatalf("of %d views from before the backup one is lost: %s", len(before), view)
		}
	}
	measured(d.t, "backup: views there after the restore", len(now))
}
