// The page's language. English texts are their own keys; the other languages' texts are modules.
export const lang = document.documentElement.lang;
const texts = lang === "en" ? {} : await import(`./${lang}.js`).then((module) => module.default, () => ({})); // better in English than not at all

// locale is how the viewer writes dates and numbers in that language.
export const locale = navigator.languages.find((l) => l.split("-")[0] === lang) ?? lang;

// t returns a text with the values in the places of its %d and %s.
export function t(text, ...values) {
  return (texts[text] ?? text).replace(/%[ds%]/g, (place) => (place === "%%" ? "%" : values.shift()));
}

// message is t for what a service said, which has its numbers in it.
export function message(said) {
  const text = t(said.replaceAll(/\d+/g, "%d"), ...(said.match(/\d+/g) ?? []));
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");
}
