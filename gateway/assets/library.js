// What the library knows of a video that was just sent.

// stored is whether its bytes are there.
export async function stored(id) {
  const answer = await fetch(`/api/video?id=${encodeURIComponent(id)}`, { method: "HEAD" }).catch(() => null); // counts no view
  return answer?.ok ?? false;
}

// listed is whether the library has heard of it, which is soon after it was stored, but not at once.
export async function listed(id) {
  const answer = await fetch(`/video?id=${encodeURIComponent(id)}`).catch(() => null);
  if (!answer?.ok) return false;
  const page = await answer.text().catch(() => "");
  // While nobody can say whether there is such a video the page comes too, but without what its owner may do.
  return new DOMParser().parseFromString(page, "text/html").querySelector(".owner") !== null;
}

// rename returns whether the video has the name now.
export async function rename(id, name) {
  const answer = await fetch(`/api/video?id=${encodeURIComponent(id)}`, {
    method: "PATCH",
    body: JSON.stringify({ name }),
    headers: { "Content-Type": "application/json" },
  }).catch(() => null);
  return answer?.ok ?? false;
}
