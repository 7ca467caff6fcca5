//go:build unix

package process

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"
)

// smallBody is how many bytes of an answer without a Content-Length are counted before any of them is sent.
const smallBody = 2 << 10

var crlf = []byte("\r\n")

var errIncomplete = errors.New("the answer is incomplete")

// directWriter is the ResponseWriter of direct. The header goes out with the first bytes of the body.
type directWriter struct {
	conn   *conn
	header http.Header
	status int
	head   []byte         // that was not sent; it lacks what follows from the length of the body
	left   int64          // bytes of the body that are missing; -1: of unknown length
	small  []byte         // a body of unknown length
	chunks io.WriteCloser // the same, once it is long
	last   bool           // the connection is closed after it
}

func (w *directWriter) Header() http.Header { return w.header }

func (w *directWriter) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	w.last = w.header.Get("Connection") == "close"
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.left = n
	} else {
		w.header.Del("Content-Length")
		w.left = -1
	}
	if !bodyAllowed(status) {
		w.left = 0
	}
	head := bytes.NewBuffer(make([]byte, 0, 1024))
	head.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = w.header.WriteSubset(head, map[string]bool{"Transfer-Encoding": true}) // to memory
	if _, ok := w.header["Date"]; !ok {
		head.WriteString("Date: ")
		head.Write(time.Now().UTC().AppendFormat(head.AvailableBuffer(), http.TimeFormat))
		head.WriteString("\r\n")
	}
	w.head = head.Bytes()
	if w.left >= 0 {
		w.head = append(w.head, crlf...)
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *directWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.chunks != nil:
		return w.chunks.Write(p)
	case w.left < 0 && len(w.small)+len(p) <= smallBody:
		w.small = append(w.small, p...)
		return len(p), nil
	case w.left < 0:
		if err := w.beginChunks(); err != nil {
			return 0, err
		}
		return w.chunks.Write(p)
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case int64(len(p)) > w.left:
		return 0, http.ErrContentLength
	}
	n, err := w.send(p)
	w.left -= int64(n)
	return n, err
}

// send writes p, after the header if that was not sent.
func (w *directWriter) send(p []byte) (int, error) {
	if w.head == nil {
		return w.conn.Write(p)
	}
	head := w.head
	w.head = nil
	return w.conn.writeBoth(head, p)
}

func (w *directWriter) beginChunks() error {
	w.head = append(w.head, "Transfer-Encoding: chunked\r\n\r\n"...)
	w.chunks = httputil.NewChunkedWriter(writerFunc(w.send))
	small := w.small
	w.small = nil
	_, err := w.chunks.Write(small)
	return err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// ReadFrom lets the system move the bytes of a file or connection.
func (w *directWriter) ReadFrom(r io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	limited, ok := r.(*io.LimitedReader)
	if !ok || w.left <= 0 || limited.N > w.left {
		return io.Copy(writerFunc(w.Write), r)
	}
	head := w.head
	w.head = nil
	if err := w.conn.writeMore(head); err != nil {
		return 0, err
	}
	n, err := w.conn.ReadFrom(limited)
	w.left -= n
	return n, err
}

// FlushError sends what was written so far.
func (w *directWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.left < 0 && w.chunks == nil {
		return w.beginChunks()
	}
	_, err := w.send(nil)
	return err
}

// Flush is FlushError.
func (w *directWriter) Flush() { _ = w.FlushError() } // the next write fails, too

// finish ends the answer. After an error the connection cannot have another.
func (w *directWriter) finish() error {
	w.WriteHeader(http.StatusOK)
	var err error
	switch {
	case w.chunks != nil:
		_ = w.chunks.Close() // the next write fails, too
		_, err = w.send(crlf)
	case w.left < 0:
		w.head = append(w.head, "Content-Length: "+strconv.Itoa(len(w.small))+"\r\n\r\n"...)
		_, err = w.send(w.small)
	case w.head != nil:
		_, err = w.send(nil)
	}
	if w.left > 0 || w.last {
		return errIncomplete
	}
	return err
}

// writeBoth writes head and p together, and returns how many bytes of p were written.
func (c *conn) writeBoth(head, p []byte) (int, error) {
	if len(p) == 0 || len(p) > writeChunk {
		if _, err := c.Write(head); err != nil {
			return 0, err
		}
		return c.Write(p)
	}
	if err := c.progress(); err != nil {
		return 0, err
	}
	n, err := (&net.Buffers{head, p}).WriteTo(c.TCPConn)
	return max(0, int(n)-len(head)), err
}
