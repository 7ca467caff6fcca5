// Keeps where the viewer is, on the server: every few seconds, at a pause, and when the page is left.
const every = 5000; // milliseconds

export function keepPosition(video) {
  const address = `/api/position?video=${encodeURIComponent(video.dataset.id)}`;
  let last = Date.now();
  let saved = -1;

  function save(send) {
    const position = video.ended ? video.duration : video.currentTime;
    if (!video.played.length || !Number.isFinite(video.duration) || position === saved) return;
    last = Date.now();
    saved = position;
    send(JSON.stringify({ position, duration: video.duration }));
  }
  const headers = { "Content-Type": "application/json" };
  const ask = (body) => fetch(address, { method: "POST", body, headers }).catch(() => {});
  const leave = (body) => navigator.sendBeacon(address, new Blob([body], { type: headers["Content-Type"] }));

  video.addEventListener("timeupdate", () => {
    if (!video.paused && Date.now() - last >= every) save(ask);
  });
  for (const event of ["pause", "ended"]) video.addEventListener(event, () => save(ask));
  addEventListener("pagehide", () => save(leave));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) save(leave);
  });
}
