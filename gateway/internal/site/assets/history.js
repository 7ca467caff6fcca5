// Groups the history by days in the viewer's time zone, with one line for each video and day, and removes lines without
// leaving the page.
import { showFacts } from "./facts.js";
import { replaceBy } from "./replace.js";
import { locale, t } from "./texts.js";

const main = document.querySelector("main");
const long = new Intl.DateTimeFormat(locale, { dateStyle: "full" });

// older has, by the form of a line, the forms of the lines that it stands for, too: the server's days are those of UTC, and one
// day elsewhere may have parts of two.
const older = new WeakMap();

const videoOf = (line) => line.querySelector("a")?.href;

function dayOf(at) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (at.toDateString() === today.toDateString()) return t("Today");
  if (at.toDateString() === yesterday.toDateString()) return t("Yesterday");
  return long.format(at);
}

function group() {
  const list = document.getElementById("history-list");
  if (!list) return;
  const days = [];
  for (const line of list.querySelectorAll("li")) {
    const time = line.querySelector("time");
    const name = time ? dayOf(new Date(time.dateTime)) : t("No date");
    if (time) time.dataset.show = "clock";
    if (days.at(-1)?.name !== name) days.push({ name, lines: [] });
    const { lines } = days.at(-1);
    const newer = lines.find((other) => videoOf(line) && videoOf(other) === videoOf(line));
    if (newer) hideUnder(newer, line);
    else lines.push(line);
  }
  list.replaceChildren();
  for (const day of days) {
    const heading = document.createElement("h2");
    heading.className = "day";
    heading.textContent = day.name;
    const ol = document.createElement("ol");
    ol.className = "viewings";
    ol.append(...day.lines);
    list.append(heading, ol);
  }
  showFacts(list);
}

function hideUnder(newer, line) {
  const form = newer.querySelector("form");
  const another = line.querySelector("form");
  if (form && another) older.set(form, [...(older.get(form) ?? []), another]);
}

const post = (form) => fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });

// remove shows the page to which the answer redirects: other lines and the pager may have changed, too.
async function remove(form) {
  const buttons = () => [...main.querySelectorAll("#history-list button")];
  const place = buttons().indexOf(form.querySelector("button"));
  try {
    let answer;
    for (const one of [...(older.get(form) ?? []), form]) {
      answer = await post(one);
      if (!answer.ok) break;
    }
    await replaceBy(answer);
  } catch {
    form.submit(); // then the browser shows the error
    return;
  }
  group();
  (buttons()[place] ?? buttons()[place - 1] ?? main).focus();
}

let removed = Promise.resolve(); // one after another, so that the page shown last is the newest
main.addEventListener("submit", (event) => {
  if (!event.target.closest("#history-list")) return;
  event.preventDefault();
  event.target.querySelector("button").disabled = true;
  removed = removed.then(() => remove(event.target));
});
group();
