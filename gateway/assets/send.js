// Sends a file by the tus protocol, which goes on where it stopped: by itself when the connection breaks, and when the
// same file is chosen again after the page was left.
import "./tus.min.js"; // tus-js-client 4.3.1; its licence is in tus.min.js.LICENSE.txt
import { stored } from "./library.js";
import { message, t } from "./texts.js";

const endpoint = new URL("/api/uploads", location.href).href;
const retryDelays = [0, 1, 2, 4, 8, 15, 30, 30, 60, 60, 60].map((seconds) => seconds * 1000);

// That a file is no video shows in its first bytes. They go ahead, for browsers hear of a refusal only when they have
// sent all of a request.
const first = 64 << 10;

const patience = 10_000; // milliseconds for a server to hear that an upload is given up

const final = [413, 415]; // answers to what the file itself is

let limit;

// sizeLimit returns how many bytes a video may have.
export function sizeLimit() {
  limit ??= fetch(endpoint, { method: "OPTIONS", signal: AbortSignal.timeout(5000) })
    .then((answer) => Number(answer.headers.get("Tus-Max-Size")) || Infinity)
    .catch(() => Infinity); // then the server will say so
  return limit;
}

// send returns a function that gives the upload up, here and, when what it returns has settled, at the server. Of
// events are called: named, with the file name under which the server knows it; progress, with the bytes that have
// gone; broken, when it will be tried again; and at last done, with the video's id, or failed, with the reason and
// whether another try may end otherwise. After giving up there is only done, when it was too late for that.
export async function send(file, metadata, picture, events) {
  let over = false;
  let givenUp;
  const end = (event, ...values) => {
    if (!over) events[event](...values);
    over = true;
  };
  const idOf = (address) => address.split("/").pop();

  const upload = new tus.Upload(file, {
    endpoint,
    metadata,
    retryDelays,
    chunkSize: first,
    removeFingerprintOnSuccess: true,
    onChunkComplete: () => {
      upload.options.chunkSize = Infinity; // one request for all the rest
    },
    onUploadUrlAvailable: () => {
      events.named(upload.url === previous?.uploadUrl ? previous.metadata.filename : metadata.filename);
    },
    onBeforeRequest: async (request) => {
      if (request.getMethod() === "PATCH") await sendPicture();
      if (over && request.getMethod() !== "DELETE") throw new Error("given up");
    },
    onAfterResponse: async (request, response) => {
      if (request.getMethod() !== "HEAD") return;
      // After any other answer the client would begin anew.
      const status = response.getStatus();
      if (later(response)) throw new Error("no answer for now");
      if (status >= 400 && (await stored(idOf(upload.url)))) {
        await finish(upload.url); // it was the last answer that got lost
        throw new Error("done");
      }
    },
    onProgress: (sent) => over || events.progress(sent),
    onShouldRetry: (error) => {
      const again = !error.originalResponse || later(error.originalResponse);
      if (over) return again && error.originalResponse?.getStatus() !== 409 && Date.now() - givenUp < patience;
      if (again) events.broken();
      return again;
    },
    onError: (error) => end("failed", reason(error.originalResponse), !final.includes(error.originalResponse?.getStatus())),
    onSuccess: () => end("done", idOf(upload.url)),
  });

  // sendPicture does so between creation and the last bytes, as the server wants it. Without a picture a video is a
  // video, too.
  async function sendPicture() {
    if (!picture) return;
    const headers = { "Content-Type": picture.type };
    const signal = AbortSignal.timeout(20_000);
    const answer = await fetch(`${upload.url}/poster`, { method: "PUT", body: picture, headers, signal }).catch(() => null);
    if (answer && answer.status < 500 && answer.status !== 429) picture = null;
  }

  async function finish(address) {
    const remembered = await upload.findPreviousUploads();
    for (const known of remembered.filter(({ uploadUrl }) => uploadUrl === address)) {
      await tus.defaultOptions.urlStorage.removeUpload(known.urlStorageKey);
    }
    end("done", idOf(address));
    upload.abort();
  }

  const known = await upload.findPreviousUploads();
  const previous = known.sort((a, b) => Date.parse(b.creationTime) - Date.parse(a.creationTime))[0];
  if (previous) upload.resumeFromPreviousUpload(previous);
  upload.start();

  return () => {
    over = true;
    givenUp = Date.now();
    const told = upload.abort(true).catch(async (error) => {
      const status = error.originalResponse?.getStatus();
      if (status !== 409 && !(status === 404 && (await stored(idOf(upload.url))))) return; // the server forgets by itself what is not finished
      over = false; // the server has all of it
      await finish(upload.url);
    });
    return Promise.race([told, new Promise((resolve) => setTimeout(resolve, patience))]);
  };
}

// later is whether the same request may be answered otherwise after a while.
function later(response) {
  const status = response.getStatus();
  return status >= 500 || status === 409 || status === 423 || response.getHeader("Retry-After") !== null;
}

function reason(response) {
  if (!response) return t("The connection broke. Try again.");
  if (response.getStatus() < 500) {
    try {
      return message(JSON.parse(response.getBody()).error);
    } catch {
      // not one of our services
    }
  }
  return t("The video was not taken in.");
}
