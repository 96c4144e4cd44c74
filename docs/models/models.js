// Sorts the tables of models by the column that is clicked, and hides the rows that do not hold
// what is typed. Without it, all rows are shown in the registry's order.
(() => {
  const tables = [...document.querySelectorAll("article table")];
  const field = document.createElement("input");
  const status = document.createElement("output");
  field.type = "search";
  field.id = "models-filter";
  field.placeholder = "Filter: nade, mnist, test_nll …";
  field.setAttribute("aria-label", "Filter the models");
  document.querySelector("article h2").before(field, " ", status);

  const rows = (table) => [...table.tBodies[0].rows];
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of tables.flatMap(rows)) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const all = tables.flatMap(rows);
    status.value = `${all.filter((row) => !row.hidden).length} of ${all.length}`;
  };

  // a figure sorts by its number: `test_nll` 84.5 nats
  const key = (row, i) => {
    const text = row.cells[i].textContent.trim();
    const number = text.replaceAll(",", "").match(/(?:^|\s)(-?\d+(?:\.\d+)?)/);
    return i > 1 && number ? Number(number[1]) : text;
  };
  const before = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
    return typeof a === "number" ? -1 : 1; // what has no number comes last
  };
  const sort = (table, heading, i) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = rows(table).sort((a, b) => (down ? -1 : 1) * before(key(a, i), key(b, i)));
    table.tBodies[0].append(...sorted);
  };
  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((heading, i) => {
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, i));
      heading.append(button);
    });
  }
  field.addEventListener("input", show);
  show();
})();
