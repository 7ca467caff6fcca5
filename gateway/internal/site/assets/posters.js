// Removes posters that cannot be loaded, so that the colour and the letter below them show.
document.addEventListener("error", (event) => event.target.matches?.(".thumb img") && event.target.remove(), true);

for (const picture of document.querySelectorAll(".thumb img")) {
  if (picture.complete && !picture.naturalWidth) picture.src = picture.src; // it failed before the listener was there
}
