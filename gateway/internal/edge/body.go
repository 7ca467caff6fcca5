package edge

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/process"
)

// drainTimeout is how long the rest of a body is read after the answer, in all. Browsers read the answer only when they
// have sent the whole body: if the connection was closed before, they would show a broken connection instead.
const drainTimeout = 30 * time.Second

// uploadIdle is how long a client may send nothing of an upload. video-upload waits as long.
const uploadIdle = time.Minute

// LongBody allows the body of an upload as long as its bytes keep arriving.
func LongBody(next echo.HandlerFunc) echo.HandlerFunc { return longBody(next, uploadIdle) }

func longBody(next echo.HandlerFunc, idle time.Duration) echo.HandlerFunc {
	return func(c echo.Context) error {
		process.LongBody(c.Request(), idle)
		return next(c)
	}
}

// AnswerWhileSending lets a handler answer before it has read the whole body, and then reads the rest, so that the browser
// sees the answer. A body that does not end in time makes its request the last on the connection (see process.Service).
func AnswerWhileSending(next echo.HandlerFunc) echo.HandlerFunc {
	return answerWhileSending(next, drainTimeout)
}

func answerWhileSending(next echo.HandlerFunc, drain time.Duration) echo.HandlerFunc {
	return func(c echo.Context) error {
		body := c.Request().Body
		if body == http.NoBody {
			return next(c)
		}
		control := http.NewResponseController(c.Response())
		_ = control.EnableFullDuplex() // HTTP/2 has it anyway
		if err := next(c); err != nil {
			c.Error(err)
		}
		if c.Request().Header.Get("Expect") != "" {
			return nil // such a client reads the answer first, and may have nothing more to send
		}
		process.EndBody(c.Request(), drain)
		if c.Response().Committed {
			_ = control.Flush()
		}
		_, _ = io.Copy(io.Discard, body)
		return nil
	}
}
