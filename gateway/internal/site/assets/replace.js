// Shows the content of another page in this one.
import { showFacts } from "./facts.js";

const main = document.querySelector("main");

// replaceBy shows the page in an answer, also an error page. It fails when the answer is not a page.
export async function replaceBy(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  main.replaceChildren(...page.querySelector("main").childNodes);
  document.title = page.title;
  showFacts(main);
}
