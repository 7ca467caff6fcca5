// The watch page's additions to the browser's own player.
import { watchKeys } from "./keys.js";
import { playNext } from "./next.js";
import { keepPosition, placeOf } from "./position.js";
import { remember } from "./remember.js";
import { tryAgain } from "./retry.js";
import { startByClick, startFromLink } from "./start.js";
import { t } from "./texts.js";

const video = document.getElementById("player");
const speed = document.getElementById("speed");
const said = document.getElementById("said");

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

const faster = (by) => () => {
  const place = Math.min(speed.options.length - 1, Math.max(0, speed.selectedIndex + by));
  speed.selectedIndex = place;
  speed.dispatchEvent(new Event("change"));
};
const keys = document.getElementById("keys");
watchKeys(video, {
  "<": faster(-1),
  ">": faster(1),
  "?": () => {
    keys.open = !keys.open;
    if (keys.open) keys.scrollIntoView({ block: "nearest" });
  },
});
remember(video, speed);
playNext(video, document.getElementById("next"));
keepPosition(video);
tryAgain(video, document.getElementById("trouble"));
startByClick(video, document.getElementById("start"));
startFromLink(video);
