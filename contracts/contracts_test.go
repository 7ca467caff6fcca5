package contracts_test

import (
	"testing"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

func TestQueues(t *testing.T) {
	want := []messaging.Queue{
		{Name: "viewed"},
		{Name: "history.viewed", Exchange: "viewed"},
		{Name: "recommendations.viewed", Exchange: "viewed"},
		{Name: "metadata.video-uploaded", Exchange: "video-uploaded"},
		{Name: "video-storage.video-uploaded", Exchange: "video-uploaded"},
		{Name: "video-storage.video-removed", Exchange: "video-removed"},
		{Name: "history.video-removed", Exchange: "video-removed"},
		{Name: "recommendations.video-removed", Exchange: "video-removed"},
	}
	got := contracts.Queues()
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want { // renaming a queue would lose the messages in it
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}

func TestFactID(t *testing.T) {
	at := time.Now()
	body := []byte(`{"video":{"id":"x"}}`)
	named, other := messaging.Message{ID: "broker", Body: body}, messaging.Message{Body: []byte(`{}`)}
	unnamed := messaging.Message{Body: body}
	for _, test := range []struct {
		name   string
		id     string
		stable bool
		again  string
	}{
		{"in the body", contracts.FactID("its own", at, named), true, "its own"},
		{"the broker's", contracts.FactID("", at, named), true, "broker"},
		{"of the body", contracts.FactID("", at, unnamed), true, contracts.FactID("", at, unnamed)},
		{"another body", contracts.FactID("", at, other), false, contracts.FactID("", at, unnamed)},
		{"nothing", contracts.FactID("", time.Time{}, unnamed), false, contracts.FactID("", time.Time{}, unnamed)},
	} {
		if test.id == "" || (test.id == test.again) != test.stable {
			t.Errorf("%s: %q, then %q", test.name, test.id, test.again)
		}
	}
}

func TestSamples(t *testing.T) {
	for _, f := range contracts.Facts() {
		if sample, err := contracts.Sample(f.Name); err != nil || len(sample) == 0 {
			t.Errorf("%s: %q, %v", f.Name, sample, err)
		}
	}
	if _, err := contracts.Sample("../go"); err == nil {
		t.Error("a path outside of samples/ is read")
	}
}
