// One line of the upload page: a file, its title, how far it is, and what can be done about it.
import { t } from "./texts.js";
import { bytes, speed, time } from "./units.js";

const list = document.getElementById("uploads");
const template = document.getElementById("upload-row");
const heard = document.getElementById("said"); // tells those who don't see the list

export const extension = /\.[A-Za-z0-9]{1,5}$/;

const defaultTitle = (file) => file.name.replace(extension, "").trim() || file.name;

// addRow shows a file. Of events are called: cancel, retry, and titled when the viewer changed the title.
export function addRow(file, events) {
  const item = template.content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const [title, state, progress, cancel, retry] = [".title", ".state", "progress", ".cancel", ".retry"].map(part);
  let edited = false;
  let meter, step, shown;

  title.value = defaultTitle(file).slice(0, title.maxLength);
  title.setAttribute("aria-label", t("Title of %s", file.name));
  cancel.setAttribute("aria-label", `${cancel.textContent}: ${file.name}`);
  retry.setAttribute("aria-label", `${retry.textContent}: ${file.name}`);
  title.addEventListener("input", () => {
    edited = true;
    showInitial();
  });
  title.addEventListener("change", () => {
    if (!title.value.trim()) title.value = defaultTitle(file);
    showInitial();
    events.titled();
  });
  cancel.addEventListener("click", events.cancel);
  retry.addEventListener("click", events.retry);
  state.textContent = t("Waiting"); // to hear what may be sent
  showInitial();
  list.append(item);

  // showInitial is for those without a picture, as on their cards.
  function showInitial() {
    part(".thumb").dataset.initial = title.value.match(/[\p{L}\p{N}]/u)?.[0].toUpperCase() ?? "▸";
  }

  function say(text, ...more) {
    state.replaceChildren(text, ...more);
    heard.textContent = `${title.value}: ${text}`;
  }

  // buttons are shown as named; the focus stays in the line if its button goes.
  function buttons(...shown) {
    const gone = [cancel, retry].filter((button) => !shown.includes(button));
    for (const button of shown) button.hidden = false;
    if (gone.includes(document.activeElement)) (shown[0] ?? title).focus();
    for (const button of gone) button.hidden = true;
  }

  return {
    // The title is the file's while the field is empty.
    get title() {
      return title.value.trim() || defaultTitle(file);
    },
    // suggest is a title that wins over the file's name, but not over the viewer.
    suggest(text) {
      if (edited) return;
      title.value = text;
      showInitial();
    },
    picture(canvas) {
      if (canvas) part(".thumb").replaceChildren(canvas);
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
      // Every ten percent is news enough for those who listen to the page.
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
    failed(text, canBeTriedAgain) {
      item.classList.add("failed");
      progress.hidden = true;
      buttons(...(canBeTriedAgain ? [retry] : []));
      say(text);
    },
  };
}

// newMeter returns a function that takes how many bytes have gone and returns how many do per second, of late.
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
