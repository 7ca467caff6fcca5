// Uploads a file by the tus protocol, which continues where it stopped: by itself when the connection is lost, and when
// the viewer leaves the page and later chooses the same file again.
import "./tus.min.js"; // tus-js-client 4.3.1; its licence is in tus.min.js.LICENSE.txt
import { errorText } from "./errortext.js";
import { stored } from "./library.js";
import { t } from "./texts.js";

const endpoint = new URL("/api/uploads", location.href).href;
const retryDelays = [0, 1, 2, 4, 8, 15, 30, 30, 60, 60, 60].map((seconds) => seconds * 1000);

// The first bytes show whether a file is a video. They are a request of their own, because browsers read the answer only
// after they have sent the whole request.
const first = 64 << 10;

const cancelTimeout = 10_000; // milliseconds

const final = [413, 415]; // the file itself is not acceptable

let limit;

// sizeLimit returns the largest size of a video, in bytes.
export function sizeLimit() {
  limit ??= fetch(endpoint, { method: "OPTIONS", signal: AbortSignal.timeout(5000) })
    .then((answer) => Number(answer.headers.get("Tus-Max-Size")) || Infinity)
    .catch(() => Infinity); // then the server will reject what is too large
  return limit;
}

// send returns a function that cancels the upload: here at once, at the server when the promise that it returns has
// settled. send calls events.named with the file name that the server has and the upload's id, events.progress with the number of bytes sent,
// events.broken when the connection was lost and it will try again, and at last either events.done with the video's id or
// events.failed with the reason and whether the viewer can retry. After cancelling it calls at most events.done: the server
// had the whole file already. It continues the upload that it is given, or else the last one of this file in this browser.
export async function send(file, metadata, picture, events, unfinished) {
  let over = false;
  let cancelledAt;
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
      events.named(upload.url === previous?.uploadUrl ? previous.metadata.filename : metadata.filename, idOf(upload.url));
    },
    onBeforeRequest: async (request) => {
      if (request.getMethod() === "PATCH") await sendPicture();
      if (over && request.getMethod() !== "DELETE") throw new Error("cancelled");
    },
    onAfterResponse: async (request, response) => {
      if (request.getMethod() !== "HEAD") return;
      // After any other answer the client would start again from the beginning.
      const status = response.getStatus();
      if (later(response)) throw new Error("no answer for now");
      if (status >= 400 && (await stored(idOf(upload.url)))) {
        await finish(upload.url); // only the last answer was lost
        throw new Error("done");
      }
    },
    onProgress: (sent) => over || events.progress(sent),
    onShouldRetry: (error) => {
      const again = !error.originalResponse || later(error.originalResponse);
      if (over) return again && error.originalResponse?.getStatus() !== 409 && Date.now() - cancelledAt < cancelTimeout;
      if (again) events.broken();
      return again;
    },
    onError: (error) => end("failed", reason(error.originalResponse), !final.includes(error.originalResponse?.getStatus())),
    onSuccess: () => end("done", idOf(upload.url)),
  });

  // sendPicture runs before the last bytes, because the server rejects a poster after them. An upload does not fail for
  // want of a poster.
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
  const last = known.sort((a, b) => Date.parse(b.creationTime) - Date.parse(a.creationTime))[0];
  const previous = unfinished ? resumable(unfinished) : last;
  if (previous) upload.resumeFromPreviousUpload(previous);
  upload.start();

  return () => {
    over = true;
    cancelledAt = Date.now();
    const told = upload.abort(true).catch(async (error) => {
      const status = error.originalResponse?.getStatus();
      if (status !== 409 && !(status === 404 && (await stored(idOf(upload.url))))) return; // unfinished uploads expire at the server
      over = false; // the server has all of it
      await finish(upload.url);
    });
    return Promise.race([told, new Promise((resolve) => setTimeout(resolve, cancelTimeout))]);
  };
}

// resumable returns an upload that the server has listed as tus-js-client remembers its own.
function resumable({ id, filename }) {
  return { uploadUrl: `${endpoint}/${id}`, metadata: { filename }, urlStorageKey: null };
}

// later returns whether the same request may succeed after a while.
function later(response) {
  const status = response.getStatus();
  return status >= 500 || status === 409 || status === 423 || response.getHeader("Retry-After") !== null;
}

function reason(response) {
  if (!response) return t("The connection was lost. Try again.");
  const status = response.getStatus();
  if (status >= 500) return errorText({ code: "upload_failed" }, status);
  try {
    return errorText(JSON.parse(response.getBody()), status);
  } catch {
    return errorText({}, status); // not one of our services
  }
}
