// What a viewer reads about an error of a service: the text of its code. The gateway does the same on pages.
import texts from "./errors.js";
import { lang } from "./texts.js";
import { bytes } from "./units.js";

// errorText takes {code, args} and the status of the answer. An unknown code, or a missing arg, comes from another version
// of a service and gets a general text.
export function errorText({ code, args = {} }, status) {
  const text = Object.hasOwn(texts, code) ? texts[code][lang] : undefined;
  const places = text?.matchAll(/\{(\w+)(:bytes)?\}/g) ?? [];
  if (!text || [...places].some(([, name]) => !Object.hasOwn(args, name))) {
    return texts[status >= 500 ? "internal_error" : "bad_request"][lang];
  }
  return text.replace(/\{(\w+)(:bytes)?\}/g, (_, name, size) => (size ? bytes(args[name]) : args[name]));
}
