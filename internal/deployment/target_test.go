package deployment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// quiet removes what the machine's own AWS configuration would add.
func quiet(t *testing.T) {
	for _, name := range []string{"STACK", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

func TestTargetComesFromFlagsThenEnvironmentThenSamconfig(t *testing.T) {
	const (
		global = "version = 0.1\n[default.global.parameters]\nstack_name = \"global\"\nregion = \"us-east-1\"\n"
		deploy = global + "[default.deploy.parameters]\nstack_name = \"saved\"\nregion = \"eu-west-1\"\nparameter_overrides = \"EmailTo=\\\"a@example.com\\\"\"\n"
	)
	for name, c := range map[string]struct {
		samconfig     string
		env           map[string]string
		arguments     []string
		stack, region string
		wrong         string
	}{
		"saved by sam deploy --guided":     {deploy, nil, nil, "saved", "eu-west-1", ""},
		"global parameters":                {global, nil, nil, "global", "us-east-1", ""},
		"environment before samconfig":     {deploy, map[string]string{"STACK": "s", "AWS_REGION": "eu-west-2"}, nil, "s", "eu-west-2", ""},
		"default region before samconfig":  {deploy, map[string]string{"AWS_DEFAULT_REGION": "eu-west-2"}, nil, "saved", "eu-west-2", ""},
		"flags before environment":         {deploy, map[string]string{"STACK": "s", "AWS_REGION": "eu-west-2"}, []string{"--stack", "f", "--region", "eu-west-3"}, "f", "eu-west-3", ""},
		"no samconfig":                     {"", map[string]string{"STACK": "s", "AWS_REGION": "eu-west-2"}, nil, "s", "eu-west-2", ""},
		"no stack":                         {"", map[string]string{"AWS_REGION": "eu-west-2"}, nil, "", "", "STACK=NAME"},
		"no region":                        {"", map[string]string{"STACK": "s"}, nil, "", "", "AWS_REGION=NAME"},
		"a samconfig that is not readable": {"stack_name =", nil, nil, "", "", "samconfig.toml"},
		"a profile that does not exist":    {deploy, nil, []string{"--profile", "nobody"}, "", "", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t)
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			path := filepath.Join(t.TempDir(), "samconfig.toml")
			if c.samconfig != "" {
				if err := os.WriteFile(path, []byte(c.samconfig), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var target Target
			parser, err := kong.New(&target)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(c.arguments); err != nil {
				t.Fatal(err)
			}
			cfg, err := target.Config(t.Context(), path)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("the error is %v, want one with %q", err, c.wrong)
				}
				return
			}
			if err != nil || target.Stack != c.stack || target.Region != c.region || cfg.Region != c.region {
				t.Errorf("the target is %+v in %s (%v), want %s in %s", target, cfg.Region, err, c.stack, c.region)
			}
		})
	}
}

func TestRepositorysSamconfigNamesAStackForDeployOnly(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := readSamconfig(filepath.Join(root, "samconfig.toml"))
	if err != nil || saved.Stack == "" {
		t.Errorf("the stack is %q (%v)", saved.Stack, err)
	}
	body, err := os.ReadFile(filepath.Join(root, "samconfig.toml"))
	if err != nil || strings.Contains(string(body), "global") {
		t.Errorf("a global stack_name would win in `sam list` and `sam logs` after --guided saved another: %v\n%s", err, body)
	}
}

func TestFunctionErrorSaysWhatToDo(t *testing.T) {
	for payload, want := range map[string]string{
		`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}`: "sam build",
		`{"errorType":"Runtime.ExitError","errorMessage":"Runtime exited with error: exit status 1"}`:                                       "every wrong setting",
		`{"errorType":"errorString","errorMessage":"listing the workflows: throttled"}`:                                                     "listing the workflows",
		`timed out`: "timed out",
	} {
		if got := functionError([]byte(payload)); !strings.Contains(got, want) {
			t.Errorf("%s is explained as %q, want %q in it", payload, got, want)
		}
	}
}

func TestDeployedIsFalseAfterARollback(t *testing.T) {
	for status, want := range map[string]bool{
		"CREATE_COMPLETE": true, "UPDATE_COMPLETE": true, "IMPORT_COMPLETE": true,
		"ROLLBACK_COMPLETE": false, "UPDATE_ROLLBACK_COMPLETE": false, "UPDATE_ROLLBACK_FAILED": false, "UPDATE_IN_PROGRESS": false,
		"DELETE_COMPLETE": false, "CREATE_FAILED": false,
	} {
		if err := (Stack{Status: status}).Deployed(); (err == nil) != want {
			t.Errorf("%s: %v", status, err)
		}
	}
}
