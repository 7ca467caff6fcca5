// Reads the duration and a poster from a video file, in the browser.
const limit = 10_000; // milliseconds in all
const widest = 640; // pixels
const highest = 1280;
const largest = 1e6; // bytes that the server accepts

// lookInto never fails. What the browser cannot read is missing, and the file is uploaded without it.
export async function lookInto(file) {
  const found = { duration: 0, canvas: null, picture: null, unseen: false, unplayable: false };
  const video = document.createElement("video");
  const address = URL.createObjectURL(file);
  const timeout = AbortSignal.timeout(limit);
  const until = (event) =>
    new Promise((resolve, reject) => {
      video.addEventListener(event, resolve, { once: true });
      video.addEventListener("error", () => reject(video.error), { once: true });
      timeout.addEventListener("abort", () => reject(timeout.reason), { once: true });
    });
  try {
    video.muted = true;
    video.preload = "auto";
    video.src = address;
    await until("loadeddata");
    found.unseen = !video.videoWidth; // there is sound, but no picture that this browser can decode
    if (video.duration > 0 && video.duration <= 1e7) found.duration = video.duration;
    if (found.unseen) return found;
    const place = found.duration ? found.duration / 10 : 1; // beginnings are often black
    const there = until("seeked");
    video.currentTime = place;
    await there;
    found.canvas = draw(video);
    const jpeg = await new Promise((resolve) => found.canvas.toBlob(resolve, "image/jpeg", 0.8));
    if (jpeg?.size <= largest) found.picture = jpeg;
  } catch {
    found.unplayable = video.error !== null; // otherwise it took too long, or the frame cannot be drawn
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  }
  return found;
}

function draw(video) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, widest / video.videoWidth, highest / video.videoHeight);
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}
