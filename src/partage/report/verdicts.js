// The table of verdicts: sorted by any of its columns, and those of one verdict alone.

function sortAndFilter(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const apart = () => table.classList.remove("grouped"); // from here on each row says its figure
  const inOrder = new Intl.Collator("en", { numeric: true }).compare;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const key = (row) => row.cells[column].textContent.trim();
    const sort = button(head.textContent, () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      apart();
      body.append(...[...rows].sort((a, b) => sign * inOrder(key(a), key(b))));
    });
    head.replaceChildren(sort);
  });
  const choices = ["", ...unique(rows.map((row) => row.dataset.verdict))];
  const buttons = choices.map((verdict) => {
    const kept = rows.filter((row) => !verdict || row.dataset.verdict === verdict);
    const filter = button(`${verdict || "all"} (${kept.length})`, () => {
      for (const row of rows) row.hidden = !kept.includes(row);
      for (const each of buttons) press(each, each === filter);
      if (verdict) apart();
    });
    press(filter, !verdict);
    return filter;
  });
  table.parentElement.before(make("div", { className: "tools" }, "Show ", ...buttons));
}
