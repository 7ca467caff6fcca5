//go:build containers

package containers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// testTLS plays the journeys by HTTPS, and replaces gateways meanwhile. Caddy is in front of two of them, with a certificate of
// its own authority. Afterwards there is one gateway without Caddy, as before.
func (p *production) testTLS() {
	port, before := freePorts(p.t)*10, p.env
	p.env = append(p.env, "DOMAIN=localhost", "TRUSTED_PROXIES=", "COMPOSE_PROFILES=tls",
		fmt.Sprintf("GATEWAY_PORT=%d-%d", port, port+4), fmt.Sprintf("HTTP_PORT=%d", port+8), fmt.Sprintf("HTTPS_PORT=%d", port+9))
	p.downgrade("--scale", "gateway=2", "gateway", "tls")
	site := "https://localhost:" + strconv.Itoa(port+9)
	authorities, root := x509.NewCertPool(), ""
	waitFor(p.t, "the certificate of the local authority", deadline, func() error {
		pem, err := p.try("exec", "-T", "tls", "cat", "/data/caddy/pki/authorities/local/root.crt")
		if err == nil && !authorities.AppendCertsFromPEM([]byte(pem)) {
			err = errors.New(pem)
		}
		root = pem
		return err
	})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authorities}, ForceAttemptHTTP2: true,
	}}
	var page *http.Response
	waitFor(p.t, "the home page by HTTPS", deadline, func() (err error) {
		if page, err = client.Get(site + "/"); err == nil {
			page.Body.Close()
		}
		return err
	})
	if page.ProtoMajor != 2 || page.StatusCode != http.StatusOK {
		p.t.Errorf("the home page: %s %s", page.Proto, page.Status)
	}
	if cookie := page.Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-viewer=") || !strings.Contains(cookie, "Secure") {
		p.t.Errorf("the viewer's cookie by HTTPS: %q", cookie)
	}
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := plain.Get("http://localhost:" + strconv.Itoa(port+8) + "/")
	if err != nil {
		p.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusPermanentRedirect || !strings.HasPrefix(res.Header.Get("Location"), "https://localhost") {
		p.t.Errorf("by HTTP: %s, to %q", res.Status, res.Header.Get("Location"))
	}

	authority := filepath.Join(p.t.TempDir(), "root.crt")
	if err := os.WriteFile(authority, []byte(root), 0o600); err != nil {
		p.t.Fatal(err)
	}
	journeys(p.t, site, "SSL_CERT_FILE="+authority)

	// One of the two gateways stops in the middle.
	views := startLoadBy(client, p.t, site, p.videos, 20)
	during(time.Second)
	ids := strings.Fields(p.compose("ps", "-q", "gateway"))
	if len(ids) != 2 {
		p.t.Fatalf("there are %d gateways", len(ids))
	}
	docker(p.t, "stop", ids[0])
	during(2 * time.Second)
	docker(p.t, "start", ids[0])
	during(2 * time.Second)
	made, failed, worst := views.stop()
	if len(failed) > 0 {
		p.t.Errorf("%d of %d views failed: %v", len(failed), made, errors.Join(failed[:min(5, len(failed))]...))
	}
	measured(p.t, "HTTP/2 and TLS, one of two gateways stopped and started: views that did not fail, and the slowest",
		fmt.Sprintf("%d of %d, %.2f s", made-len(failed), made, worst.Seconds()))

	views = startLoadBy(client, p.t, site, p.videos, 20)
	started := time.Now()
	p.t.Log(p.runScript("upgrade", p.tag))
	took := time.Since(started)
	during(time.Second)
	made, failed, worst = views.stop()
	if len(failed) > 0 {
		p.t.Errorf("%d of %d views failed during the upgrade: %v", len(failed), made, errors.Join(failed[:min(5, len(failed))]...))
	}
	if images := p.compose("ps", "--format", "{{.Image}}", "gateway"); strings.Count(images, p.image("gateway")+"\n") != 2 {
		p.t.Errorf("the gateways run %s", images)
	}
	measured(p.t, fmt.Sprintf("HTTP/2 and TLS, upgrade of two gateways in %.1f s: views that did not fail, and the slowest", took.Seconds()),
		fmt.Sprintf("%d of %d, %.2f s", made-len(failed), made, worst.Seconds()))

	p.compose("rm", "-sf", "tls")
	p.env = before
	p.compose("up", "-d", "--no-build")
	waitFor(p.t, "one gateway, by HTTP", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
}
