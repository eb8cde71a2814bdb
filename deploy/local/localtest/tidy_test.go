package localtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileLines is how long a file may be: longer ones hide a second subject.
const fileLines = 400

// TestTidy holds every Go file to what no linter checks, or checks by globs that a folder's name can defeat.
func TestTidy(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	checked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		foreign := strings.HasPrefix(name, ".") || name == "bin" || name == "testdata"
		if entry.IsDir() && path != root && foreign {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		checked++
		return checkFile(t, path, filepath.ToSlash(relative))
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 10 {
		t.Errorf("checked %d files: the test does not find the module", checked)
	}
}

func checkFile(t *testing.T, path, name string) error {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	if lines := files.File(file.Pos()).LineCount(); lines > fileLines {
		t.Errorf("%s has %d lines; %d are the limit: split it by subject", name, lines, fileLines)
	}
	concurrent := strings.HasPrefix(name, "pipeline/") || strings.HasSuffix(name, "_test.go")
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				t.Errorf("%s: an init function: wire it where it is used", files.Position(n.Pos()))
			}
		case *ast.GoStmt:
			if !concurrent {
				t.Errorf("%s: a goroutine outside pipeline/: use pipeline.Run", files.Position(n.Pos()))
			}
		case *ast.CallExpr:
			// What sync.WaitGroup and its kin call it.
			if call, ok := n.Fun.(*ast.SelectorExpr); ok && call.Sel.Name == "Go" && !concurrent {
				t.Errorf("%s: a goroutine outside pipeline/: use pipeline.Run", files.Position(n.Pos()))
			}
		}
		return true
	})
	return nil
}
