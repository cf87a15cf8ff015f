"use strict";
(() => {
  const by = (id) => document.getElementById(id);

  // What a mark says, shown on hover and on focus; one stop of the tab key for each drawing, arrow keys within it.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const isMark = '[role="graphics-symbol"][aria-label]:not([aria-roledescription="axis"])';
  const show = (mark) => {
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const left = Math.min(box.left + box.width / 2, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
    tip.style.top = `${(above > 0 ? above : box.top + Math.min(box.height, 40) + 6) + window.scrollY}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const svg of document.querySelectorAll("figure svg")) {
    const marks = [...svg.querySelectorAll(isMark)].filter((mark) => mark.getAttribute("aria-label"));
    marks.forEach((mark, place) => {
      mark.setAttribute("tabindex", place ? "-1" : "0");
      mark.addEventListener("mouseenter", () => show(mark));
      mark.addEventListener("mouseleave", hide);
      mark.addEventListener("focus", () => show(mark));
      mark.addEventListener("blur", hide);
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (!step) return;
        event.preventDefault();
        marks[(place + step + marks.length) % marks.length].focus();
      });
    });
  }

  // A message is opened by the click that asks for it.
  for (const link of document.querySelectorAll('.ids a[href^="#text-"]')) {
    link.addEventListener("click", () => {
      const open = document.querySelector("[popover]:popover-open");
      if (open) open.hidePopover();
      by(link.getAttribute("href").slice(1)).closest("details").open = true;
    });
  }

  // Paper shows every table.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details.data:not([open])")];
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => { closed.forEach((one) => { one.open = false; }); });

  const source = by("explorer-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);

  const wilson = (count, of) => {
    const z2 = data.z * data.z, rate = count / of, scale = 1 + z2 / of;
    const centre = (rate + z2 / (2 * of)) / scale;
    const half = data.z * Math.sqrt(rate * (1 - rate) / of + z2 / (4 * of * of)) / scale;
    return { rate, low: count === 0 ? 0 : Math.max(0, centre - half), high: count === of ? 1 : Math.min(1, centre + half) };
  };
  const fixed = (n, digits) => n.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const whole = (n) => n > 1e-9 && n < 1 ? "under 1" : fixed(Math.max(0, n), 0);
  const counted = (n, one, many) => `${whole(n)} ${whole(n) === "1" ? one : many}`;
  const put = (id, main, ...rest) => {
    const small = rest.map((text) => Object.assign(document.createElement("small"), { textContent: text }));
    by(id).replaceChildren(main, ...small);
  };
  const plus = (name, attributes, text) => {
    const made = document.createElementNS(by("x-plot").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const system = by("x-system"), slider = by("x-point"), prevalence = by("x-prevalence"), volume = by("x-volume");
  data.systems.forEach((one, place) => system.append(new Option(one.name, String(place))));
  const MOST_MISSED = 200, LEFT = 56, RIGHT = 478, TOP = 12, BOTTOM = 238;

  const costs = (one, point) => {
    const share = Math.min(100, Math.max(0, Number(prevalence.value))) / 100, day = Math.max(0, Number(volume.value));
    const found = wilson(point[1], one.crises), alarms = wilson(point[2], one.others);
    const others = day * (1 - share), crises = day * share;
    return { found, alarms, others, crises, day, total: crises * found.rate + others * alarms.rate, missed: 1000 * (1 - found.rate) };
  };

  const plot = (one, now) => {
    const all = one.points.map((point) => costs(one, point));
    const totals = all.filter((at) => at.missed <= MOST_MISSED && at.total > 0).map((at) => at.total);
    const low = Math.floor(Math.log10(Math.max(0.1, Math.min(...totals, now.day)))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1, now.day))));
    const x = (total) => LEFT + (RIGHT - LEFT) * (Math.min(high, Math.max(low, Math.log10(Math.max(total, 1e-9)))) - low) / (high - low);
    const y = (missed) => BOTTOM - (BOTTOM - TOP) * Math.min(missed, MOST_MISSED) / MOST_MISSED;
    const parts = [];
    for (let power = low; power <= high; power += 1) {
      parts.push(plus("path", { d: `M${x(10 ** power)},${TOP}V${BOTTOM}`, stroke: "var(--grid)" }));
      parts.push(plus("text", { x: x(10 ** power), y: BOTTOM + 17, "text-anchor": "middle" }, (10 ** power).toLocaleString("en-GB")));
    }
    for (let missed = 0; missed <= MOST_MISSED; missed += 50) {
      parts.push(plus("path", { d: `M${LEFT},${y(missed)}H${RIGHT}`, stroke: "var(--grid)" }));
      parts.push(plus("text", { x: LEFT - 8, y: y(missed) + 4, "text-anchor": "end" }, String(missed)));
    }
    parts.push(plus("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 38, "text-anchor": "middle" }, "alarms a day (logarithmic)"));
    parts.push(plus("text", { x: 12, y: (TOP + BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + BOTTOM) / 2})` }, "missed per 1,000"));
    const inside = all.filter((at) => at.missed <= MOST_MISSED);
    const path = inside.map((at, place) => `${place ? "L" : "M"}${x(at.total).toFixed(1)},${y(at.missed).toFixed(1)}`).join("");
    parts.push(plus("path", { d: path, fill: "none", stroke: `var(${one.colour})`, "stroke-width": 2 }));
    if (one.used !== null) {
      // The curve falls from the left to the right, so there is room above it at the right, and below it at the left.
      const at = all[one.used], left = x(at.total), top = y(at.missed), above = left < RIGHT - 60;
      parts.push(plus("path", { d: `M${left},${top - 9}l9,9l-9,9l-9,-9z`, fill: "none", stroke: "var(--text)", "stroke-width": 1.5 }));
      parts.push(plus("text", { x: left + (above ? 12 : -12), y: above ? Math.max(TOP + 10, top - 8) : Math.min(BOTTOM - 4, top + 16), "text-anchor": above ? "start" : "end" }, "in use"));
    }
    const bar = `M${x(now.total)},${y(1000 * (1 - now.found.high))}V${y(1000 * (1 - now.found.low))}`;
    parts.push(plus("path", { d: bar, stroke: "var(--text)", "stroke-width": 1.5 }));
    parts.push(plus("circle", { cx: x(now.total), cy: y(now.missed), r: 5, fill: now.missed > MOST_MISSED ? "var(--page)" : `var(${one.colour})`, stroke: "var(--text)", "stroke-width": 1.5 }));
    by("x-plot").replaceChildren(...parts);
  };

  const update = () => {
    const one = data.systems[Number(system.value)], point = one.points[Number(slider.value)], at = costs(one, point);
    const { found, alarms } = at;
    const here = (low, high) => `${data.level} interval ${whole(low)} to ${whole(high)}`;
    const rated = (of) => `${fixed(of.rate, 3)}, ${data.level} interval ${fixed(of.low, 3)} to ${fixed(of.high, 3)}`;
    by("x-threshold").textContent = Number(point[0]).toPrecision(4);
    const used = one.used !== null && Number(slider.value) === one.used;
    slider.setAttribute("aria-valuetext", `threshold ${Number(point[0]).toPrecision(4)}${used ? ", as this system ran" : ""}`);
    by("x-used").textContent = one.used === null
      ? `Not how this system ran: no threshold of these scores gives its answers (${one.ran}).`
      : used ? `How this system ran, or nearest to it: ${one.ran}.` : `Not how this system ran (${one.ran}).`;
    by("x-back").hidden = used || one.used === null;
    put("x-missed", whole(at.missed), here(1000 * (1 - found.high), 1000 * (1 - found.low)));
    put("x-alarms", whole(at.total), `with ${whole(at.crises * found.rate)} of ${counted(at.crises, "crisis", "crises")}`);
    put("x-false", whole(at.others * alarms.rate), here(at.others * alarms.low, at.others * alarms.high));
    put(
      "x-found",
      `${fixed(point[1], 0)} of ${fixed(one.crises, 0)}`,
      `sensitivity ${rated(found)}`,
      `others flagged: ${fixed(point[2], 0)} of ${fixed(one.others, 0)}, ${rated(alarms)}`,
    );
    plot(one, at);
  };
  const choose = () => {
    const one = data.systems[Number(system.value)];
    slider.max = String(one.points.length - 1);
    const first = one.points.findIndex((point) => point[1] >= 0.99 * one.crises);
    slider.value = String(one.used !== null ? one.used : first < 0 ? one.points.length - 1 : first);
    by("x-marks").replaceChildren(...(one.used === null ? [] : [new Option("in use", String(one.used))]));
    update();
  };
  by("x-back").addEventListener("click", () => { choose(); slider.focus(); });
  system.addEventListener("change", choose);
  [slider, prevalence, volume].forEach((one) => one.addEventListener("input", update));
  by("explorer-form").addEventListener("submit", (event) => event.preventDefault());
  choose();
  by("explorer").hidden = false;
  by("x-own").hidden = false;
  by("x-table").open = false;
})();
