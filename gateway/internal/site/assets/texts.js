// The page's language. English texts are their own keys; the texts of other languages are modules.
export const lang = document.documentElement.lang;
const texts = lang === "en" ? {} : await import(`./${lang}.js`).then((module) => module.default, () => ({})); // English is better than nothing

// locale decides how dates and numbers are written: a variant of that language if the browser has one.
export const locale = navigator.languages.find((l) => l.split("-")[0] === lang) ?? lang;

// t returns a text with the values in the places of its %d and %s.
export function t(text, ...values) {
  return (texts[text] ?? text).replace(/%[ds%]/g, (place) => (place === "%%" ? "%" : values.shift()));
}
