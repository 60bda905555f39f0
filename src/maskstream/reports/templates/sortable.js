"use strict";

{
  const collator = new Intl.Collator("en", { numeric: true });

  /* a number where the cell holds one, else the text; null where it holds nothing */
  const key = (row, column) => {
    const cell = row.children[column];
    if ("value" in cell.dataset) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    return cell.textContent.trim();
  };

  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));

  /* the first click shows the largest number, or the first name, on top; cells without a value stay below */
  const sortBy = (table, heading, column) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    const known = rows.filter(([value]) => value !== null);
    const first = known.length && typeof known[0][0] === "number" ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    known.sort(([a], [b]) => sign * compare(a, b));
    for (const each of heading.parentElement.children) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    body.append(...known.map(([, row]) => row), ...rows.filter(([value]) => value === null).map(([, row]) => row));
  };

  for (const table of document.querySelectorAll(".sortable")) {
    [...table.tHead.rows[0].children].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.replaceChildren(button);
      button.addEventListener("click", () => sortBy(table, heading, column));
    });
  }
}
