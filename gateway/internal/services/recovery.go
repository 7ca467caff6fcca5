package services

import (
	"context"
	"net/http"

	"flixtube/contracts/codes"
)

// HasRecoveryCode reports whether another browser can become the viewer by a code.
func (m Metadata) HasRecoveryCode(ctx context.Context, viewer string) (bool, error) {
	err := m.get(ctx, viewer, "recovery", nil, &struct{}{})
	if hasCode(err, codes.RecoveryNotFound) {
		return false, nil
	}
	return err == nil, err
}

// NewRecoveryCode makes the viewer's code, and the one from before invalid.
func (m Metadata) NewRecoveryCode(ctx context.Context, viewer string) (code string, err error) {
	var answer struct {
		Code string `json:"code"`
	}
	err = m.post(ctx, viewer, "recovery", nil, &answer)
	return answer.Code, err
}

// RevokeRecoveryCode makes the viewer's code invalid.
func (m Metadata) RevokeRecoveryCode(ctx context.Context, viewer string) error {
	return m.change(ctx, viewer, http.MethodDelete, "recovery", nil, nil)
}

// RecoverViewer returns the id of the viewer whose code it is. The request is made on behalf of another one.
func (m Metadata) RecoverViewer(ctx context.Context, viewer, code string) (id string, err error) {
	var answer struct {
		Viewer struct {
			ID string `json:"id"`
		} `json:"viewer"`
	}
	err = m.post(ctx, viewer, "recovery/use", map[string]string{"code": code}, &answer)
	return answer.Viewer.ID, err
}
