"use strict";

/* curves: the values at one place of the x axis */
{
  /* index of the value that is nearest; x may stand still, or go back */
  const nearest = (values, x) => {
    let best = 0;
    values.forEach((value, index) => {
      if (Math.abs(value - x) < Math.abs(values[best] - x)) best = index;
    });
    return best;
  };

  for (const figure of document.querySelectorAll("figure[data-values]")) {
    const svg = figure.querySelector("svg");
    const [left, width, low, high] = svg.dataset.plot.split(" ").map(Number);
    const cursor = svg.querySelector(".cursor");
    const told = [...figure.querySelectorAll(".told")];
    let lines = null;
    let place = null;

    const show = (x) => {
      lines ??= JSON.parse(figure.dataset.values);
      place = Math.min(high, Math.max(low, x));
      cursor.setAttribute("transform", `translate(${left + (width * (place - low)) / (high - low)} 0)`);
      cursor.classList.add("shown");
      figure.querySelector(".at-x").hidden = false;
      figure.querySelector(".x-told").textContent = String(Number(place.toPrecision(3)));
      lines.forEach(([, xs, ys, more], index) => {
        const at = nearest(xs, place);
        told[index].textContent = `${Number(ys[at].toPrecision(3))}${more[at] ? ` (${more[at]})` : ""}`;
      });
    };

    if ("start" in figure.dataset) show(Number(figure.dataset.start));
    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect();
      const x = ((event.clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
      show(low + ((high - low) * (x - left)) / width);
    });
    svg.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      show(place === null ? (way > 0 ? low : high) : place + (way * (high - low)) / 50);
    });
  }
}

/* percentages where the class is rarer, or more common */
const section = document.getElementById("prevalence-section");
if (section) {
  const from = Number(section.dataset.share);
  const slider = document.getElementById("your-share");
  const exact = document.getElementById("your-number");
  const logOdds = (share) => Math.log(share / (1 - share));
  const shareOf = (odds) => 1 / (1 + Math.exp(-odds));
  /* as in the tables that need no script; never a false 0 or 100 */
  const percent = (share) => {
    if (share > 0 && share < 0.0005) return "<0.1\u00a0%";
    if (share < 1 && share >= 0.9995) return ">99.9\u00a0%";
    return `${(100 * share).toFixed(1).replace(/\.0$/, "")}\u00a0%`;
  };

  const moved = (percentage, to) => {
    const positive = percentage * (to / from);
    const negative = (1 - percentage) * ((1 - to) / (1 - from));
    return positive / (positive + negative);
  };

  const predictive = (to) => {
    const sensitivity = Number(section.dataset.sensitivity);
    const specificity = Number(section.dataset.specificity);
    const share = (part, rest) => (part + rest > 0 ? percent(part / (part + rest)) : "–");
    const row = section.querySelector("#predictive .yours");
    row.querySelector(".ppv").textContent = share(sensitivity * to, (1 - specificity) * (1 - to));
    row.querySelector(".npv").textContent = share(specificity * (1 - to), (1 - sensitivity) * to);
  };

  const show = (to) => {
    const text = percent(to);
    slider.setAttribute("aria-valuetext", text);
    for (const output of section.querySelectorAll("output.your-share")) output.textContent = text;
    for (const row of section.querySelectorAll("#moved tbody tr")) {
      const percentage = Number(row.querySelector("th").dataset.percentage) / 100;
      row.querySelector(".yours").textContent = percent(moved(percentage, to));
    }
    if ("sensitivity" in section.dataset) predictive(to);
  };

  slider.min = logOdds(0.001);
  slider.max = logOdds(0.99);
  slider.value = logOdds(from);
  exact.value = (100 * from).toFixed(1);
  slider.addEventListener("input", () => {
    const share = shareOf(Number(slider.value));
    exact.value = (100 * share).toFixed(1);
    show(share);
  });
  exact.addEventListener("input", () => {
    const share = Number(exact.value) / 100;
    if (!(share > 0 && share < 1)) return;
    slider.value = logOdds(share);
    show(share);
  });
  section.querySelector(".slider").addEventListener("submit", (event) => event.preventDefault());
  for (const element of section.querySelectorAll("[hidden]")) element.hidden = false;
  show(from);
}

/* pictures that open large */
{
  const dialog = document.getElementById("large");
  let pictures = [];
  let place = 0;

  const show = (next) => {
    place = (next + pictures.length) % pictures.length;
    const item = pictures[place].closest("li");
    const large = dialog.querySelector("img");
    large.src = pictures[place].querySelector("img").src;
    large.alt = pictures[place].querySelector("img").alt;
    dialog.querySelector(".caption").textContent = [...item.querySelectorAll("h3, p")]
      .map((element) => element.textContent)
      .join(". ");
    dialog.querySelector(".count").textContent = `${place + 1} of ${pictures.length}`;
  };

  for (const gallery of document.querySelectorAll(".gallery")) {
    const own = [...gallery.querySelectorAll(".enlarge")];
    own.forEach((button, index) => {
      button.addEventListener("click", () => {
        pictures = own;
        show(index);
        dialog.showModal();
      });
    });
  }
  dialog.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    show(place + way);
  });
  dialog.querySelector(".before").addEventListener("click", () => show(place - 1));
  dialog.querySelector(".next").addEventListener("click", () => show(place + 1));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => pictures[place]?.focus());
}

/* what is folded must not be missing on paper */
{
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));
}
