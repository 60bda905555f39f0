"use strict";

const clock = (time) => {
  const tenths = Math.round(time * 10);
  const seconds = Math.floor(tenths / 10);
  const two = (value) => String(value).padStart(2, "0");
  if (seconds >= 3600) {
    return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  }
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}.${tenths % 10}`;
};

const thin = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");

/* index of the value whose time is nearest */
const nearest = (values, time) => {
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle][0] <= time) low = middle;
    else high = middle;
  }
  return time - values[low][0] <= values[high][0] - time ? low : high;
};

const follow = (figure) => {
  let values = null;
  const start = Number(figure.dataset.start);
  const end = Number(figure.dataset.end);
  const top = Number(figure.dataset.top);
  const plot = figure.querySelector(".plot");
  const [percentPanel, areaPanel] = figure.querySelectorAll("svg");
  const cursor = figure.querySelector(".cursor");
  const scrub = figure.querySelector(".scrub");
  const readout = figure.querySelector(".readout");

  const show = (time) => {
    values ??= JSON.parse(figure.dataset.values);
    const [at, percent, area] = values[nearest(values, time)];
    const frame = plot.getBoundingClientRect();
    const upper = percentPanel.getBoundingClientRect();
    const lower = areaPanel.getBoundingClientRect();
    cursor.hidden = false;
    cursor.style.left = `${upper.left - frame.left + (upper.width * (at - start)) / (end - start)}px`;
    cursor.style.setProperty("--percent-at", `${upper.top - frame.top + upper.height * (1 - percent / 100)}px`);
    cursor.style.setProperty("--area-at", `${lower.top - frame.top + lower.height * (1 - area / top)}px`);
    const text = `${clock(at)}: ${figure.dataset.name} ${percent}\u00a0%, ${thin(area)}\u00a0px`;
    readout.textContent = text;
    scrub.setAttribute("aria-valuetext", text);
  };

  plot.addEventListener("pointermove", (event) => {
    const upper = percentPanel.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - upper.left) / upper.width));
    scrub.value = start + share * (end - start);
    show(Number(scrub.value));
  });
  scrub.addEventListener("input", () => show(Number(scrub.value)));
  /* comes first when the card is opened: 200 closed cards cost nothing */
  new ResizeObserver(() => show(Number(scrub.value))).observe(plot);
  scrub.hidden = false;
};

document.querySelectorAll(".curve").forEach(follow);

const film = document.getElementById("overlay-film");
for (const button of document.querySelectorAll(".seek")) {
  button.addEventListener("click", () => {
    film.pause();
    film.currentTime = Number(button.dataset.time);
    film.scrollIntoView({ block: "nearest" });
    film.focus({ preventScroll: true });
  });
}

const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", openTarget);
openTarget();

/* a closed card must not be missing on paper */
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));
