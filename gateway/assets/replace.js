// Puts another page in the place of this one, without leaving it.
import { showFacts } from "./facts.js";

const main = document.querySelector("main");

// replaceBy shows the page of an answer, also if that is one about an error. It fails when the answer is none.
export async function replaceBy(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  main.replaceChildren(...page.querySelector("main").childNodes);
  document.title = page.title;
  showFacts(main);
}
