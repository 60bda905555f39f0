"use strict";

/* one place in the run, shown in every chart at once */
const charts = [...document.querySelectorAll("figure[data-values]")].map((figure) => {
  const svg = figure.querySelector("svg");
  const [left, width, , end] = svg.dataset.plot.split(" ").map(Number);
  const cursor = svg.querySelector(".cursor");
  return { figure, svg, left, width, end, cursor, told: [...figure.querySelectorAll(".told")], lines: null };
});

/* index of the value whose epoch is nearest */
const nearest = (epochs, epoch) => {
  let low = 0;
  let high = epochs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (epochs[middle] <= epoch) low = middle;
    else high = middle;
  }
  return epoch - epochs[low] <= epochs[high] - epoch ? low : high;
};

let place = 0;

const show = (epoch) => {
  place = epoch;
  for (const chart of charts) {
    chart.lines ??= JSON.parse(chart.figure.dataset.values);
    const x = chart.left + (chart.width * epoch) / chart.end;
    chart.cursor.setAttribute("transform", `translate(${x} 0)`);
    chart.cursor.classList.add("shown");
    chart.lines.forEach(([, epochs, values], index) => {
      const found = nearest(epochs, epoch);
      chart.told[index].textContent = `${Number(values[found].toPrecision(4))}${chart.figure.dataset.unit}`;
      chart.told[index].title = `epoch ${Number(epochs[found].toFixed(2))}`;
    });
  }
};

for (const chart of charts) {
  chart.svg.addEventListener("pointermove", (event) => {
    const frame = chart.svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * chart.svg.viewBox.baseVal.width;
    show(chart.end * Math.min(1, Math.max(0, (x - chart.left) / chart.width)));
  });
  chart.svg.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    show(Math.min(chart.end, Math.max(0, place + (way * chart.end) / 50)));
  });
}
