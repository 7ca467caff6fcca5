// Shows what is found while it is typed: the same page that the form leads to, put in the place of this one.
import { showFacts } from "./facts.js";
import { t } from "./texts.js";

const input = document.querySelector(".search input");
const main = document.querySelector("main");
const count = document.createElement("p"); // tells those who don't see the list
count.className = "unseen";
count.setAttribute("role", "status");
main.after(count);

let waiting, asking;
input.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(show, 200);
});

async function show() {
  asking?.abort();
  asking = new AbortController();
  const text = input.value.trim();
  const address = text ? `/?q=${encodeURIComponent(text)}` : "/";
  try {
    const response = await fetch(address, { signal: asking.signal });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    main.replaceChildren(...page.querySelector("main").childNodes);
    document.title = page.title;
  } catch {
    return; // the form itself is still there
  }
  history.replaceState(null, "", address);
  document.querySelector(".foot [name=back]").value = address;
  showFacts(main);
  const found = main.querySelectorAll("#video-list > div").length;
  count.textContent = found === 1 ? t("%d video", found) : t("%d videos", found);
}
