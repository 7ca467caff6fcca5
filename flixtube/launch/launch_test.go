package launch

import (
	"slices"
	"testing"
)

func TestServicesGetTheirOwnVariablesOnly(t *testing.T) {
	inherited := []string{"PATH=/bin", "HOST=elsewhere", "STORAGE_ACCESS_KEY=secret", "OUTBOX_DIR=old", "RABBIT=old", "VIEWED_DELIVERY=queue"}
	vars := map[string]string{"HOST": "127.0.0.1", "RABBIT": "nats://x", "STORAGE_ACCESS_KEY": "secret", "HISTORY_URL": "http://h"}
	tests := map[string]struct{ needs, want []string }{
		"one that needs nothing": {nil, []string{"HISTORY_URL=http://h", "HOST=127.0.0.1", "PATH=/bin", "VIEWED_DELIVERY=queue"}},
		"one with messages": {
			[]string{"RABBIT"},
			[]string{"HISTORY_URL=http://h", "HOST=127.0.0.1", "PATH=/bin", "RABBIT=nats://x", "VIEWED_DELIVERY=queue"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := environment(inherited, vars, test.needs)
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}
