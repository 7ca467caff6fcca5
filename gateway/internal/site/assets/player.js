// The watch page's additions to the browser's own player.
import { watchKeys } from "./keys.js";
import { keepPosition, placeOf } from "./position.js";
import { tryAgain } from "./retry.js";
import { startByClick, startFromLink } from "./start.js";
import { t } from "./texts.js";

const video = document.getElementById("player");
const speed = document.getElementById("speed");
const said = document.getElementById("said");

speed.addEventListener("change", () => {
  video.defaultPlaybackRate = video.playbackRate = Number(speed.value);
});

document.getElementById("copy").addEventListener("click", async () => {
  const link = new URL("/video", location.origin);
  link.searchParams.set("id", video.dataset.id);
  link.searchParams.set("t", Math.floor(placeOf(video)));
  try {
    await navigator.clipboard.writeText(link.href);
    said.textContent = t("Copied: %s", link.href);
  } catch {
    said.textContent = t("Link: %s", link.href); // for copying by hand: no clipboard without HTTPS
  }
});

watchKeys(video);
keepPosition(video);
tryAgain(video, document.getElementById("trouble"));
startByClick(video, document.getElementById("start"));
startFromLink(video);
