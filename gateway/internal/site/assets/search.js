// Shows results while the viewer types: the content of the page to which the form leads.
import { replaceBy } from "./replace.js";
import { t } from "./texts.js";

const input = document.querySelector(".search input");
const main = document.querySelector("main");
const count = document.createElement("p"); // for screen readers
count.className = "unseen";
count.setAttribute("role", "status");
main.after(count);

// The page that was opened is shown again, with its skip, when its text is typed again.
const opened = { text: input.defaultValue, address: location.pathname + location.search };

let waiting, asking;
input.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(show, 200);
});

async function show() {
  asking?.abort();
  asking = new AbortController();
  const text = input.value.trim();
  const address = text === opened.text ? opened.address : text ? `/?q=${encodeURIComponent(text)}` : "/";
  const { signal } = asking;
  try {
    await replaceBy(await fetch(address, { signal }));
  } catch {
    if (!signal.aborted) input.form.submit(); // then the browser shows the error
    return;
  }
  history.replaceState(null, "", address);
  document.querySelector(".foot [name=back]").value = address;
  const found = main.querySelectorAll("#video-list > div").length;
  count.textContent = found === 1 ? t("%d video", found) : t("%d videos", found);
}
