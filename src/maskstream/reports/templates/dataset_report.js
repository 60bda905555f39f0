"use strict";

const collator = new Intl.Collator("en", { numeric: true });

/* a number where the cell holds one, else the text */
const key = (row, column) => {
  const cell = row.children[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
};

const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));

/* the first click shows the largest number, or the first name, on top */
const sortBy = (table, heading, column) => {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const first = typeof key(rows[0], column) === "number" ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  rows.sort((a, b) => sign * compare(key(a, column), key(b, column)));
  for (const each of heading.parentElement.children) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  body.append(...rows);
};

for (const table of document.querySelectorAll(".sortable")) {
  [...table.tHead.rows[0].children].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => sortBy(table, heading, column));
  });
}
