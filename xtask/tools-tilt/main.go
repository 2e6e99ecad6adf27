// Executes a Tiltfile without Tilt and prints its calls of builtins as JSON lines.
//
// It defines only the builtins that the project's Tiltfile uses; a call of another one is an error. It uses Tilt's
// interpreter, so syntax errors, undefined names and wrong argument types are detected as in Tilt.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

type call struct {
	Name   string         `json:"name"`
	Args   []any          `json:"args"`
	Kwargs map[string]any `json:"kwargs"`
}

// recorder returns a builtin that prints its name and arguments.
func recorder(name string, result starlark.Value) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		record := call{Name: name, Args: []any{}, Kwargs: map[string]any{}}
		for _, arg := range args {
			record.Args = append(record.Args, plain(arg))
		}
		for _, pair := range kwargs {
			record.Kwargs[string(pair[0].(starlark.String))] = plain(pair[1])
		}
		return result, json.NewEncoder(os.Stdout).Encode(record)
	})
}

// plain converts a Starlark value to a value that encoding/json can encode.
func plain(value starlark.Value) any {
	switch value := value.(type) {
	case starlark.String:
		return string(value)
	case starlark.Bool:
		return bool(value)
	case starlark.Int:
		number, _ := value.Int64()
		return number
	case starlark.NoneType:
		return nil
	case starlark.Sequence:
		all := []any{}
		iterator := value.Iterate()
		defer iterator.Done()
		var item starlark.Value
		for iterator.Next(&item) {
			all = append(all, plain(item))
		}
		return all
	default:
		return value.String()
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: tilt-calls TILTFILE CONTEXT")
		os.Exit(2)
	}
	context := starlark.String(os.Args[2])
	settings := starlark.NewDict(0)
	predeclared := starlark.StringDict{
		"config": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
			"define_string": recorder("config.define_string", starlark.None),
			"parse":         recorder("config.parse", settings),
		}),
		"k8s_context":         recorder("k8s_context", context),
		"allow_k8s_contexts":  recorder("allow_k8s_contexts", starlark.None),
		"local_resource":      recorder("local_resource", starlark.None),
		"link":                recorder("link", starlark.String("link")),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
	}
	// Tilt's dialect allows loops and branches at the top level.
	dialect := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true}
	if _, err := starlark.ExecFileOptions(dialect, &starlark.Thread{Name: "tiltfile"}, os.Args[1], nil, predeclared); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
