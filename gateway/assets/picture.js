// Takes the duration and a picture out of a video file, in the browser, for the library to show.
const limit = 10_000; // milliseconds for all of it
const widest = 640; // pixels
const highest = 1280;
const largest = 1 << 20; // bytes that the server takes

// lookInto never fails: what a browser cannot find out about a file is left out, and it is sent all the same.
export async function lookInto(file) {
  const found = { duration: 0, canvas: null, picture: null };
  const video = document.createElement("video");
  const address = URL.createObjectURL(file);
  const tooLate = AbortSignal.timeout(limit);
  const until = (event) =>
    new Promise((resolve, reject) => {
      video.addEventListener(event, resolve, { once: true });
      video.addEventListener("error", () => reject(video.error), { once: true });
      tooLate.addEventListener("abort", () => reject(tooLate.reason), { once: true });
    });
  try {
    video.muted = true;
    video.preload = "auto";
    video.src = address;
    await until("loadeddata");
    if (video.duration > 0 && video.duration <= 1e7) found.duration = video.duration;
    const place = found.duration ? found.duration / 10 : 1; // beginnings are often black
    const there = until("seeked");
    video.currentTime = place;
    await there;
    found.canvas = draw(video);
    const jpeg = await new Promise((resolve) => found.canvas.toBlob(resolve, "image/jpeg", 0.8));
    if (jpeg?.size <= largest) found.picture = jpeg;
  } catch {
    // no video that this browser plays
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
