// The unfinished uploads of this viewer, as the page came with them: also those of another browser, or of a page that was closed.
import { t } from "./texts.js";
import { bytes } from "./units.js";

const section = document.getElementById("unfinished");
const heard = document.getElementById("said"); // for screen readers

// listUnfinished calls add with a file that was chosen to continue an upload, and with that upload: its id and file name.
// leave, which it returns, takes an upload off the list.
export function listUnfinished(add) {
  const lines = new Map();
  for (const line of section?.querySelectorAll("[data-id]") ?? []) {
    const { id, size, name: filename } = line.dataset;
    lines.set(id, line);
    line.querySelector("input[type=file]")?.addEventListener("change", ({ target: input }) => {
      const [file] = input.files;
      if (!file) return;
      input.value = "";
      if (file.size !== Number(size)) {
        const wrong = t("This is another file. The unfinished upload is one of %s.", bytes(Number(size)));
        line.querySelector(".facts").textContent = heard.textContent = wrong;
        return;
      }
      leave(id);
      add(file, { id, filename });
    });
  }

  function leave(id) {
    lines.get(id)?.remove();
    lines.delete(id);
    if (section) section.hidden = !lines.size;
  }

  return { leave };
}
