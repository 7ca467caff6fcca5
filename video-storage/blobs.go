package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"flixtube/chassis/httpclient"
)

const (
	containerName = "videos"
	posterSuffix  = ".jpg"

	announcementSuffix = ".json"

	// An upload holds blockSize bytes of memory for each of its concurrent blocks. A blob has at most 50,000 blocks, so
	// a video has at most 195 GiB.
	blockSize        = 4 << 20
	concurrentBlocks = 2

	// blobUploads is how many uploads are stored at a time: their blocks take half of the memory that the service has in
	// production.
	blobUploads = 16
)

// blobs keeps each video in a block blob of the container "videos", and its poster and its announcement in two more.
type blobs struct{ container *container.Client }

func newBlobs(cfg azure) (*blobs, error) {
	transport := httpclient.NewTransport()
	transport.ResponseHeaderTimeout = 30 * time.Second
	client, err := newContainer(cfg, &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second},
	}})
	if err != nil {
		return nil, err
	}
	return &blobs{client}, nil
}

func newContainer(cfg azure, options *container.ClientOptions) (*container.Client, error) {
	address := strings.TrimRight(cfg.endpoint, "/") + "/" + containerName
	if cfg.key == "" {
		identity, err := azidentity.NewWorkloadIdentityCredential(nil)
		if err != nil {
			return nil, fmt.Errorf("the workload identity: %w", err)
		}
		client, err := container.NewClient(address, identity, options)
		if err != nil {
			return nil, fmt.Errorf("STORAGE_ENDPOINT: %w", err)
		}
		return client, nil
	}
	key, err := container.NewSharedKeyCredential(cfg.account, cfg.key)
	if err != nil {
		return nil, errors.New("STORAGE_ACCESS_KEY must be base64") // err may show the key
	}
	client, err := container.NewClientWithSharedKeyCredential(address, key, options)
	if err != nil {
		return nil, fmt.Errorf("STORAGE_ENDPOINT: %w", err)
	}
	return client, nil
}

// Ready creates the container when it is missing.
func (b *blobs) Ready(ctx context.Context) error {
	_, err := b.container.GetProperties(ctx, nil)
	if !isMissing(err) {
		return err
	}
	_, err = b.container.Create(ctx, nil)
	if bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil
	}
	return err
}

// posterName is a name that no video has: an id has no dot.
func posterName(id videoID) string { return string(id) + posterSuffix }

func announcementBlob(id videoID) string { return string(id) + announcementSuffix }

func (b *blobs) Open(ctx context.Context, id videoID) (*video, error) {
	return b.open(ctx, string(id), errNotFound)
}

func (b *blobs) OpenPoster(ctx context.Context, id videoID) (*video, error) {
	return b.open(ctx, posterName(id), errPosterNotFound)
}

func (b *blobs) open(ctx context.Context, name string, missing error) (*video, error) {
	client := b.container.NewBlobClient(name)
	properties, err := client.GetProperties(ctx, nil)
	if isMissing(err) {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("properties of blob %s: %w", name, err)
	}
	if properties.ETag == nil || properties.ContentLength == nil || properties.LastModified == nil || properties.ContentType == nil {
		return nil, fmt.Errorf("properties of blob %s: a header is missing", name)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &video{
		ReadSeekCloser: &blobReader{ctx: ctx, cancel: cancel, blob: client, etag: properties.ETag, size: *properties.ContentLength},
		contentType:    *properties.ContentType,
		etag:           string(*properties.ETag),
		modified:       *properties.LastModified,
	}, nil
}

func (b *blobs) Create(ctx context.Context, id videoID, contentType string, body io.Reader) error {
	_, err := b.container.NewBlockBlobClient(string(id)).UploadStream(ctx, body, &blockblob.UploadStreamOptions{
		BlockSize:   blockSize,
		Concurrency: concurrentBlocks,
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &contentType},
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
	})
	if bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet) {
		return errExists
	}
	if err != nil {
		return fmt.Errorf("upload blob %s: %w", id, err)
	}
	return nil
}

func (b *blobs) SavePoster(ctx context.Context, id videoID, jpeg []byte) error {
	return b.add(ctx, id, posterName(id), posterType, jpeg)
}

func (b *blobs) OpenAnnouncement(ctx context.Context, id videoID) ([]byte, error) {
	message, err := b.open(ctx, announcementBlob(id), errNotFound)
	if err != nil {
		return nil, err
	}
	defer message.Close()
	return io.ReadAll(message)
}

func (b *blobs) SaveAnnouncement(ctx context.Context, id videoID, message []byte) error {
	err := b.add(ctx, id, announcementBlob(id), "application/json", message)
	if err == nil {
		var v *video
		if v, err = b.Open(ctx, id); err == nil {
			return v.Close()
		}
	}
	if !errors.Is(err, errNotFound) {
		return err
	}
	if err := b.delete(ctx, announcementBlob(id)); err != nil { // of this try, or of one that ended halfway
		return err
	}
	return errNotFound
}

// add replaces a blob that belongs to a video. It leaves one without a video if the video is deleted at the same time: a
// sweep finds posters.
func (b *blobs) add(ctx context.Context, id videoID, name, contentType string, data []byte) error {
	v, err := b.Open(ctx, id)
	if err != nil {
		return err
	}
	defer v.Close()
	_, err = b.container.NewBlockBlobClient(name).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)),
		&blockblob.UploadOptions{HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &contentType}})
	if err != nil {
		return fmt.Errorf("upload blob %s: %w", name, err)
	}
	return nil
}

func (b *blobs) Delete(ctx context.Context, id videoID) error {
	for _, name := range []string{string(id), posterName(id), announcementBlob(id)} {
		if err := b.delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (b *blobs) delete(ctx context.Context, name string) error {
	_, err := b.container.NewBlobClient(name).Delete(ctx, nil)
	if err != nil && !isMissing(err) {
		return fmt.Errorf("delete blob %s: %w", name, err)
	}
	return nil
}

func (b *blobs) StoredBetween(ctx context.Context, from, to time.Time) ([]videoID, error) {
	var ids []videoID
	for pages := b.container.NewListBlobsFlatPager(nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the blobs: %w", err)
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil || item.Properties == nil || item.Properties.LastModified == nil {
				continue
			}
			id, err := parseID(strings.TrimSuffix(*item.Name, posterSuffix))
			if stored := *item.Properties.LastModified; err == nil && !stored.Before(from) && stored.Before(to) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// isMissing looks at the status alone: the response to HEAD has no body with an error code.
func isMissing(err error) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

// A download is of a part: most clients want a range, and the rest would be sent to nobody. The first part is short, each
// after it is twice as long as the one before.
const (
	firstPart   = 128 << 10
	longestPart = 8 << 20
)

// blobReader reads a blob from any position, and buffers nothing: after a Seek to another position the download ends, and
// the next Read begins one there. Each download must have the ETag of the blob that was opened, so that the bytes of two
// uploads never mix.
type blobReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	blob   *blob.Client
	etag   *azcore.ETag
	size   int64
	offset int64
	part   int64         // how long the last part was; 0 before the first Read at offset
	end    int64         // of the part
	stream io.ReadCloser // nil between two parts
}

func (r *blobReader) Read(p []byte) (int, error) {
	if r.offset >= r.size {
		return 0, io.EOF
	}
	if r.stream == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.stream.Read(p)
	r.offset += int64(n)
	if errors.Is(err, io.EOF) {
		if r.offset < r.end {
			return n, io.ErrUnexpectedEOF
		}
		err = r.stream.Close()
		r.stream = nil
	}
	return n, err
}

// open begins to download the next part.
func (r *blobReader) open() error {
	r.part = min(max(firstPart, 2*r.part), longestPart)
	r.end = min(r.offset+r.part, r.size)
	res, err := r.blob.DownloadStream(r.ctx, &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: r.offset, Count: r.end - r.offset},
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: r.etag},
		},
	})
	if err != nil {
		return fmt.Errorf("download from byte %d: %w", r.offset, err)
	}
	// When the connection breaks, the reader continues at the same position on a new one.
	r.stream = res.NewRetryReader(r.ctx, &blob.RetryReaderOptions{MaxRetries: 3})
	return nil
}

func (r *blobReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek to before the start of a blob")
	}
	if offset != r.offset {
		r.part = 0
		if r.stream != nil {
			_ = r.stream.Close() // the rest of it is not needed
			r.stream = nil
		}
	}
	r.offset = offset
	return offset, nil
}

// Close may be called during a Read: the goroutine in which ServeContent reads several ranges may outlive the request.
func (r *blobReader) Close() error {
	r.cancel()
	return nil
}
