package site

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"flixtube/chassis/web"
)

// errorTexts are one language's texts of errors, by code. A text has a placeholder for each arg of the error that it shows:
// {max}, or {max:bytes} for a number of bytes that is written as a size.
type errorTexts map[string]string

var placeholder = regexp.MustCompile(`\{(\w+)(:bytes)?\}`)

// of returns what a viewer reads about an error. An error whose code is unknown, or whose args are missing, comes from
// another version of a service and gets a general text. errortext.js does the same for scripts.
func (t errorTexts) of(e *web.Error) string {
	if text, ok := t.fill(e.Code, e.Args); ok {
		return text
	}
	if e.Status >= http.StatusInternalServerError {
		return t[web.CodeInternal]
	}
	return t[web.CodeBadRequest]
}

func (t errorTexts) fill(code string, args map[string]any) (text string, ok bool) {
	text, ok = t[code]
	text = placeholder.ReplaceAllStringFunc(text, func(place string) string {
		m := placeholder.FindStringSubmatch(place)
		value, found := args[m[1]]
		if !found {
			ok = false
			return place
		}
		n, isNumber := number(value)
		switch {
		case !isNumber:
			return fmt.Sprint(value)
		case m[2] != "":
			return size(n)
		}
		return strconv.FormatFloat(n, 'f', -1, 64)
	})
	return text, ok
}

// number reads an arg of ours, or one that was decoded from JSON.
func number(value any) (n float64, ok bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// size writes a number of bytes as units.js does.
func size[N int64 | float64](bytes N) string {
	n := float64(bytes)
	units := []string{"byte", "kB", "MB", "GB"}
	unit := 0
	for ; n >= 1000 && unit < len(units)-1; unit++ {
		n /= 1000
	}
	decimals := 0
	if n < 10 {
		decimals = 1
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(n, 'f', decimals, 64), 64) // without a trailing zero
	return strconv.FormatFloat(rounded, 'f', -1, 64) + " " + units[unit]
}
