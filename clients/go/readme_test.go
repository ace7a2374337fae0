package lettagrpc

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shown = regexp.MustCompile("(?s)```go\n(.*?)```")

const printed = `Hello! I am glad you are here. Tell me your name, and I will keep it in my memory.
true <nil>
The tool says: sunny <nil>
true map[agent_id:must be agent-<uuid4>, in lower case]
`

// TestTheProgramOfTheREADMEDoesWhatItSays needs a server, whose address is in LETTA_GRPC_TARGET: see the Makefile.
func TestTheProgramOfTheREADMEDoesWhatItSays(t *testing.T) {
	target := os.Getenv("LETTA_GRPC_TARGET")
	if target == "" {
		t.Skip("LETTA_GRPC_TARGET names no server")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	for _, block := range shown.FindAllStringSubmatch(string(readme), -1) {
		program.WriteString(strings.ReplaceAll(block[1], "127.0.0.1:50051", target) + "\n")
	}
	// Inside the module, so that it finds this package.
	folder, err := os.MkdirTemp("bin", "readme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "main.go")
	if err := os.WriteFile(path, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "go", "run", path).CombinedOutput()
	if err != nil || string(said) != printed {
		t.Errorf("it ended with %v and said:\n%s", err, said)
	}
}
