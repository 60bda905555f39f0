"use strict";

const clock = (time) => {
  const tenths = Math.round(time * 10);
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
};

/* the values of the moment that is nearest in time */
const nearest = (values, time) =>
  values.reduce((best, row) => (Math.abs(row[0] - time) < Math.abs(best[0] - time) ? row : best));

const follow = (figure) => {
  const values = JSON.parse(figure.dataset.values);
  const names = JSON.parse(figure.dataset.names);
  const start = Number(figure.dataset.start);
  const end = Number(figure.dataset.end);
  const panel = figure.querySelector(".panel");
  const cursor = figure.querySelector(".cursor");
  const scrub = figure.querySelector(".scrub");

  const show = (time) => {
    const [at, ...percents] = nearest(values, time);
    cursor.hidden = false;
    cursor.style.left = `${(100 * (at - start)) / (end - start)}%`;
    const shares = names.map((name, index) => `${name} ${percents[index]}\u00a0%`);
    const text = `${clock(at)}: ${shares.join(", ")}`;
    figure.querySelector(".readout").textContent = text;
    scrub.setAttribute("aria-valuetext", text);
  };

  panel.addEventListener("pointermove", (event) => {
    const place = panel.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - place.left) / place.width));
    scrub.value = start + share * (end - start);
    show(Number(scrub.value));
  });
  scrub.addEventListener("input", () => show(Number(scrub.value)));
  scrub.hidden = false;
  show(start);
};

document.querySelectorAll(".curve").forEach(follow);
