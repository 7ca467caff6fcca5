// Makes the whole picture a button while the video is not loaded: browsers ignore clicks on such a video.
const play = (video) => video.play().catch(() => {}); // the page says why a video cannot be loaded

export function startByClick(video, button) {
  function show() {
    const asks = video.paused && !video.readyState && !video.error;
    if (!asks && document.activeElement === button) video.focus();
    button.hidden = !asks;
    video.controls = !asks; // under the button they could not be reached
  }
  for (const event of ["play", "pause", "loadedmetadata", "emptied", "error"]) video.addEventListener(event, show);
  button.addEventListener("click", () => play(video));
  show();
}

// startFromLink plays at once when the viewer has followed a link of this site to the video, if the browser allows it.
export function startFromLink(video) {
  const from = document.referrer && new URL(document.referrer);
  // One of the owner's forms leads back to the video.
  const again = from?.pathname?.startsWith("/video/") || (from?.pathname === "/video" && from.searchParams.get("id") === video.dataset.id);
  const [{ type }] = performance.getEntriesByType("navigation");
  if (from?.origin === location.origin && !again && type === "navigate" && !document.hidden) play(video);
}
