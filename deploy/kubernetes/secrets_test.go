package kubernetes

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// secretsOf returns the secrets that manifests hold, and the names of those that they use.
func secretsOf(t *testing.T, manifests []byte) (held map[string]map[string]string, used []string) {
	t.Helper()
	held = map[string]map[string]string{}
	for text := range strings.SplitSeq(string(manifests), "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string][]byte
			Spec     any
		}
		if err := yaml.Unmarshal([]byte(text), &o); err != nil && o.Kind == "Secret" {
			t.Fatal(err)
		}
		if o.Kind == "Secret" {
			held[o.Metadata.Name] = map[string]string{}
			for key, value := range o.Data {
				held[o.Metadata.Name][key] = string(value)
			}
		}
		used = append(used, secretNames(o.Spec)...)
	}
	slices.Sort(used)
	return held, slices.Compact(used)
}

// secretNames finds the names by the fields that hold them, in any kind of object.
func secretNames(value any) (names []string) {
	switch value := value.(type) {
	case []any:
		for _, part := range value {
			names = append(names, secretNames(part)...)
		}
	case map[string]any:
		for field, part := range value {
			switch field {
			case "secretKeyRef", "passwordSecretRef", "externalSecret", "secretTargetRef":
				list, ok := part.([]any)
				if !ok {
					list = []any{part}
				}
				for _, reference := range list {
					names = append(names, reference.(map[string]any)["name"].(string))
				}
			case "secretName":
				names = append(names, part.(string))
			default:
				names = append(names, secretNames(part)...)
			}
		}
	}
	return names
}

// TestLocalSecrets: the overlay has every secret that it uses, without a newline that would become a part of a variable.
// Each service logs in as itself, in the broker and in the database.
func TestLocalSecrets(t *testing.T) {
	held, used := secretsOf(t, render(t, "local"))
	for _, name := range used {
		if held[name] == nil {
			t.Errorf("there is no secret %s", name)
		}
	}
	addresses := map[string]string{}
	for name, data := range held {
		for key, value := range data {
			if !strings.HasPrefix(name, "rabbit-definitions") && name != "db-users" && strings.TrimSpace(value) != value {
				t.Errorf("%s has white space around its %s", name, key)
			}
		}
		addresses[suffix.ReplaceAllString(name, "")] = data["address"] + data["connectionString.standard"]
	}
	for service := range workloads {
		for secret, host := range map[string]string{"rabbit-" + service: "rabbit:5672", service + "-db": "db:27017"} {
			if addresses[secret] == "" {
				continue // that it is there if it is used was looked at above
			}
			if u, err := url.Parse(addresses[secret]); err != nil || u.User.Username() != service || u.Host != host {
				t.Errorf("%s is %s: %v", secret, addresses[secret], err)
			}
		}
	}
}

// role is one of a user of MongoDB.
type role struct{ Role, DB string }

// TestDatabaseUsers: each service's user may read and write the database with its name, and no other, in all three forms
// of the users: the script for Compose and overlays/local, and the object for MongoDB's operator.
func TestDatabaseUsers(t *testing.T) {
	want := map[string][]role{}
	for _, service := range []string{"metadata", "history", "recommendations"} {
		want[service] = []role{{"readWrite", service}}
	}
	secrets := t.TempDir()
	makeSecrets(t, secrets)
	held, _ := secretsOf(t, render(t, "local"))
	created := createdUsers(t, filepath.Join(secrets, "mongo-users.js"))
	if !reflect.DeepEqual(created.roles, want) {
		t.Errorf("make-secrets: the users have the roles %v, want %v", created.roles, want)
	}
	for service := range want {
		text, err := os.ReadFile(filepath.Join(secrets, "dbhost-"+service))
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		if got := created.logins[service]; got != (login{u.Query().Get("authSource"), password}) || u.User.Username() != service {
			t.Errorf("%s logs in by %s, its user is %v", service, text, got)
		}
	}

	script := filepath.Join(t.TempDir(), "users.js")
	if err := os.WriteFile(script, []byte(held["db-users"]["users.js"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if local := createdUsers(t, script); !reflect.DeepEqual(local.roles, want) {
		t.Errorf("overlays/local: the users have the roles %v, want %v", local.roles, want)
	}

	declared := map[string][]role{}
	for text := range strings.SplitSeq(string(render(t, "azure")), "\n---\n") {
		var o struct {
			Kind string
			Spec json.RawMessage
		}
		if err := yaml.Unmarshal([]byte(text), &o); err != nil || o.Kind != "MongoDBCommunity" {
			continue
		}
		var spec struct {
			Users []struct {
				Name  string
				Roles []struct{ Name, DB string }
			}
		}
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			t.Fatal(err)
		}
		for _, user := range spec.Users {
			for _, r := range user.Roles {
				declared[user.Name] = append(declared[user.Name], role{r.Name, r.DB})
			}
		}
	}
	if !reflect.DeepEqual(declared, want) {
		t.Errorf("overlays/azure: the users have the roles %v, want %v", declared, want)
	}
}

// login is the database that knows a user, and the password.
type login struct{ db, password string }

// users are what a script for mongosh creates.
type users struct {
	roles  map[string][]role
	logins map[string]login
}

// createdUsers runs a script with an object db that notes what it is asked for.
func createdUsers(t *testing.T, script string) (u users) {
	t.Helper()
	const recorder = `const created = [];
		const db = {getSiblingDB: name => ({createUser: user => created.push({...user, in: name})})};
		require("vm").runInNewContext(require("fs").readFileSync(process.argv[1], "utf8"), {db});
		console.log(JSON.stringify(created))`
	output, err := exec.Command(program(t, "node"), "-e", recorder, script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var created []struct {
		User, Pwd, In string
		Roles         []role
	}
	if err := json.Unmarshal(output, &created); err != nil {
		t.Fatal(err)
	}
	u = users{map[string][]role{}, map[string]login{}}
	for _, c := range created {
		u.roles[c.User] = append(u.roles[c.User], c.Roles...)
		u.logins[c.User] = login{c.In, c.Pwd}
	}
	return u
}

// kubectlForSecrets keeps secrets in the folder SECRETS, one file each key.
const kubectlForSecrets = `#!/usr/bin/env bash
set -euo pipefail
case "$*" in
*'get secrets '*)
  for secret in "$SECRETS"/*; do
    echo "${secret##*/} $(base64 -w0 "$secret/address" 2>/dev/null)"
  done ;;
*'create secret generic '*)
  [[ $* != *--dry-run* ]] || exec cp rabbit-definitions "$SECRETS/../definitions"
  mkdir "$SECRETS/$6" # fails if it is there
  for file in "${@:7}"; do
    cp "${file#*=*=}" "$SECRETS/$6/$(cut -d= -f2 <<<"$file")"
  done ;;
*apply*) ;;
*) exit 1 ;;
esac
`

// TestAzureSecrets: overlays/azure/make-secrets makes every secret that the overlay uses, and keeps those that are there.
func TestAzureSecrets(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets")
	if err := os.Mkdir(secrets, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectlForSecrets), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func() (made map[string]string) {
		t.Helper()
		cmd := secretsScript(t, "azure")
		cmd.Env = append(os.Environ(), "SECRETS="+secrets, "PATH="+dir+":"+os.Getenv("PATH"))
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make-secrets: %v\n%s", err, output)
		}
		made = map[string]string{}
		files, err := filepath.Glob(filepath.Join(secrets, "*/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(files, filepath.Join(dir, "definitions")) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			made[file] = string(text)
		}
		return made
	}
	made := run()
	_, used := secretsOf(t, render(t, "azure"))
	for _, name := range used {
		operators := strings.HasSuffix(name, "-db") || name == "rabbit-definitions" // MongoDB's operator makes the first
		if _, err := os.Stat(filepath.Join(secrets, name)); err != nil && !operators {
			t.Errorf("the overlay uses %s: %v", name, err)
		}
	}
	if again := run(); !maps.Equal(again, made) {
		t.Error("a second time, other secrets are made")
	}
	admin := made[filepath.Join(secrets, "rabbit-admin/password")]
	if conf := made[filepath.Join(secrets, "rabbit-admin/default_user.conf")]; admin == "" || conf != "default_user = admin\ndefault_pass = "+admin+"\n" {
		t.Errorf("the operator's default user is %q", conf)
	}
	if err := os.RemoveAll(filepath.Join(secrets, "rabbit-history")); err != nil {
		t.Fatal(err)
	}
	renewed := run()
	var others []string
	for file, text := range renewed {
		if text != made[file] {
			others = append(others, strings.TrimPrefix(file, dir+"/"))
		}
	}
	slices.Sort(others)
	if want := []string{"definitions", "secrets/rabbit-history/address", "secrets/rabbit-history/password"}; !slices.Equal(others, want) {
		t.Errorf("with a new password for history these are others: %v, want %v", others, want)
	}
}
