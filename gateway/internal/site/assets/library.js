// Asks the library about a video that was just uploaded.

// stored returns whether its bytes are there.
export async function stored(id) {
  const answer = await fetch(`/api/video?id=${encodeURIComponent(id)}`, { method: "HEAD" }).catch(() => null); // counts no view
  return answer?.ok ?? false;
}

// listed returns whether the library has it, which is soon after it was stored, but not at once.
export async function listed(id) {
  const answer = await fetch(`/video?id=${encodeURIComponent(id)}`).catch(() => null);
  if (!answer?.ok) return false;
  const page = await answer.text().catch(() => "");
  // While metadata is down there is a page, too, but without the owner's forms.
  return new DOMParser().parseFromString(page, "text/html").querySelector(".owner") !== null;
}

// rename returns whether the video has the new name.
export async function rename(id, name) {
  const answer = await fetch(`/api/video?id=${encodeURIComponent(id)}`, {
    method: "PATCH",
    body: JSON.stringify({ name }),
    headers: { "Content-Type": "application/json" },
  }).catch(() => null);
  return answer?.ok ?? false;
}
