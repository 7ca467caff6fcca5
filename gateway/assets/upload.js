// Sends the chosen or dropped files one after another. Without this script the form sends them by itself.
import { listed, rename } from "./library.js";
import { lookInto } from "./picture.js";
import { addRow, extension } from "./row.js";
import { send, sizeLimit } from "./send.js";
import { t } from "./texts.js";
import { bytes } from "./units.js";

const form = document.getElementById("upload-form");
const input = document.getElementById("files");

const waiting = [];
const stored = []; // whose titles may still be changed
let active;
let looking = Promise.resolve(); // into one file at a time

form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("change", () => {
  for (const file of input.files) add(file);
  input.value = "";
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.toggle("over", type === "dragover");
    if (type === "drop") for (const file of event.dataTransfer.files) add(file);
  });
}
addEventListener("beforeunload", (event) => {
  if (active || stored.some((upload) => upload.row.title !== upload.saved)) event.preventDefault();
});

async function add(file) {
  const upload = { file };
  upload.row = addRow(file, {
    cancel: () => cancel(upload),
    retry: () => enqueue(upload),
    titled: () => upload.id && saveTitle(upload),
  });
  const refusal = await refuse(file);
  if (refusal) return upload.row.failed(refusal);
  looking = looking.then(() => lookInto(file));
  upload.look = looking;
  enqueue(upload);
  upload.row.picture((await upload.look).canvas);
}

// refuse returns why a file need not be sent at all, or nothing.
async function refuse(file) {
  if (file.type && !file.type.startsWith("video/")) return t("This is not a video.");
  if (!file.size) return t("The file is empty.");
  const limit = await sizeLimit();
  if (file.size > limit) return t("A video may have up to %s.", bytes(limit));
}

function enqueue(upload) {
  upload.row.waits(t("Waiting"));
  waiting.push(upload);
  next();
}

async function next() {
  if (active || !waiting.length) return;
  active = waiting.shift();
  await sendOne(active);
  active = undefined;
  next();
}

// sendOne ends when the upload does, in whatever way.
async function sendOne(upload) {
  const { file, row } = upload;
  const turn = (upload.turn = {});
  await upload.givenUp; // before it is sent once more
  const { duration, picture } = await upload.look;
  if (upload.turn !== turn) return; // cancelled
  // The server takes for the title what is between folders and the extension.
  const metadata = { filename: row.title.replaceAll(/[\\/]/g, "_") + (file.name.match(extension)?.[0] ?? ".video") };
  if (duration) metadata.duration = String(duration);
  await new Promise((end) => {
    upload.end = end;
    const giveUp = send(file, metadata, picture, {
      named(filename) {
        upload.saved = filename.replace(extension, "");
        row.suggest(upload.saved);
      },
      progress: row.sent,
      broken: () => row.waits(t("The connection broke. It will be tried again.")),
      done(id) {
        withdraw(upload); // in case it was cancelled, and is to be sent again
        enlist(upload, id);
        end();
      },
      failed(why, canBeTriedAgain) {
        row.failed(why, canBeTriedAgain);
        end();
      },
    });
    upload.giveUp = async () => (await giveUp)();
  });
}

function withdraw(upload) {
  const place = waiting.indexOf(upload);
  if (place >= 0) waiting.splice(place, 1);
  upload.turn = null;
}

function cancel(upload) {
  withdraw(upload);
  upload.givenUp = upload.giveUp?.();
  upload.end?.();
  upload.row.failed(t("Cancelled"), true);
}

// enlist waits until the library has heard of the video, and gives it its title if that is another by now.
async function enlist(upload, id) {
  stored.push(upload);
  upload.row.done(t("Stored. It will be in the library in a moment."));
  for (let pause = 250; !(await listed(id)); pause = Math.min(pause * 1.2, 5000)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  upload.id = id;
  showLink(upload, t("In the library."));
  saveTitle(upload);
}

// saveTitle saves what is written there when the one before is saved, so that the last one stays.
function saveTitle(upload) {
  upload.saving = Promise.resolve(upload.saving).then(() => saveNow(upload));
}

async function saveNow(upload) {
  const title = upload.row.title;
  if (title === upload.saved) return;
  const done = await rename(upload.id, title);
  if (done) upload.saved = title;
  showLink(upload, done ? t("The title is saved.") : t("The title could not be saved. Try again in a moment."));
}

function showLink(upload, text) {
  const link = document.createElement("a");
  link.href = `/video?id=${encodeURIComponent(upload.id)}`;
  link.textContent = t("Watch it");
  upload.row.done(text, " ", link);
}
