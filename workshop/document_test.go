//go:build unix

package workshop

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// step is something that a chapter's text makes its reader do, or see.
type step struct {
	line int    // in the text
	kind string // of the table in CONTRIBUTING.md
	name string // a file, a terminal, an address
	text string
}

// notExecuted are the kinds of code blocks that nothing executes, with the reason.
var notExecuted = map[string]string{
	"mermaid":  "a picture",
	"sh azure": "it needs a subscription of Azure, and spends its money",
}

// inText are the sentences that are steps.
var inText = regexp.MustCompile(strings.Join([]string{
	`<(?P<open>http://localhost:[^>]+)>`,
	`!\[[^\]]+\]\((?P<picture>[^)]+)\)`,
	"[Ll]og in as `(?P<login>[^`]+)` with the password `(?P<password>[^`]+)`",
	"Ctrl-C in the terminal `(?P<stop>[^`]+)`",
	"(?P<stopall>Ctrl-C in every terminal)",
	"(?P<undo>Undo the change)",
}, "|"))

// block is a fenced code block.
type block struct{ info, text string }

// parse returns the steps of a text, and its code blocks and pictures in their order.
func parse(source []byte) (steps []step, blocks []block, err error) {
	lineOf := func(offset int) int { return 1 + bytes.Count(source[:offset], []byte("\n")) }
	var errs []error
	before := "" // the paragraph before a block
	document := goldmark.DefaultParser().Parse(text.NewReader(source))
	walk := func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.FencedCodeBlock:
			info := ""
			line := 0
			if n.Info != nil {
				info, line = string(n.Info.Value(source)), lineOf(n.Info.Segment.Start)
			}
			content := string(n.Lines().Value(source))
			blocks = append(blocks, block{info, content})
			s, err := blockStep(info, content, before)
			if err != nil {
				errs = append(errs, fmt.Errorf("line %d: %w", line, err))
			} else if s.kind != "" {
				s.line = line
				steps = append(steps, s)
			}
		case *ast.CodeBlock:
			errs = append(errs, fmt.Errorf("line %d: nothing executes an indented block", lineOf(n.Lines().At(0).Start)))
		case *ast.Paragraph, *ast.TextBlock:
			before = strings.Join(strings.Fields(string(n.Lines().Value(source))), " ")
			for _, m := range inText.FindAllStringSubmatch(before, -1) {
				s := sentenceStep(m)
				if s.kind == "picture" {
					blocks = append(blocks, block{"picture", s.name})
				}
				s.line = lineOf(n.Lines().At(0).Start)
				steps = append(steps, s)
			}
		}
		return ast.WalkContinue, nil
	}
	if err := ast.Walk(document, walk); err != nil {
		return nil, nil, err
	}
	return steps, blocks, errors.Join(errs...)
}

func sentenceStep(match []string) step {
	for i, kind := range inText.SubexpNames() {
		if kind == "" || match[i] == "" {
			continue
		}
		s := step{kind: kind, name: match[i]}
		if kind == "login" {
			s.text = match[inText.SubexpIndex("password")]
		}
		return s
	}
	return step{}
}

// blockStep says what a code block is for. The words after the first of its info string are not shown to the reader, so
// the paragraph before it must have them.
func blockStep(info, content, before string) (step, error) {
	kind, name, named := strings.Cut(info, " ")
	s := step{kind: kind, name: name, text: content}
	shown := strings.Contains(before, "`"+name+"`")
	switch {
	case info == "sh azure" && (!shown || !strings.Contains(before, "Azure subscription")):
		return step{}, fmt.Errorf("the paragraph before this block does not say that it needs an Azure subscription, and is marked as `azure`")
	case notExecuted[info] != "":
		return step{}, nil
	case info == "sh" || info == "sh fails" || info == "sh repository" || info == "output" || info == "page":
	case !named:
		return step{}, fmt.Errorf("nothing executes a block of %q", info)
	case !shown:
		return step{}, fmt.Errorf("the paragraph before this block does not name `%s`", name)
	case kind == "sh":
		s.kind = "terminal"
	case kind != "output" && kind != "diff":
		s.kind = "file"
	}
	return s, nil
}

// pattern makes a regular expression of an output in a text: a line "..." stands for any lines, "..." in a line for
// anything.
func pattern(output string) string {
	var p strings.Builder
	for line := range strings.Lines(strings.TrimRight(output, "\n") + "\n") {
		if line == "...\n" {
			p.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		line = strings.TrimRight(line, " \t\n")
		p.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `[^\n]*`) + `[ \t\r]*\n`)
	}
	return p.String()
}

// change applies the diff of a text: hunks divided by lines @@, without numbers.
func change(file, diff string) (string, error) {
	for hunk := range strings.SplitSeq(strings.TrimPrefix(diff, "@@\n"), "@@\n") {
		var was, is strings.Builder
		for line := range strings.Lines(hunk) {
			switch {
			case strings.HasPrefix(line, "-"):
				was.WriteString(line[1:])
			case strings.HasPrefix(line, "+"):
				is.WriteString(line[1:])
			default:
				line = strings.TrimPrefix(line, " ")
				was.WriteString(line)
				is.WriteString(line)
			}
		}
		if n := strings.Count("\n"+file, "\n"+was.String()); n != 1 {
			return "", fmt.Errorf("these lines are %d times in the file, not once:\n%s", n, was.String())
		}
		file = strings.Replace("\n"+file, "\n"+was.String(), "\n"+is.String(), 1)[1:]
	}
	return file, nil
}
