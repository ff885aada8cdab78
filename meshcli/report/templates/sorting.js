// Sorts the table of projects by the column whose heading is clicked; again, the other way round. Gaps come last.
"use strict";
(() => {
  const table = document.getElementById("projects"), body = table.tBodies[0];
  const value = (row, column) => { const cell = row.cells[column]; return cell.dataset.value ?? cell.innerText.trim(); };
  for (const button of table.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const column = Number(button.dataset.sort), number = button.dataset.kind === "number", heading = button.parentElement;
      const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const compare = (one, other) => {
        const [a, b] = [value(one, column), value(other, column)];
        if (!a || !b) return a ? -1 : b ? 1 : 0;
        return direction * (number ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
      };
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      body.append(...[...body.rows].sort(compare));
    });
  }
})();
