
"use strict";
// Shows the content of the element `content`; what the sections are is said in mc2/report/content.py.
// All of it goes into the page as text: nothing is read as HTML.

const content = JSON.parse(document.getElementById("content").textContent);
const SVG = "http://www.w3.org/2000/svg";
const ROWS_AT_FIRST = 15;
const numbers = new Intl.NumberFormat("en");

function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function share(value, digits = 1) {
  return (100 * value).toFixed(digits) + "%";
}

function short(value) {
  for (const [size, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return +(value / size).toPrecision(3) + letter;
  }
  return String(+value.toPrecision(3));
}

// ---------------------------------------------------------------- tables

function cell({key, form, wide}, row) {
  const value = row[key], td = element("td", {class: `${form}${wide ? " wide" : ""}`});
  if (value === null || value === undefined) td.append(element("span", {class: "soft"}, "\u2013"));
  else if (form === "number") td.append(...number(value));
  else if (form === "prob") td.append(value === 1 ? "1" : value.toPrecision(3));
  else if (form === "share") {
    const fill = element("i");
    fill.style.width = `${Math.min(100, 100 * value)}%`;
    td.append(element("span", {class: "meter", "aria-hidden": "true"}, fill), share(value));
  } else if (form === "score") td.append(value.toFixed(3));
  else if (form === "percent") td.append(share(value));
  else if (form === "entry") td.append(element("bdi", {lang: value[1]}, value[0]));
  else if (form === "language") td.append(value[0], element("span", {class: "code"}, value[1]));
  else td.append(value);
  if (isText(form)) td.classList.add("start");
  return td;
}

// A number of many digits has two forms: the second is shown where the page is narrow.
function number(value) {
  const full = numbers.format(value);
  if (Math.abs(value) < 1e6) return [full];
  return [element("span", {class: "full"}, full), element("span", {class: "brief"}, short(value))];
}

function isText(form) {
  return ["text", "entry", "language"].includes(form);
}

function heading({title, form, wide, about}, inside) {
  const classes = `${isText(form) ? "start" : ""}${wide ? " wide" : ""}`;
  return element("th", {scope: "col", class: classes, title: about}, inside || title);
}

function table(columns, rows) {
  const head = element("tr", {}, ...columns.map(column => heading(column)));
  const body = rows.map(row => element("tr", {}, ...columns.map(column => cell(column, row))));
  return scrolling(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function scrolling(table) {
  return element("div", {class: "scroll"}, table);
}

function compared(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return Array.isArray(a) ? a[0].localeCompare(b[0], "en") : a < b ? -1 : 1;
}

// Whether a language has this code, or a name in which a word begins so. word: in small letters
function isCalled([name, code], word) {
  return code.toLowerCase() === word || name.toLowerCase().split(/[\s()-]+/).some(part => part.startsWith(word));
}

// Languages: a table to sort and filter, and what is known of one of them.
function languages(section) {
  const {columns, rows, details} = section;
  let sorted = section.sort, direction = -1, all = false;
  const name = columns[0].key;
  const input = element("input",
    {type: "search", placeholder: "Filter: Arabic, zh, ...", "aria-label": "Filter languages"});
  const counted = element("span", {class: "soft", role: "status"});
  const body = element("tbody"), more = element("button", {class: "more", type: "button"});
  const heads = columns.map(column => {
    const button = element("button", {type: "button"}, column.title), th = heading(column, button);
    button.addEventListener("click", () => {
      direction = sorted === column.key ? -direction : isText(column.form) ? 1 : -1;
      sorted = column.key;
      draw();
    });
    return th;
  });
  const detail = details ? picked(section, rows.map(row => row[name])) : null;
  const lines = new Map(rows.map(row => [row, line(row)]));

  function line(row) {
    const tr = element("tr", {}, ...columns.map(column => cell(column, row)));
    if (!detail) return tr;
    const first = tr.firstChild, button = element("button", {type: "button"}, ...first.childNodes);
    first.append(button);
    tr.className = "linked";
    button.addEventListener("click", () => detail.show(row[name][1], true));
    return tr;
  }

  function draw() {
    const words = input.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    const found = rows.filter(row => !words.length || words.some(word => isCalled(row[name], word)));
    const known = row => row[sorted] !== null && row[sorted] !== undefined;
    const signed = (a, b) => known(a) && known(b) ? direction : 1;          // what is not known comes last
    found.sort((a, b) => signed(a, b) * compared(a[sorted], b[sorted]));
    heads.forEach((th, index) => columns[index].key === sorted
      ? th.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort"));
    const shown = all || words.length ? found : found.slice(0, ROWS_AT_FIRST);
    body.replaceChildren(...shown.map(row => lines.get(row)));
    counted.textContent = `${numbers.format(found.length)} of ${numbers.format(rows.length)}`;
    more.hidden = words.length || rows.length <= ROWS_AT_FIRST;
    more.textContent = all ? "Show fewer" : `Show all ${numbers.format(rows.length)}`;
  }

  input.addEventListener("input", draw);
  more.addEventListener("click", () => { all = !all; draw(); });
  draw();
  const shown = [element("div", {class: "filter"}, input, counted),
    scrolling(element("table", {class: "languages"}, element("thead", {}, element("tr", {}, ...heads)), body)),
    more];
  return {shown, after: detail ? [detail.section] : []};
}

function picked(section, names) {
  const choice = element("select", {"aria-label": "Language"},
    ...[...names].sort(compared).map(([name, code]) => element("option", {value: code}, `${name} (${code})`)));
  const place = element("div", {class: "columns"}), lead = element("p");
  const whole = element("section", {id: "detail"}, element("h2", {}, section.detail_title),
    element("div", {class: "pick"}, choice), lead, place);

  function show(code, scroll = false) {
    const {lead: sentence, plots, tables, examples} = section.details[code];
    choice.value = code;
    lead.textContent = sentence;
    place.replaceChildren(
      ...plots.map(each => element("div", {class: "whole"}, plot(each))),
      ...tables.map(each => element("div", {}, element("h3", {}, each.title), table(each.columns, each.rows))));
    if (examples && examples.length) {
      const items = examples.map(([text, tag]) => element("li", {lang: tag, dir: "auto"}, text));
      place.append(element("div", {class: "whole"}, element("h3", {}, "Texts, chosen at random"),
        element("ul", {class: "texts"}, ...items)));
    }
    if (scroll) whole.scrollIntoView();
  }

  choice.addEventListener("change", () => show(choice.value));
  if (names.length) show(names[0][1]);
  return {section: whole, show};
}

// ---------------------------------------------------------------- figures

// Lines on two scales, drawn anew whenever the width changes, so that letters keep their size.
function plot({title, x, y, log, series, rule}) {
  const place = element("div"), lines = series.filter(each => each.points.length);
  const alone = series.length === 1, style = each => alone ? "s1" : `s${series.indexOf(each)}`;
  const names = [...(alone ? [] : lines.map(each => element("span", {class: style(each)}, each.name))),
    ...(rule ? [element("span", {class: "rule"}, rule.name)] : [])];
  const figure = element("figure", {}, ...(title ? [element("h3", {}, title)] : []),
    ...(names.length ? [element("figcaption", {}, ...names)] : []), place);
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now && now !== width) place.replaceChildren(drawn(width = now));
  }).observe(place);

  function drawn(width) {
    const height = Math.round(Math.min(360, Math.max(230, width * .55)));
    const [left, right, top, bottom] = [46, 8, 22, 40], points = lines.flatMap(each => each.points);
    const across = scale(points.map(point => point[0]), left, width - right, log, Math.max(2, Math.floor(width / 90)));
    const upwards = scale([...points.map(point => point[1]), ...(rule ? [rule.at] : [])], height - bottom, top, log, 5);
    const svg = drawing("svg", {viewBox: `0 0 ${width} ${height}`, height, role: "img",
      "aria-label": `${title || y}: ${lines.map(each => each.name).join(", ")}`});
    const label = (x, y, text, anchor) => svg.append(drawing("text", {x, y, "text-anchor": anchor}, text));
    const level = (style, value) => drawing("line",
      {class: style, x1: left, x2: width - right, y1: upwards.at(value), y2: upwards.at(value)});
    for (const tick of across.ticks) label(across.at(tick), height - bottom + 18, across.told(tick), "middle");
    for (const tick of upwards.ticks) {
      svg.append(level("grid", tick));
      label(left - 8, upwards.at(tick) + 4, upwards.told(tick), "end");
    }
    if (y) label(0, 11, y, "start");
    label(width - right, height - 4, x, "end");
    const path = points => points.map(([a, b]) => `${across.at(a).toFixed(1)} ${upwards.at(b).toFixed(1)}`).join("L");
    if (log && lines.length === 2) {
      const [there, back] = [path(lines[0].points), path([...lines[1].points].reverse())];
      svg.append(drawing("path", {class: "between", d: `M${there}L${back}Z`}));
    }
    if (rule) svg.append(level("rule", rule.at));
    for (const each of lines) svg.append(drawing("path", {class: `line ${style(each)}`, d: `M${path(each.points)}`}));
    return svg;
  }

  return figure;
}

function scale(values, start, end, log, wanted) {
  const form = log ? value => Math.log10(Math.max(value, 1)) : value => value;
  let least = Math.min(...values.map(form)), most = Math.max(...values.map(form)), ticks = [], told = short;
  if (log) {
    least = 0;
    most = Math.max(most, .5);
    const step = Math.ceil((Math.floor(most) + 1) / wanted);
    for (let power = 0; power <= most; power += step) ticks.push(10 ** power);
  } else {
    if (least === most) [least, most] = [least - 1, most + 1];
    const rough = (most - least) / wanted, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(each => each * size).find(each => each >= rough);
    for (let tick = Math.ceil(least / step) * step; tick <= most + step * 1e-9; tick += step) {
      ticks.push(+tick.toPrecision(12));
    }
    if (step < 1000) told = tick => tick.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  }
  return {ticks, told, at: value => start + (form(value) - least) / (most - least) * (end - start)};
}

function bars({rows, total}) {
  const most = Math.max(1, ...rows.map(row => row[1]));
  return element("div", {class: "bars"}, ...rows.map(([name, number, chosen]) => {
    const fill = element("span", {class: chosen ? "fill chosen" : "fill"});
    fill.style.width = `${100 * number / most}%`;
    const told = total ? `${numbers.format(number)} \u00b7 ${share(number / total)}` : numbers.format(number);
    return element("div", {}, element("span", {class: "label"}, name), element("span", {class: "number"}, told),
      element("span", {class: "track", "aria-hidden": "true"}, fill));
  }));
}

// ---------------------------------------------------------------- the page

function facts(rows) {
  return element("dl", {class: "facts"}, ...rows.flatMap(([what, value]) => [element("dt", {}, what),
    element("dd", {class: "code"}, ...[].concat(value).map(each => element("div", {}, element("bdi", {}, each))))]));
}

function fields(rows) {
  return element("dl", {class: "facts"}, ...rows.flatMap(([what, value, question]) => [element("dt", {}, what),
    value === null ? element("dd", {},
        element("span", {class: "open"}, "To be filled in. "), element("span", {class: "soft"}, question))
      : element("dd", {dir: "auto"}, value)]));
}

const KINDS = {
  bars: section => ({shown: [bars(section)]}),
  table: ({columns, rows}) => ({shown: [table(columns, rows)]}),
  plots: ({plots}) => ({shown: [element("div", {class: "columns"}, ...plots.map(plot))]}),
  facts: ({rows}) => ({shown: [facts(rows)]}),
  fields: ({rows}) => ({shown: [fields(rows)]}),
  list: ({items}) => ({shown: [element("ul", {class: "items"}, ...items.map(item => element("li", {}, item)))]}),
  languages,
};

const main = document.querySelector("main");
main.replaceChildren(
  element("p", {class: "kind"}, content.kind),
  element("h1", {dir: "auto"}, content.title), element("p", {class: "lead"}, content.lead),
  element("dl", {class: "tiles"}, ...content.tiles.map(([value, what]) => element("div", {}, element("dt", {}, what),
    element("dd", {}, typeof value === "number" ? numbers.format(value) : value)))));
for (const section of content.sections) {
  const {shown, after = []} = KINDS[section.kind](section);
  main.append(element("section", {}, element("h2", {}, section.title),
    ...(section.note ? [element("p", {class: "note"}, section.note)] : []), ...shown), ...after);
}
