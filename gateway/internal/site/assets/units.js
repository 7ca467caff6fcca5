// Writes sizes, speeds and times in the viewer's language.
import { locale } from "./texts.js";

const write = (n, unit) =>
  new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: n < 10 ? 1 : 0 }).format(n);

const sizes = ["byte", "kilobyte", "megabyte", "gigabyte"];

function amount(n, per = "") {
  let unit = 0;
  for (; n >= 1000 && unit < sizes.length - 1; unit++) n /= 1000;
  return write(n, sizes[unit] + per);
}

export const bytes = (n) => amount(n);
export const speed = (perSecond) => amount(perSecond, "-per-second");

export function time(seconds) {
  if (seconds < 60) return write(Math.ceil(seconds), "second");
  if (seconds < 3600) return write(Math.ceil(seconds / 60), "minute");
  return write(Math.ceil(seconds / 360) / 10, "hour");
}
