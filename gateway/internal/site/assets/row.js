// One line of the upload page: a file, its title, its progress, and its buttons.
import { t } from "./texts.js";
import { bytes, speed, time } from "./units.js";

const list = document.getElementById("uploads");
const template = document.getElementById("upload-row");
const heard = document.getElementById("said"); // for screen readers

export const extension = /\.[A-Za-z0-9]{1,5}$/;

const defaultTitle = (file) => file.name.replace(extension, "").trim() || file.name;

// addRow shows a file. It calls events.cancel, events.retry, and events.titled when the viewer has changed the title.
export function addRow(file, events) {
  const item = template.content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const [title, state, progress, cancel, retry] = [".title", ".state", "progress", ".cancel", ".retry"].map(part);
  let edited = false;
  let warning = "";
  let meter, step, shown;

  title.value = defaultTitle(file).slice(0, title.maxLength);
  title.setAttribute("aria-label", t("Title of %s", file.name));
  cancel.setAttribute("aria-label", `${cancel.textContent}: ${file.name}`);
  retry.setAttribute("aria-label", `${retry.textContent}: ${file.name}`);
  title.addEventListener("input", () => {
    edited = true;
    title.setCustomValidity("");
    showInitial();
  });
  title.addEventListener("change", () => {
    if (!title.value.trim()) {
      title.value = defaultTitle(file);
      title.setCustomValidity(t("A title must not be blank. It comes from the file “%s” again.", file.name));
      title.reportValidity();
    }
    showInitial();
    events.titled();
  });
  cancel.addEventListener("click", events.cancel);
  retry.addEventListener("click", events.retry);
  state.textContent = t("Waiting"); // for the size limit
  showInitial();
  list.append(item);

  // showInitial is for a video without a poster, as on its card.
  function showInitial() {
    part(".thumb").dataset.initial = title.value.match(/[\p{L}\p{N}]/u)?.[0].toUpperCase() ?? "▸";
  }

  function say(text, ...more) {
    state.replaceChildren(text, ...more);
    heard.textContent = `${title.value}: ${text} ${warning}`.trim();
  }

  // buttons shows these and hides the others. The focus stays in the line when its button is hidden.
  function buttons(...shown) {
    const gone = [cancel, retry].filter((button) => !shown.includes(button));
    for (const button of shown) button.hidden = false;
    if (gone.includes(document.activeElement)) (shown[0] ?? title).focus();
    for (const button of gone) button.hidden = true;
  }

  function ended(text, canRetry) {
    item.classList.add("failed");
    progress.hidden = true;
    buttons(...(canRetry ? [retry] : []));
    say(text);
  }

  return {
    // While the field is empty the title comes from the file.
    get title() {
      return title.value.trim() || defaultTitle(file);
    },
    // suggest replaces a title that came from the file, but not one from the viewer.
    suggest(text) {
      if (edited) return;
      title.value = text;
      showInitial();
    },
    picture({ canvas, unseen, unplayable }) {
      if (canvas) part(".thumb").replaceChildren(canvas);
      if (unseen) warning = t("This browser cannot show the picture of this video. Others may hear only its sound.");
      if (unplayable) warning = t("This browser cannot play this video.");
      part(".warning").textContent = warning;
      part(".warning").hidden = !warning;
      if (warning) heard.textContent = `${title.value}: ${warning}`;
    },
    waits(text) {
      item.classList.remove("failed");
      progress.hidden = false;
      buttons(cancel);
      meter = newMeter();
      step = -1;
      say(text);
    },
    sent(n) {
      progress.value = n / file.size;
      if (n === file.size) buttons(); // too late to cancel
      const rate = meter(n);
      const now = Math.floor((10 * n) / file.size);
      if (now === step && performance.now() - shown < 500) return;
      shown = performance.now();
      const facts = [t("%d %% of %s", Math.floor((100 * n) / file.size), bytes(file.size))];
      if (rate > 0 && n < file.size) facts.push(speed(rate), t("%s left", time((file.size - n) / rate)));
      state.textContent = n < file.size ? facts.join(" · ") : t("Checking");
      // Screen readers say every ten percent.
      if (now !== step) heard.textContent = `${title.value}: ${n < file.size ? facts[0] : state.textContent}`;
      step = now;
    },
    done(text, ...more) {
      item.classList.remove("failed");
      item.classList.add("done");
      progress.value = 1;
      buttons();
      say(text, ...more);
    },
    failed: (reason, canRetry) => ended(t("“%s”: %s", file.name, reason), canRetry),
    cancelled: () => ended(t("Cancelled"), true),
  };
}

// newMeter returns a function that takes how many bytes were sent and returns how many are sent per second at present.
function newMeter() {
  const marks = [];
  return (n) => {
    const now = performance.now();
    marks.push([now, n]);
    while (now - marks[0][0] > 5000) marks.shift();
    const seconds = (now - marks[0][0]) / 1000;
    return seconds > 0.5 ? (n - marks[0][1]) / seconds : 0;
  };
}
