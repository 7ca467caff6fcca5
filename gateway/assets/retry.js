// When the video does not come the page says so and tries again, from the same place.
import { placeOf } from "./position.js";
import { t } from "./texts.js";

const pauses = [3, 5, 10, 20, 30]; // seconds
const patience = 10_000; // milliseconds in which something should come

export function tryAgain(video, trouble) {
  const source = video.src.split("#")[0];
  let tries = 0;
  let place = placeOf(video);
  let broke = place; // where it failed last
  let on = false; // as far as the viewer is concerned
  let failing = false;
  let silence, next; // timers: nothing comes; the next try

  function say(text) {
    if (trouble.textContent !== text) trouble.textContent = text;
    trouble.hidden = !text;
  }

  async function failed() {
    heard();
    if (failing) return;
    failing = true;
    broke = place;
    const answer = await fetch(source, { method: "HEAD", signal: AbortSignal.timeout(patience) }).catch(() => null); // counts no view
    if (!failing) return; // it came after all
    if (answer?.status === 404) return say(t("This video is no longer here."));
    if (answer?.ok && video.error?.code === MediaError.MEDIA_ERR_DECODE) return say(t("Your browser cannot play this video."));
    if (answer?.ok && tries === 0) return again();
    if (answer?.ok && video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED && tries > 2) {
      return say(t("Your browser cannot play this video."));
    }
    const pause = pauses[Math.min(tries, pauses.length - 1)];
    say(t("The video does not come. Trying again in %d s.", pause));
    next = setTimeout(again, pause * 1000);
  }

  function again() {
    failing = false;
    tries++;
    video.src = place ? `${source}#t=${place}` : source;
    video.load();
    if (on) video.play().catch(() => {});
    else say(""); // it is up to the viewer
  }

  function listen() {
    heard();
    silence = setTimeout(failed, patience);
  }
  function heard() {
    clearTimeout(silence);
    silence = undefined;
  }

  video.addEventListener("timeupdate", () => {
    if (video.currentTime > 0) place = video.currentTime;
    if (Math.abs(place - broke) > 1) tries = 0; // a file may break at the same place each time
  });
  video.addEventListener("play", () => (on = true));
  video.addEventListener("pause", () => (on = on && video.error !== null)); // what fails is paused, too
  video.addEventListener("error", failed);
  for (const event of ["play", "waiting"]) video.addEventListener(event, listen);
  for (const event of ["playing", "pause"]) video.addEventListener(event, heard);
  video.addEventListener("progress", () => silence && listen());
  video.addEventListener("canplay", () => {
    failing = false;
    clearTimeout(next);
    say("");
  });
}
