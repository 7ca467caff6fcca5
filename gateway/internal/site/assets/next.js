// After the end of a video counts down and opens the first of those that are up next, unless the viewer does anything else.
import { t } from "./texts.js";

const seconds = 8;

export function playNext(video, panel) {
  const link = document.querySelector("#next-list a");
  if (!link) return;
  const [text, cancel] = [panel.querySelector("p"), panel.querySelector("button")];
  let timer;

  function stop() {
    clearInterval(timer);
    if (panel.contains(document.activeElement)) video.focus();
    panel.hidden = true;
  }

  function begin() {
    clearInterval(timer);
    let left = seconds;
    const say = () => (text.textContent = t("Next in %d s: %s", left, link.querySelector(".title").textContent));
    say();
    panel.hidden = false;
    timer = setInterval(() => {
      if (document.hidden) return; // nobody looks
      left--;
      if (left > 0) return say();
      stop();
      link.click();
    }, 1000);
  }

  cancel.addEventListener("click", stop);
  video.addEventListener("ended", begin);
  for (const event of ["play", "seeking"]) video.addEventListener(event, stop);
  document.addEventListener("keydown", (event) => event.key === "Escape" && stop());
}
