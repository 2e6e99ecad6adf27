// Loads a Compose file with the library of Docker Compose, which checks it against the JSON schema of the Compose
// specification, and prints the resolved project as JSON.
//
// All profiles are active, and no variable of the environment is read, so that the result depends on the file alone.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-project FILE")
		os.Exit(2)
	}
	if err := printProject(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// printProject loads the file and writes the project to standard output.
func printProject(name string) error {
	file, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	details := types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: types.ToConfigFiles([]string{file}),
		Environment: types.Mapping{},
	}
	project, err := loader.LoadWithContext(context.Background(), details, loader.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
