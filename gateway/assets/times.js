// Shows times as the viewer's language and time zone have them; the page itself holds them in UTC.
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  time.textContent = (time.dataset.show === "date" ? date : moment).format(at);
  time.title = moment.format(at);
}
