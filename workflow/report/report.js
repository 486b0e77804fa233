// Switches choose which figure of its kind is shown; what is chosen for one kind holds for all. Tables sort and filter.
"use strict";

const kinds = [...document.querySelectorAll(".kind")].map((kind) => ({
  figures: [...kind.querySelectorAll("figure")].map((element) => ({
    element,
    labels: JSON.parse(element.dataset.labels),
    titles: JSON.parse(element.dataset.titles),
  })),
  radios: [...kind.querySelectorAll("input[data-label]")],
  selects: [...kind.querySelectorAll("select[data-label]")],
  shown: null,
}));

// The figure that has the chosen value, and of those the one most like the figure shown now.
function nearest(kind, name, value) {
  const alike = (figure) =>
    Object.entries(figure.labels).filter(([label, text]) => kind.shown.labels[label] === text).length;
  const having = kind.figures.filter((figure) => figure.labels[name] === value);
  return having.sort((a, b) => alike(b) - alike(a))[0];
}

function show(kind, figure) {
  if (kind.shown) kind.shown.element.hidden = true;
  kind.shown = figure;
  figure.element.hidden = false;
  const words = (name, value) => nearest(kind, name, value).titles[name]; // class 0 is another one in another data set
  for (const radio of kind.radios) {
    const name = radio.dataset.label;
    radio.checked = figure.labels[name] === radio.value;
    radio.nextElementSibling.textContent = words(name, radio.value);
  }
  for (const select of kind.selects) {
    const name = select.dataset.label;
    for (const option of select.options) option.text = words(name, option.value);
    select.value = figure.labels[name];
  }
  measure(figure.element);
}

// Only a figure that is wider than the page needs a button that shows it at full size.
function measure(element) {
  const image = element.querySelector("img");
  const button = element.querySelector(".full");
  if (button.getAttribute("aria-pressed") === "false") button.hidden = image.clientWidth >= Number(image.getAttribute("width"));
}

for (const kind of kinds) {
  show(kind, kind.figures[0]);
  for (const control of [...kind.radios, ...kind.selects]) {
    control.addEventListener("change", () => {
      const { label } = control.dataset;
      const { value } = control;
      for (const other of kinds) {
        const figure = nearest(other, label, value);
        if (figure) show(other, figure);
      }
    });
  }
}

// The panels of one training alone, or of all: the same for all kinds.
const trainings = [...document.querySelectorAll("input[data-training]")];
const veils = [...document.querySelectorAll(".kind .veil")];
for (const control of trainings) {
  control.addEventListener("change", () => {
    const { training } = control.dataset;
    for (const other of trainings) other.checked = other.dataset.training === training;
    for (const veil of veils) veil.hidden = !training || veil.dataset.training === training;
  });
}

window.addEventListener("resize", () => kinds.forEach((kind) => measure(kind.shown.element)));

for (const button of document.querySelectorAll(".full")) {
  button.addEventListener("click", () => {
    const full = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", full);
    button.textContent = full ? "Fit the page" : "Full size";
    button.closest("figure").classList.toggle("full-size", full);
  });
}

for (const table of document.querySelectorAll(".table")) {
  const body = table.querySelector("tbody");
  const most = Number(document.body.dataset.rows);
  const rows = JSON.parse(table.querySelector("script").textContent); // a cell is [text, value to sort by]
  const headings = [...table.querySelectorAll("th")];
  const filters = [...table.querySelectorAll("select[data-column]")];

  function fill() {
    const chosen = rows.filter((row) => filters.every((one) => !one.value || row[one.dataset.column][0] === one.value));
    const shown = chosen.slice(0, most).map((row) => {
      const line = document.createElement("tr");
      row.forEach(([text], column) => {
        const cell = line.insertCell();
        cell.textContent = text;
        const kind = headings[column].classList;
        if (kind.contains("number")) cell.className = "number";
        if (kind.contains("coloured")) cell.className = `training-${text}`;
      });
      return line;
    });
    body.replaceChildren(...shown);
    const more = chosen.length - shown.length;
    table.querySelector(".more").textContent = more ? `${more} more rows` : "";
  }

  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const number = heading.classList.contains("number");
      rows.sort((one, other) => {
        const [a, b] = [one[column][1], other[column][1]];
        if (a === "" || b === "") return (a === "") - (b === ""); // no value comes last
        return sign * (number ? a - b : a.localeCompare(b, "en", { numeric: true }));
      });
      fill();
    });
  });
  for (const filter of filters) filter.addEventListener("change", fill);
}
