// When the video cannot be loaded, says so and tries again, from the same place.
import { placeOf } from "./position.js";
import { t } from "./texts.js";

const delays = [3, 5, 10, 20, 30]; // seconds
const timeout = 10_000; // milliseconds without any data

export function tryAgain(video, trouble) {
  const source = video.src.split("#")[0];
  let tries = 0;
  let place = placeOf(video);
  let failedAt = place; // the last time
  let wanted = false; // the viewer wants it to play
  let failing = false;
  let rejected = false; // by the browser, although the server has it
  let silence, next; // timers: no data comes; the next try

  function say(text) {
    if (trouble.textContent !== text) trouble.textContent = text;
    trouble.hidden = !text;
  }

  async function failed() {
    heard();
    if (failing) return;
    failing = true;
    failedAt = place;
    const answer = await fetch(source, { method: "HEAD", signal: AbortSignal.timeout(timeout) }).catch(() => null); // counts no view
    if (!failing) return; // data came in the meantime
    if (answer?.status === 404) return say(t("This video is no longer available."));
    if (answer?.ok && video.error?.code === MediaError.MEDIA_ERR_DECODE) return say(t("Your browser cannot play this video."));
    const unplayable = answer?.ok && video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    if (unplayable && rejected) return say(t("Your browser cannot play this video."));
    rejected = unplayable; // once, it may have been an answer that broke off
    if (unplayable || (answer?.ok && tries === 0)) return again();
    const delay = delays[Math.min(tries, delays.length - 1)];
    say(t("The video cannot be loaded. Trying again in %d s.", delay));
    next = setTimeout(again, delay * 1000);
  }

  function again() {
    failing = false;
    tries++;
    video.src = place ? `${source}#t=${place}` : source;
    video.load();
    if (wanted) video.play().catch(() => {});
    else say(""); // the viewer will press play
  }

  function listen() {
    heard();
    silence = setTimeout(failed, timeout);
  }
  function heard() {
    clearTimeout(silence);
    silence = undefined;
  }

  video.addEventListener("timeupdate", () => {
    if (video.currentTime > 0) place = video.currentTime;
    if (Math.abs(place - failedAt) > 1) tries = 0; // a file may fail at the same place each time
  });
  video.addEventListener("play", () => (wanted = true));
  video.addEventListener("pause", () => (wanted = wanted && video.error !== null)); // a failure pauses, too
  video.addEventListener("error", failed);
  for (const event of ["play", "waiting"]) video.addEventListener(event, listen);
  for (const event of ["playing", "pause"]) video.addEventListener(event, heard);
  video.addEventListener("progress", () => silence && listen());
  video.addEventListener("canplay", () => {
    failing = rejected = false;
    clearTimeout(next);
    say(video.videoWidth ? "" : t("Your browser cannot show the picture of this video, and plays only its sound."));
  });
}
