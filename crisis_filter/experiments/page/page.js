(() => {
  // A message is opened by the click that asks for it.
  for (const link of document.querySelectorAll('.flips a[href^="#text-"]')) {
    link.addEventListener("click", () => { document.querySelector(link.hash).closest("details").open = true; });
  }

  const form = document.getElementById("filter");
  if (!form) return;
  const grid = document.querySelector(".grid");
  const rows = [...grid.querySelectorAll("tbody tr[id]")];
  const boxes = [...form.querySelectorAll("input")];
  const category = form.querySelector("select"), said = form.querySelector("output"), all = form.querySelector("button");
  const number = new Intl.NumberFormat("en-US");

  // One stop of the tab key for the whole table, arrow keys within it.
  const cells = [...grid.querySelectorAll("summary")];
  let stop = null;
  const stopAt = (cell) => {
    if (stop) stop.tabIndex = -1;
    stop = cell || null;
    if (stop) stop.tabIndex = 0;
  };
  cells.forEach((cell) => { cell.tabIndex = -1; });
  const shown = (row) => !row.hidden;
  const beside = (cell, key) => {
    const row = cell.closest("tr"), mine = [...row.querySelectorAll("summary")];
    if (key === "ArrowRight") return mine[mine.indexOf(cell) + 1];
    if (key === "ArrowLeft") return mine[mine.indexOf(cell) - 1];
    const step = key === "ArrowDown" ? 1 : -1, place = cell.closest("th, td").cellIndex;
    for (let at = rows.indexOf(row) + step; rows[at]; at += step) {
      const next = shown(rows[at]) && rows[at].cells[place].querySelector("summary");
      if (next) return next;
    }
    return undefined;
  };
  grid.addEventListener("focusin", (event) => { if (event.target.matches("summary")) stopAt(event.target); });
  grid.addEventListener("keydown", (event) => {
    if (!event.target.matches("summary") || !/^Arrow(Up|Down|Left|Right)$/.test(event.key)) return;
    event.preventDefault();
    const next = beside(event.target, event.key);
    if (next) next.focus();
  });

  const apply = () => {
    const wanted = boxes.filter((box) => box.checked).map((box) => box.value);
    const of = category ? category.value : "";
    let count = 0;
    for (const row of rows) {
      const fits = wanted.every((kind) => row.classList.contains(kind)) && (!of || (row.dataset.c || "").split(" ").includes(of));
      row.hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const body of grid.tBodies) body.hidden = !body.querySelector("tr[id]:not([hidden])");
    said.textContent = `${number.format(count)} of ${number.format(rows.length)} messages shown.`;
    all.hidden = count === rows.length;
    const first = rows.find((row) => shown(row) && row.querySelector("summary"));
    if (!stop || !shown(stop.closest("tr"))) stopAt(first && first.querySelector("summary"));
  };
  const clear = () => { form.reset(); apply(); };
  // A link to a row that is not shown shows it.
  const reveal = () => {
    const row = document.getElementById(window.location.hash.slice(1));
    if (!row || !rows.includes(row)) return;
    if (row.hidden) { clear(); row.scrollIntoView(); }
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  all.addEventListener("click", () => { clear(); boxes[0].focus(); });
  window.addEventListener("hashchange", reveal);
  form.hidden = false;
  document.getElementById("by-key").hidden = false;
  apply();
  reveal();
})();
