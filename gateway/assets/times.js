// Shows times as the viewer's language and time zone have them; the page itself holds them in UTC.
import { locale } from "./texts.js";

const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short" });

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.textContent = ({ date, clock }[time.dataset.show] ?? moment).format(at);
    time.title = moment.format(at);
  }
}

showTimes(document);
