// Keeps the viewer's speed and volume from one video to the next, in this browser.
const name = "player";

function load() {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? {};
  } catch {
    return {}; // no storage, or somebody else's value
  }
}

function save(settings) {
  try {
    localStorage.setItem(name, JSON.stringify(settings));
  } catch {
    // then they are for this page alone
  }
}

export function remember(video, speed) {
  const known = load();
  if ([...speed.options].some((option) => option.value === known.speed)) speed.value = known.speed;
  if (known.volume >= 0 && known.volume <= 1) video.volume = known.volume;
  if (known.muted === true) video.muted = true;
  const apply = () => (video.defaultPlaybackRate = video.playbackRate = Number(speed.value));
  const keep = () => save({ speed: speed.value, volume: video.volume, muted: video.muted });
  apply();
  speed.addEventListener("change", () => {
    apply();
    keep();
  });
  video.addEventListener("volumechange", keep);
}
