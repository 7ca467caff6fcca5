// Groups the history by the viewer's own days, and removes lines without leaving the page.
import { showFacts } from "./facts.js";
import { locale, t } from "./texts.js";

const list = document.getElementById("history-list");
const long = new Intl.DateTimeFormat(locale, { dateStyle: "full" });

function dayOf(at) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (at.toDateString() === today.toDateString()) return t("Today");
  if (at.toDateString() === yesterday.toDateString()) return t("Yesterday");
  return long.format(at);
}

function group() {
  const lines = list.querySelectorAll("li");
  const days = [];
  for (const line of lines) {
    const time = line.querySelector("time");
    const name = time ? dayOf(new Date(time.dateTime)) : t("Without a date");
    if (time) time.dataset.show = "clock";
    if (days.at(-1)?.name !== name) days.push({ name, lines: [] });
    days.at(-1).lines.push(line);
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

async function remove(event) {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  const line = form.closest("li");
  const buttons = [...list.querySelectorAll("button")];
  const place = buttons.indexOf(form.querySelector("button"));
  if (!answer?.ok || buttons.length === 1) {
    location.reload(); // shows what is wrong, or that nothing is left
    return;
  }
  const ol = line.parentElement;
  line.remove();
  if (!ol.children.length) {
    ol.previousElementSibling.remove();
    ol.remove();
  }
  (buttons[place + 1] ?? buttons[place - 1]).focus();
}

if (list) {
  group();
  list.addEventListener("submit", remove);
}
