// Keyboard shortcuts, the same as in other players.
const seek = (by) => (video) => {
  if (video.readyState) video.currentTime = Math.max(0, video.currentTime + by); // otherwise it starts where the viewer stopped
};
const louder = (by) => (video) => {
  video.volume = Math.min(1, Math.max(0, Math.round(20 * (video.volume + by)) / 20)); // in steps of 5 percent
  video.muted = false;
};
const toggle = (video) => (video.paused ? video.play().catch(() => {}) : video.pause());

const actions = {
  " ": toggle,
  k: toggle,
  ArrowLeft: seek(-5),
  ArrowRight: seek(5),
  ArrowUp: louder(0.05),
  ArrowDown: louder(-0.05),
  j: seek(-10),
  l: seek(10),
  m: (video) => {
    video.muted = !video.muted;
  },
  f: (video) => {
    const done = document.fullscreenElement ? document.exitFullscreen() : video.requestFullscreen?.();
    done?.catch(() => {});
  },
};
const held = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "j", "l"]; // these repeat while the key is down

// watchKeys ignores keys that are typed into a field or press a button. more has further keys.
export function watchKeys(video, more) {
  const all = { ...actions, ...more };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const target = event.target;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === " " && target.closest("a, button, summary")) return;
    // The target of keys for the player's own buttons and sliders is the video, and the browser handles these.
    if (target === video && / |Arrow/.test(event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^\d$/.test(key) && video.duration) video.currentTime = (video.duration * key) / 10;
    else if (!Object.hasOwn(all, key)) return;
    else if (!event.repeat || held.includes(key)) all[key](video);
    event.preventDefault();
  });
}
