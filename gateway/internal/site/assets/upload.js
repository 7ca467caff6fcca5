// Uploads the chosen or dropped files one after another. Without this script the form does.
import { errorText } from "./errortext.js";
import { listed, rename } from "./library.js";
import { lookInto } from "./picture.js";
import { addRow, extension } from "./row.js";
import { send, sizeLimit } from "./send.js";
import { t } from "./texts.js";
import { listUnfinished } from "./unfinished.js";

const form = document.getElementById("upload-form");
const input = document.getElementById("files");

const unfinished = listUnfinished(add);

const waiting = [];
const stored = []; // their titles may still be changed
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

async function add(file, continued) {
  const upload = { file, continued };
  upload.row = addRow(file, {
    cancel: () => cancel(upload),
    retry: () => enqueue(upload),
    titled: () => upload.id && saveTitle(upload),
  });
  const reason = await reasonToReject(file);
  if (reason) return upload.row.failed(reason);
  looking = looking.then(() => lookInto(file));
  upload.look = looking;
  enqueue(upload);
  upload.row.picture(await upload.look);
}

// reasonToReject returns why a file need not be sent at all, or nothing.
async function reasonToReject(file) {
  if (/\.m?ts$/i.test(file.name)) return t("This is not a format that browsers play.");
  if (file.type && !file.type.startsWith("video/")) return t("This is not a video.");
  if (!file.size) return errorText({ code: "empty_file" }, 400);
  const limit = await sizeLimit();
  if (file.size > limit) return errorText({ code: "video_too_large", args: { max: limit } }, 413);
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

// sendOne ends when the upload has succeeded, failed or been cancelled.
async function sendOne(upload) {
  const { file, row } = upload;
  const turn = (upload.turn = {});
  await upload.cancelled; // before it is sent again
  const { duration, picture } = await upload.look;
  if (upload.turn !== turn) return; // cancelled
  // The server makes the title of this name, without folders and the extension.
  const metadata = { filename: row.title.replaceAll(/[\\/]/g, "_") + (file.name.match(extension)?.[0] ?? ".video") };
  if (duration) metadata.duration = String(duration);
  await new Promise((end) => {
    upload.end = end;
    const cancelSending = send(file, metadata, picture, {
      named(filename, id) {
        unfinished.leave(id); // it is in the list above from now on
        if (upload.continued) upload.continued = { id, filename }; // another one, if that had expired
        upload.saved = filename.replace(extension, "");
        row.suggest(upload.saved);
      },
      progress: row.sent,
      broken: () => row.waits(t("The connection was lost. Trying again.")),
      done(id) {
        withdraw(upload); // it may have been cancelled and queued again
        enlist(upload, id);
        end();
      },
      failed(why, canRetry) {
        row.failed(why, canRetry);
        end();
      },
    }, upload.continued);
    upload.cancel = async () => (await cancelSending)();
  });
}

function withdraw(upload) {
  const place = waiting.indexOf(upload);
  if (place >= 0) waiting.splice(place, 1);
  upload.turn = null;
}

function cancel(upload) {
  withdraw(upload);
  upload.cancelled = upload.cancel?.();
  upload.end?.();
  upload.row.cancelled();
}

// enlist waits until the library has the video, and then renames it if the viewer has changed the title.
async function enlist(upload, id) {
  stored.push(upload);
  upload.row.done(t("Stored. It will be in the library in a moment."));
  for (let delay = 250; !(await listed(id)); delay = Math.min(delay * 1.2, 5000)) {
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
  upload.id = id;
  showLink(upload, t("In the library."));
  saveTitle(upload);
}

// saveTitle saves titles one after another, so that the last one stays.
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
  link.textContent = t("Watch");
  upload.row.done(text, " ", link);
}
