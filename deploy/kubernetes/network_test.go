package kubernetes

import (
	"maps"
	"slices"
	"testing"
)

// The parts of a NetworkPolicy that ours use.
type selector struct{ MatchLabels map[string]string }

type rule struct {
	Ports    []struct{ Port int }
	From, To []peer
}

type peer struct {
	PodSelector, NamespaceSelector *selector
	IPBlock                        *struct{ CIDR string }
}

const nameLabel = "app.kubernetes.io/name"

func (s selector) selects(name string) bool {
	want, ok := s.MatchLabels[nameLabel]
	return len(s.MatchLabels) == 0 || ok && want == name
}

// admits tells whether a rule is about a port and a pod of the same namespace.
func (r rule) admits(peers []peer, name string, port int) bool {
	if !slices.ContainsFunc(r.Ports, func(p struct{ Port int }) bool { return p.Port == port }) {
		return false
	}
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p peer) bool {
		return p.NamespaceSelector == nil && p.PodSelector != nil && p.PodSelector.selects(name)
	})
}

// leaves tells whether the policies let a pod begin a connection to a port of another one.
func leaves(policies []object, from, to string, port int) bool {
	isolated, out := false, false
	for _, p := range policies {
		if p.Spec.PodSelector.selects(from) {
			isolated = isolated || len(p.Spec.Egress) > 0 || slices.Contains(p.Spec.PolicyTypes, "Egress")
			out = out || slices.ContainsFunc(p.Spec.Egress, func(r rule) bool { return r.admits(r.To, to, port) })
		}
	}
	return out || !isolated
}

// enters tells whether they let it arrive.
func enters(policies []object, from, to string, port int) bool {
	isolated, in := false, false
	for _, p := range policies {
		if p.Spec.PodSelector.selects(to) {
			isolated = isolated || len(p.Spec.PolicyTypes) == 0 || slices.Contains(p.Spec.PolicyTypes, "Ingress")
			in = in || slices.ContainsFunc(p.Spec.Ingress, func(r rule) bool { return r.admits(r.From, from, port) })
		}
	}
	return in || !isolated
}

func connects(policies []object, from, to string, port int) bool {
	return leaves(policies, from, to, port) && enters(policies, from, to, port)
}

func policies(t *testing.T, overlay string) []object {
	t.Helper()
	return slices.DeleteFunc(decode(t, render(t, overlay)), func(o object) bool { return o.Kind != "NetworkPolicy" })
}

// TestNetworkPolicies holds the policies to what the services need, and to nothing else.
func TestNetworkPolicies(t *testing.T) {
	ports := map[string]int{"rabbit": 5672, "db": 27017, "azurite": 10000}
	for service := range workloads {
		ports[service] = 8080
	}
	needs := map[string][]string{
		"gateway":         {"history", "metadata", "recommendations", "video-streaming", "video-upload"},
		"video-streaming": {"history", "rabbit", "video-storage"},
		"video-upload":    {"rabbit", "video-storage"},
		"video-storage":   {"azurite", "metadata", "rabbit"},
		"metadata":        {"db", "rabbit"},
		"history":         {"db", "rabbit"},
		"recommendations": {"db", "metadata", "rabbit"},
	}
	for _, overlay := range []string{"local", "azure"} {
		all := policies(t, overlay)
		for from := range ports {
			for _, to := range slices.Sorted(maps.Keys(ports)) {
				if overlay == "azure" && (to == "azurite" || from == "azurite" || from == to) {
					continue // there is none, and servers have several members
				}
				want := slices.Contains(needs[from], to)
				if got := connects(all, from, to, ports[to]); got != want {
					t.Errorf("overlays/%s: %s reaches %s: %v, want %v", overlay, from, to, got, want)
				}
			}
			if to, want := "rabbit", overlay == "azure" && from == "rabbit"; connects(all, from, to, 25672) != want {
				t.Errorf("overlays/%s: %s reaches the nodes of %s as one of them", overlay, from, to)
			}
		}
	}
	for overlay, want := range map[string]bool{"local": true, "azure": false} {
		if got := enters(policies(t, overlay), "a stranger", "gateway", 8080); got != want {
			t.Errorf("overlays/%s: a stranger reaches the gateway: %v, want %v", overlay, got, want)
		}
	}
}
