package template

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

// readFromRoot returns a file from the module's root. Reading it in Go makes cached
// test results depend on it.
func readFromRoot(t *testing.T, name string) string {
	t.Helper()
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// command returns a command that runs in the module's root.
func command(t *testing.T, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, arguments...)
	cmd.Dir = root
	// As from a shell, even when `make test` runs the tests.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"ARTIFACTS_DIR", "GOARCH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}, name)
	})
	return cmd
}

func TestCfnLintFindsNothingWithEveryCheckEnabled(t *testing.T) {
	if strings.Contains(readFromRoot(t, "template.yaml"), "cfn-lint") {
		t.Error("the template disables a check")
	}
	python := samtest.RequirePython(t)
	const script = "import sys; from cfnlint.runner import main; sys.exit(main())"
	out, err := command(t, python, "-c", script, "--include-checks", "I", "--regions",
		"us-east-1", "eu-west-1", "ap-southeast-2", "--", "template.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestMakeBuildsABootstrapForTheGivenArchitecture(t *testing.T) {
	if testing.Short() {
		t.Skip("This test builds the functions: omit -short.")
	}
	readFromRoot(t, "Makefile")
	for _, c := range []struct {
		function, goarch string
		machine          elf.Machine
	}{
		{"PollerFunction", "", elf.EM_AARCH64},
		{"NotifierFunction", "", elf.EM_AARCH64},
		{"PollerFunction", "amd64", elf.EM_X86_64},
	} {
		t.Run(c.function+" "+c.goarch, func(t *testing.T) {
			artifacts := filepath.Join(t.TempDir(), "with a space")
			arguments := []string{"build-" + c.function, "ARTIFACTS_DIR=" + artifacts}
			if c.goarch != "" {
				arguments = append(arguments, "GOARCH="+c.goarch)
			}
			if out, err := command(t, "make", arguments...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			path := filepath.Join(artifacts, "bootstrap")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode()&0o111 != 0o111 {
				t.Errorf("it cannot be run: %v", info.Mode())
			}
			file, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if libraries, _ := file.ImportedLibraries(); file.Machine != c.machine || len(libraries) > 0 {
				t.Errorf("it is for %v and needs %v", file.Machine, libraries)
			}
			if file.Section(".symtab") != nil || file.Section(".debug_info") != nil {
				t.Error("it has symbols")
			}
		})
	}
}

func TestEnvironmentDoesNotChangeTheArchitecture(t *testing.T) {
	if testing.Short() {
		t.Skip("This test builds the functions: omit -short.")
	}
	artifacts := t.TempDir()
	make := command(t, "make", "-s", "build-PollerFunction", "ARTIFACTS_DIR="+artifacts)
	make.Env = append(make.Env, "GOARCH=amd64", "GOOS=darwin")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(filepath.Join(artifacts, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Machine != elf.EM_AARCH64 {
		t.Errorf("the function is built for %v", file.Machine)
	}
}

// The second build is made from a copy in another folder, as another person's
// clone is.
func TestBuildsOfOneVersionAreByteIdentical(t *testing.T) {
	if testing.Short() {
		t.Skip("This test builds the functions: omit -short.")
	}
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	clone := t.TempDir()
	for _, name := range []string{"functions", "internal"} {
		if err := os.CopyFS(filepath.Join(clone, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(clone, name), []byte(readFromRoot(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func(dir, function, version string) string {
		artifacts := t.TempDir()
		make := command(t, "make", "-s", "build-"+function, "ARTIFACTS_DIR="+artifacts, "VERSION="+version)
		make.Dir = dir
		if out, err := make.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		body, err := os.ReadFile(filepath.Join(artifacts, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for _, function := range []string{"PollerFunction", "NotifierFunction"} {
		first := build(root, function, "v1.2.3")
		if first != build(clone, function, "v1.2.3") {
			t.Errorf("two builds of %s differ", function)
		}
		if !strings.Contains(first, "v1.2.3") || first == build(root, function, "v1.2.4") {
			t.Errorf("%s does not hold its version", function)
		}
	}
}

func TestMakeDeployStopsWhenTheBuildLeftNoBootstrap(t *testing.T) {
	for name, c := range map[string]struct {
		build    string // what `sam build` does
		deployed bool
	}{
		"a good build":       {"mkdir -p .aws-sam/build/PollerFunction .aws-sam/build/NotifierFunction && touch bootstrap && chmod +x bootstrap && cp bootstrap .aws-sam/build/PollerFunction && cp bootstrap .aws-sam/build/NotifierFunction", true},
		"no notifier":        {"mkdir -p .aws-sam/build/PollerFunction && touch .aws-sam/build/PollerFunction/bootstrap && chmod +x .aws-sam/build/PollerFunction/bootstrap", false},
		"an earlier build":   {"true", false},
		"a build that fails": {"false", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, body := range map[string]string{
				"Makefile": readFromRoot(t, "Makefile"),
				"bin/sam":  "#!/bin/sh\nif [ \"$1\" = deploy ]; then touch deployed; exit; fi\n" + c.build + "\n",
				".aws-sam/build/PollerFunction/bootstrap":   "left by an earlier build",
				".aws-sam/build/NotifierFunction/bootstrap": "left by an earlier build",
			} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, path), []byte(body), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			deploy := command(t, "make", "-s", "deploy")
			deploy.Dir = dir
			deploy.Env = append(deploy.Env, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
			out, err := deploy.CombinedOutput()
			_, missing := os.Stat(filepath.Join(dir, "deployed"))
			if deployed := missing == nil; deployed != c.deployed || (err == nil) != c.deployed {
				t.Errorf("deployed: %v, want %v (%v)\n%s", deployed, c.deployed, err, out)
			}
		})
	}
}
