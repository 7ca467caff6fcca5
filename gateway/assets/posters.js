// Takes pictures away that do not come: the colour and the letter below them are the better sight.
document.addEventListener("error", (event) => event.target.matches?.(".thumb img") && event.target.remove(), true);

for (const picture of document.querySelectorAll(".thumb img")) {
  if (picture.complete && !picture.naturalWidth) picture.src = picture.src; // failed before anybody listened
}
