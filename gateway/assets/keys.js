// The keys that people know from other players.
const seek = (by) => (video) => {
  if (video.readyState) video.currentTime = Math.max(0, video.currentTime + by); // else it begins where it was left
};
const toggle = (video) => (video.paused ? video.play().catch(() => {}) : video.pause());

const actions = {
  " ": toggle,
  k: toggle,
  ArrowLeft: seek(-5),
  ArrowRight: seek(5),
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
const held = ["ArrowLeft", "ArrowRight", "j", "l"]; // what goes on while the key is down

// watchKeys leaves keys alone that are typed into something, or that work a button.
export function watchKeys(video) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const target = event.target;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === " " && target.closest("a, button, summary")) return;
    // The browser's own buttons and sliders in the player are the video to others; it knows what these keys do there.
    if (target === video && / |Arrow/.test(event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^\d$/.test(key) && video.duration) video.currentTime = (video.duration * key) / 10;
    else if (!Object.hasOwn(actions, key)) return;
    else if (!event.repeat || held.includes(key)) actions[key](video);
    event.preventDefault();
  });
}
