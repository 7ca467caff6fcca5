// Saves where the viewer is: every few seconds, when they pause, and when they leave the page.
const every = 5000; // milliseconds

// placeOf returns where the video is, or will start, in seconds.
export function placeOf(video) {
  return video.readyState ? video.currentTime : Number(video.src.split("#t=")[1] ?? 0);
}

export function keepPosition(video) {
  const address = `/api/position?video=${encodeURIComponent(video.dataset.id)}`;
  const headers = { "Content-Type": "application/json" };
  let last = Date.now();
  let saved = -1;
  let saving = false;

  const place = () => (video.ended ? video.duration : video.currentTime);
  const isNew = () => video.played.length > 0 && Number.isFinite(video.duration) && place() !== saved;
  const body = () => JSON.stringify({ position: place(), duration: video.duration });

  async function save() {
    if (saving || !isNew()) return;
    saving = true;
    last = Date.now();
    const position = place();
    const signal = AbortSignal.timeout(every);
    const answer = await fetch(address, { method: "POST", body: body(), headers, signal }).catch(() => null);
    saving = false;
    if (!answer?.ok) return; // the next save will try again
    saved = position;
    if (video.paused) save(); // the viewer paused in the meantime
  }

  function leave() {
    if (!isNew()) return;
    const position = place();
    if (navigator.sendBeacon(address, new Blob([body()], { type: headers["Content-Type"] }))) saved = position;
  }

  video.addEventListener("timeupdate", () => {
    if (!video.paused && Date.now() - last >= every) save();
  });
  for (const event of ["pause", "ended"]) video.addEventListener(event, save);
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leave();
  });
}
