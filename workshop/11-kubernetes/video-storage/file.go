package main

import (
	"context"
	"errors"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
)

// file makes an io.ReadSeeker of a blob. It downloads from where it is read, and not before.
type file struct {
	ctx    context.Context
	blob   *blob.Client
	size   int64
	offset int64
	body   io.ReadCloser // from offset on; nil if nothing was read there yet
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	err := f.Close()
	f.offset = offset
	return offset, err
}

func (f *file) Read(p []byte) (int, error) {
	if f.offset >= f.size {
		return 0, io.EOF
	}
	if f.body == nil {
		response, err := f.blob.DownloadStream(f.ctx, &azblob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: f.offset}})
		if err != nil {
			return 0, err
		}
		f.body = response.Body
	}
	n, err := f.body.Read(p)
	f.offset += int64(n)
	return n, err
}

func (f *file) Close() error {
	if f.body == nil {
		return nil
	}
	err := f.body.Close()
	f.body = nil
	return err
}
