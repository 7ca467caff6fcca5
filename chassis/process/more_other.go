//go:build unix && !linux

package process

// writeMore writes p, which is followed by more.
func (c *conn) writeMore(p []byte) error {
	_, err := c.Write(p)
	return err
}
