// Runs a health check the way Argo CD does: in gopher-lua, with the few libraries that Argo CD opens and a second of time.
// It reads {"script": "...", "objects": [{...}]} and prints [{"status": "...", "message": "..."}], one for each object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
)

type input struct {
	Script  string           `json:"script"`
	Objects []map[string]any `json:"objects"`
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println(lua.PackageName, lua.PackageVersion)
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	results := make([]health, 0, len(in.Objects))
	for i, object := range in.Objects {
		result, err := check(in.Script, object)
		if err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
		results = append(results, result)
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// check follows GetResourceHealth of Argo CD's gitops-engine/pkg/health/health.go, and runLuaWithResourceActionParameters
// and ExecuteHealthLua of its util/lua/lua.go. It leaves out the two functions of `os` that Argo CD offers: a check that
// runs here has no need of them.
func check(script string, object map[string]any) (health, error) {
	if metadata, _ := object["metadata"].(map[string]any); metadata["deletionTimestamp"] != nil {
		return health{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
	} {
		open := lua.P{Fn: l.NewFunction(library.open), NRet: 0, Protect: true}
		if err := l.CallByParam(open, lua.LString(library.name)); err != nil {
			return health{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.SetContext(ctx)
	l.SetGlobal("obj", valueOf(l, object))
	if err := l.DoString(script); err != nil {
		return health{}, err
	}
	answer, isTable := l.Get(-1).(*lua.LTable)
	if !isTable {
		return health{}, fmt.Errorf("the script returned a %s", l.Get(-1).Type())
	}
	return health{Status: textOf(answer, "status"), Message: textOf(answer, "message")}, nil
}

func textOf(table *lua.LTable, key string) string {
	text, _ := table.RawGetString(key).(lua.LString)
	return string(text)
}

func valueOf(l *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := l.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(valueOf(l, item))
		}
		return list
	case map[string]any:
		table := l.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, valueOf(l, item))
		}
		return table
	}
	return lua.LNil
}
