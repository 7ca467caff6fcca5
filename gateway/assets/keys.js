// The keys that people know from other players.
const seek = (by) => (video) => {
  video.currentTime = Math.max(0, video.currentTime + by);
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

// watchKeys leaves keys alone that are typed into something, or that work a button.
export function watchKeys(video) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const target = event.target;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === " " && target.closest("a, button, summary")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^\d$/.test(key) && video.duration) video.currentTime = (video.duration * key) / 10;
    else if (Object.hasOwn(actions, key)) actions[key](video);
    else return;
    event.preventDefault();
  });
}
