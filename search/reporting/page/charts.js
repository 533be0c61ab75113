"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  // Colours of axes and text come from the page, so that a chart fits light and dark pages.
  const themed = (layout) => {
    const ink = css("--ink"), line = css("--line");
    const copy = JSON.parse(JSON.stringify(layout));
    copy.paper_bgcolor = "rgba(0,0,0,0)";
    copy.plot_bgcolor = "rgba(0,0,0,0)";
    copy.font = Object.assign({ family: "system-ui, sans-serif", size: 12 }, copy.font, { color: ink });
    copy.hoverlabel = { bgcolor: css("--card"), bordercolor: line, font: { color: ink } };
    for (const key of Object.keys(copy)) {
      if (/^[xy]axis\d*$/.test(key)) {
        Object.assign(copy[key], { gridcolor: line, linecolor: line, tickcolor: line });
      }
    }
    for (const shape of copy.shapes || []) {
      if (shape.line && shape.line.color === "#010203") shape.line.color = ink;
    }
    if (window.innerWidth < 600) {
      copy.margin = Object.assign({}, copy.margin, { l: 45, r: 10 });
    }
    return copy;
  };
  const coloured = (traces) => traces.map((trace) => {
    if (trace.type !== "parcoords") return trace;
    const font = { color: css("--ink") };
    return Object.assign({}, trace, { labelfont: font, tickfont: font, rangefont: { color: css("--soft") } });
  });

  const draw = (chart) => {
    const { data, layout } = JSON.parse(document.getElementById(chart.id + "-data").textContent);
    return Plotly.react(chart, coloured(data), themed(layout), options).then(() => { chart.dataset.drawn = "yes"; });
  };

  const charts = Array.from(document.querySelectorAll(".chart"));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target);
    }
  }, { rootMargin: "600px" });
  charts.forEach((chart) => seen.observe(chart));

  const redraw = () => charts.filter((chart) => chart.dataset.drawn).forEach(draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const button = document.getElementById("theme");
  button.addEventListener("click", () => {
    const isDark = css("--theme") === "dark";
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    button.setAttribute("aria-pressed", String(!isDark));
    redraw();
  });
  window.addEventListener("beforeprint", () => charts.filter((chart) => !chart.dataset.drawn).forEach(draw));

  // The tables of trials are sorted by their headings.
  const value = (row, column) => row.children[column].textContent.trim();
  const compare = (one, other) => {
    const [a, b] = [parseFloat(one), parseFloat(other)];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || one.localeCompare(other);
    return a - b;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead th").forEach((heading, column) => {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.textContent = heading.textContent;
      heading.replaceChildren(sorter);
      sorter.addEventListener("click", () => {
        const isRising = heading.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", isRising ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = Array.from(body.rows).sort((a, b) => compare(value(a, column), value(b, column)));
        body.append(...(isRising ? rows.reverse() : rows));
      });
    });
  }
})();
