// When the video does not come the page says so and tries again, from the same place.
import { t } from "./texts.js";

const pauses = [3, 5, 10, 20, 30]; // seconds

export function tryAgain(video, trouble) {
  const source = video.src.split("#")[0];
  let tries = 0;
  let place = Number(video.src.split("#t=")[1] ?? 0);
  let played = false;

  function say(text) {
    if (trouble.textContent !== text) trouble.textContent = text;
    trouble.hidden = !text;
  }

  async function failed() {
    const answer = await fetch(source, { method: "HEAD" }).catch(() => null); // counts no view
    if (answer?.status === 404) return say(t("This video is no longer here."));
    if (answer?.ok && video.error?.code === MediaError.MEDIA_ERR_DECODE) return say(t("Your browser cannot play this video."));
    if (answer?.ok && tries === 0) return again();
    if (answer?.ok && video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED && tries > 2) {
      return say(t("Your browser cannot play this video."));
    }
    const pause = pauses[Math.min(tries, pauses.length - 1)];
    say(t("The video does not come. Trying again in %d s.", pause));
    setTimeout(again, pause * 1000);
  }

  function again() {
    tries++;
    video.src = place ? `${source}#t=${place}` : source;
    video.load();
    if (played) video.play().catch(() => {});
  }

  video.addEventListener("play", () => (played = true));
  video.addEventListener("timeupdate", () => {
    if (video.currentTime > 0) place = video.currentTime;
  });
  video.addEventListener("error", failed);
  video.addEventListener("canplay", () => {
    tries = 0;
    say("");
  });
}
