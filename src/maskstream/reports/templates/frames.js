"use strict";

/* a press on a video leads to the picture that lies nearest */
for (const strip of document.querySelectorAll(".strip")) {
  strip.addEventListener("click", (event) => {
    const away = (tick) => Math.abs(tick.getBoundingClientRect().left - event.clientX);
    const shown = [...strip.children].filter((tick) => document.getElementById(`frame-${tick.dataset.rank}`));
    if (!shown.length) return;
    const nearest = shown.reduce((best, tick) => (away(tick) < away(best) ? tick : best));
    const picture = document.getElementById(`frame-${nearest.dataset.rank}`);
    picture.scrollIntoView({ block: "center" });
    picture.querySelector("a").focus({ preventScroll: true });
  });
}
