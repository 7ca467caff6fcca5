// Writes ages, times and counts in the viewer's language and time zone. The page itself has dates in UTC and plain numbers.
import { locale, t } from "./texts.js";

const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const past = new Intl.RelativeTimeFormat(locale);
const compact = new Intl.NumberFormat(locale, { notation: "compact" });
const units = { year: 365.25, month: 30.44, week: 7, day: 1, hour: 1 / 24, minute: 1 / 1440 }; // days

function age(at) {
  const days = (Date.now() - at) / 86_400_000;
  const unit = Object.keys(units).find((name) => days >= units[name]);
  return unit ? past.format(-Math.floor(days / units[unit]), unit) : t("Just now");
}

const forms = { age, date: (at) => date.format(at), clock: (at) => clock.format(at) };

export function showFacts(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = moment.format(at);
    time.textContent = forms[time.dataset.show]?.(at) ?? time.title;
  }
  for (const views of root.querySelectorAll(".views[data-count]")) {
    const count = Number(views.dataset.count);
    if (count >= 1000) views.textContent = t("%d views", compact.format(count));
  }
}

showFacts(document);
