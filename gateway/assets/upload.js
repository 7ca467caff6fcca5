// Sends the chosen or dropped files one after another, each as the raw body of POST /api/upload. Without
// this script the form sends them by itself.
import { locale, message, t } from "./texts.js";

const form = document.getElementById("upload-form");
const input = document.getElementById("files");
const list = document.getElementById("uploads");
const row = document.getElementById("upload-row");

const waiting = [];
let sending = false;

form.querySelector("button").hidden = true; // choosing is enough

form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("change", () => {
  add(input.files);
  input.value = "";
});
for (const type of ["dragover", "dragleave", "drop"]) {
  form.addEventListener(type, (event) => {
    event.preventDefault();
    form.classList.toggle("over", type === "dragover");
    if (type === "drop") add(event.dataTransfer.files);
  });
}
addEventListener("beforeunload", (event) => {
  if (sending) event.preventDefault();
});

function add(files) {
  for (const file of files) {
    const item = row.content.firstElementChild.cloneNode(true);
    const upload = {
      file,
      item,
      state: item.querySelector(".state"),
      progress: item.querySelector("progress"),
      button: item.querySelector("button"),
    };
    item.querySelector(".title").textContent = file.name;
    upload.button.addEventListener("click", () => cancel(upload));
    list.append(item);
    if (file.type && !file.type.startsWith("video/")) {
      fail(upload, t("This is not a video."));
      continue;
    }
    upload.state.textContent = t("Waiting");
    waiting.push(upload);
  }
  next();
}

function next() {
  if (sending) return;
  const upload = waiting.shift();
  if (!upload) return;
  sending = true;
  send(upload);
}

function send(upload) {
  const request = new XMLHttpRequest();
  upload.request = request;
  request.open("POST", "/api/upload");
  request.setRequestHeader("File-Name", encodeURIComponent(upload.file.name));
  request.setRequestHeader("Content-Type", upload.file.type || "application/octet-stream");
  request.upload.addEventListener("progress", (event) => show(upload, event.loaded, event.total));
  request.addEventListener("load", () => {
    const answer = parse(request.responseText);
    if (request.status >= 200 && request.status < 300) stored(upload, answer);
    else fail(upload, answer.error ? message(answer.error) : t("The video was not taken in."));
  });
  request.addEventListener("error", () => fail(upload, t("The connection broke. Try again.")));
  request.addEventListener("abort", () => fail(upload, t("Cancelled")));
  request.addEventListener("loadend", () => {
    sending = false;
    next();
  });
  show(upload, 0, upload.file.size);
  request.send(upload.file);
}

function show(upload, sent, size) {
  const share = size > 0 ? sent / size : 0;
  upload.progress.value = share;
  // Every ten percent is news enough for those who listen to the page.
  const step = Math.floor(share * 10) * 10;
  if (upload.step === step) return;
  upload.step = step;
  upload.state.textContent = step < 100 ? t("%d %% of %s", step, bytes(size)) : t("Checking");
}

// stored waits until the library has heard of the video, which is soon but not at once.
async function stored(upload, answer) {
  const id = answer.id ?? answer.video?.id ?? "";
  const address = `/video?id=${encodeURIComponent(id)}`;
  upload.item.classList.add("done");
  upload.button.remove();
  upload.progress.value = 1;
  upload.state.textContent = t("Stored. It will be in the library in a moment.");
  for (let tries = 0; id && tries < 20; tries++) {
    const page = await fetch(address, { method: "HEAD" }).catch(() => null);
    if (page?.ok) {
      const link = document.createElement("a");
      link.href = address;
      link.textContent = t("Watch it");
      upload.state.replaceChildren(`${t("In the library.")} `, link);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function fail(upload, why) {
  upload.item.classList.add("failed");
  upload.state.textContent = why;
  upload.button.remove();
}

function cancel(upload) {
  const place = waiting.indexOf(upload);
  if (place >= 0) {
    waiting.splice(place, 1);
    fail(upload, t("Cancelled"));
  } else {
    upload.request.abort();
  }
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function bytes(n) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit++) n /= 1000;
  const format = { style: "unit", unit: units[unit], maximumFractionDigits: n < 10 ? 1 : 0 };
  return new Intl.NumberFormat(locale, format).format(n);
}
