export default {
  "already_uploaded": {
    "en": "This video is already uploaded.",
    "ko": "이미 업로드된 동영상입니다."
  },
  "bad_request": {
    "en": "The request is not valid.",
    "ko": "올바르지 않은 요청입니다."
  },
  "body_incomplete": {
    "en": "The transfer was interrupted. Try again.",
    "ko": "전송이 중간에 끊어졌습니다. 다시 시도해 주세요."
  },
  "body_timeout": {
    "en": "The transfer stopped for too long. Try again.",
    "ko": "전송이 너무 오래 멈췄습니다. 다시 시도해 주세요."
  },
  "body_too_large": {
    "en": "The request is too large. At most {max:bytes} are allowed.",
    "ko": "요청이 너무 큽니다. 최대 {max:bytes}까지 보낼 수 있습니다."
  },
  "cannot_announce": {
    "en": "The video could not be added to the library. Upload it again later.",
    "ko": "동영상을 보관함에 추가하지 못했습니다. 나중에 다시 올려 주세요."
  },
  "captions_backwards": {
    "en": "Line {line}: the caption must end after it begins.",
    "ko": "{line}번째 줄: 자막의 끝 시각이 시작 시각보다 늦어야 합니다."
  },
  "captions_empty": {
    "en": "The file has no captions.",
    "ko": "파일에 자막이 없습니다."
  },
  "captions_no_blank": {
    "en": "Line {line}: there must be a blank line before the next caption.",
    "ko": "{line}번째 줄: 다음 자막 앞에 빈 줄이 있어야 합니다."
  },
  "captions_no_timing": {
    "en": "Line {line}: a time is missing or wrong. It must look like 00:01:02.500 --> 00:01:04.000.",
    "ko": "{line}번째 줄: 시간이 없거나 잘못되었습니다. 00:01:02.500 --> 00:01:04.000과 같은 형식이어야 합니다."
  },
  "captions_not_found": {
    "en": "The video has no captions in this language.",
    "ko": "이 언어로 된 자막이 없습니다."
  },
  "captions_not_text": {
    "en": "Line {line}: this is not UTF-8 text. Save the file as UTF-8.",
    "ko": "{line}번째 줄: UTF-8 텍스트가 아닙니다. 파일을 UTF-8로 저장해 주세요."
  },
  "captions_too_many": {
    "en": "Line {line}: the file has too many captions. At most {max} are allowed.",
    "ko": "{line}번째 줄: 자막이 너무 많습니다. 최대 {max}개까지 올릴 수 있습니다."
  },
  "change_failed": {
    "en": "The change could not be saved. Try again in a moment.",
    "ko": "변경 내용을 저장하지 못했습니다. 잠시 후 다시 시도해 주세요."
  },
  "concat_unsupported": {
    "en": "Uploads in several parts are not supported.",
    "ko": "여러 부분으로 나눈 업로드는 지원하지 않습니다."
  },
  "cross_origin": {
    "en": "This request came from another site and was rejected.",
    "ko": "다른 사이트에서 보낸 요청이라 처리하지 않았습니다."
  },
  "empty_file": {
    "en": "The file is empty.",
    "ko": "파일이 비어 있습니다."
  },
  "file_name_missing": {
    "en": "The file has no name.",
    "ko": "파일 이름이 없습니다."
  },
  "file_name_too_long": {
    "en": "The file name is too long. At most {max} bytes are allowed.",
    "ko": "파일 이름이 너무 깁니다. {max}바이트까지 쓸 수 있습니다."
  },
  "internal_error": {
    "en": "Something went wrong on our side.",
    "ko": "서버에 문제가 생겼습니다."
  },
  "invalid_body": {
    "en": "The request could not be read.",
    "ko": "요청 내용을 읽을 수 없습니다."
  },
  "invalid_content_type": {
    "en": "The content type is not valid.",
    "ko": "콘텐츠 형식이 올바르지 않습니다."
  },
  "invalid_duration": {
    "en": "The duration must be more than 0 and at most {max} seconds.",
    "ko": "길이는 0초보다 길고 {max}초 이하여야 합니다."
  },
  "invalid_file_name": {
    "en": "The file name has characters that are not allowed.",
    "ko": "파일 이름에 쓸 수 없는 문자가 있습니다."
  },
  "invalid_form": {
    "en": "The form could not be read. Reload the page and try again.",
    "ko": "양식을 읽을 수 없습니다. 페이지를 새로 고친 뒤 다시 시도해 주세요."
  },
  "invalid_id": {
    "en": "The id is not valid.",
    "ko": "올바르지 않은 ID입니다."
  },
  "invalid_language": {
    "en": "Choose the language of the captions.",
    "ko": "자막의 언어를 선택해 주세요."
  },
  "invalid_message": {
    "en": "The message could not be read.",
    "ko": "메시지를 읽을 수 없습니다."
  },
  "invalid_name": {
    "en": "A title must have 1 to {max} characters.",
    "ko": "제목은 1자 이상 {max}자 이하여야 합니다."
  },
  "invalid_number": {
    "en": "{name} must be a whole number of 0 or more.",
    "ko": "{name} 값은 0 이상의 정수여야 합니다."
  },
  "invalid_position": {
    "en": "The position is not within the video.",
    "ko": "재생 위치가 동영상 길이를 벗어났습니다."
  },
  "invalid_poster": {
    "en": "The picture could not be read.",
    "ko": "이미지를 읽을 수 없습니다."
  },
  "invalid_sort": {
    "en": "Videos cannot be sorted like this.",
    "ko": "이 기준으로는 정렬할 수 없습니다."
  },
  "invalid_tus_request": {
    "en": "The upload request is not valid.",
    "ko": "올바르지 않은 업로드 요청입니다."
  },
  "invalid_viewer": {
    "en": "The viewer id is not valid.",
    "ko": "올바르지 않은 시청자 ID입니다."
  },
  "method_not_allowed": {
    "en": "This address does not accept such a request.",
    "ko": "이 주소에서는 처리할 수 없는 요청입니다."
  },
  "moov_missing": {
    "en": "The file is incomplete: the index (moov) that players need is missing. The recording or the download was probably cut off.",
    "ko": "파일이 불완전합니다. 재생에 필요한 색인(moov)이 없습니다. 녹화나 다운로드가 중간에 끊겼을 수 있습니다."
  },
  "no_answer": {
    "en": "The server does not answer. Try again in a moment.",
    "ko": "서버가 응답하지 않습니다. 잠시 후 다시 시도해 주세요."
  },
  "no_captions_file": {
    "en": "Choose a file with captions first.",
    "ko": "먼저 자막 파일을 선택해 주세요."
  },
  "no_file": {
    "en": "Choose a video first.",
    "ko": "먼저 동영상을 선택해 주세요."
  },
  "no_space": {
    "en": "The server has no space left right now. Try again later.",
    "ko": "지금은 서버에 남은 공간이 없습니다. 나중에 다시 시도해 주세요."
  },
  "not_a_file_form": {
    "en": "The form contains no file.",
    "ko": "파일이 담긴 양식이 아닙니다."
  },
  "not_found": {
    "en": "There is no such page.",
    "ko": "페이지를 찾을 수 없습니다."
  },
  "not_owner": {
    "en": "Only the owner of a video can do this.",
    "ko": "동영상을 올린 사람만 할 수 있습니다."
  },
  "not_playable": {
    "en": "This is not a video in a format that browsers play.",
    "ko": "브라우저에서 재생할 수 있는 형식의 동영상이 아닙니다."
  },
  "nothing_owned": {
    "en": "You have no video yet.",
    "ko": "아직 올린 동영상이 없습니다."
  },
  "page_not_found": {
    "en": "There is no such page. Check the address.",
    "ko": "페이지를 찾을 수 없습니다. 주소를 확인해 주세요."
  },
  "position_not_found": {
    "en": "No position is saved for this video.",
    "ko": "이 동영상에는 저장된 재생 위치가 없습니다."
  },
  "poster_not_found": {
    "en": "This video has no picture.",
    "ko": "이 동영상에는 이미지가 없습니다."
  },
  "poster_not_jpeg": {
    "en": "The picture must be a JPEG.",
    "ko": "이미지는 JPEG 파일이어야 합니다."
  },
  "poster_too_large": {
    "en": "The picture is too large. At most {pixels} pixels in all and {side} on each side are allowed.",
    "ko": "이미지가 너무 큽니다. 전체 {pixels}픽셀, 한 변 {side}픽셀까지 올릴 수 있습니다."
  },
  "range_unsatisfiable": {
    "en": "The video has no such part.",
    "ko": "동영상에 없는 구간입니다."
  },
  "recovery_not_found": {
    "en": "This recovery code is not valid. It may be mistyped, revoked or replaced by a new one.",
    "ko": "유효하지 않은 복구 코드입니다. 잘못 입력했거나, 폐기되었거나, 새 코드로 바뀌었을 수 있습니다."
  },
  "search_too_long": {
    "en": "A search can have at most {max} characters.",
    "ko": "검색어는 {max}자까지 쓸 수 있습니다."
  },
  "storage_unavailable": {
    "en": "The video storage does not answer. Try again in a moment.",
    "ko": "동영상 저장소가 응답하지 않습니다. 잠시 후 다시 시도해 주세요."
  },
  "too_many_ids": {
    "en": "At most {max} videos can be requested at once.",
    "ko": "한 번에 동영상을 {max}개까지 요청할 수 있습니다."
  },
  "too_many_languages": {
    "en": "A video can have captions in at most {max} languages.",
    "ko": "한 동영상에는 최대 {max}개 언어의 자막을 넣을 수 있습니다."
  },
  "too_many_posters": {
    "en": "Too many pictures are being processed. Try again in a moment.",
    "ko": "처리 중인 이미지가 너무 많습니다. 잠시 후 다시 시도해 주세요."
  },
  "too_many_requests": {
    "en": "Too many requests. Try again in {seconds} s.",
    "ko": "요청이 너무 많습니다. {seconds}초 후 다시 시도해 주세요."
  },
  "too_many_uploads": {
    "en": "You have {max} unfinished uploads. Finish or cancel one of them first.",
    "ko": "끝나지 않은 업로드가 {max}개 있습니다. 먼저 하나를 끝내거나 취소해 주세요."
  },
  "unknown_language": {
    "en": "This language is not available.",
    "ko": "지원하지 않는 언어입니다."
  },
  "upload_failed": {
    "en": "The video could not be uploaded. Try again in a moment.",
    "ko": "동영상을 올리지 못했습니다. 잠시 후 다시 시도해 주세요."
  },
  "upload_locked": {
    "en": "Another request is changing this upload. Try again in a moment.",
    "ko": "다른 요청이 이 업로드를 처리하고 있습니다. 잠시 후 다시 시도해 주세요."
  },
  "upload_not_found": {
    "en": "There is no such upload.",
    "ko": "업로드를 찾을 수 없습니다."
  },
  "uploads_full": {
    "en": "Too many videos are being uploaded right now. Try again later.",
    "ko": "지금은 업로드 중인 동영상이 너무 많습니다. 나중에 다시 시도해 주세요."
  },
  "video_exists": {
    "en": "There is already a video with this id.",
    "ko": "같은 ID의 동영상이 이미 있습니다."
  },
  "video_not_found": {
    "en": "There is no such video. Its owner may have removed it.",
    "ko": "동영상을 찾을 수 없습니다. 올린 사람이 삭제했을 수 있습니다."
  },
  "video_too_large": {
    "en": "The video is too large. At most {max:bytes} are allowed.",
    "ko": "동영상이 너무 큽니다. 최대 {max:bytes}까지 올릴 수 있습니다."
  },
  "view_not_found": {
    "en": "Your history does not have this entry.",
    "ko": "시청 기록에 없는 항목입니다."
  },
  "view_not_stored": {
    "en": "The view could not be recorded. Try again in a moment.",
    "ko": "시청 기록을 저장하지 못했습니다. 잠시 후 다시 시도해 주세요."
  },
  "viewer_missing": {
    "en": "Your browser could not be identified. Allow cookies and try again.",
    "ko": "브라우저를 식별할 수 없습니다. 쿠키를 허용하고 다시 시도해 주세요."
  }
}
