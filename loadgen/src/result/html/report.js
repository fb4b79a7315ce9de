"use strict";
// The tooltip: reads values off the paths, by the scales that each chart states.
(() => {
  const tip = document.getElementById("tip");
  const axis = (text) => {
    const [scale, unit, min, max] = text.split(" ");
    return { scale, unit, min: Number(min), max: Number(max) };
  };
  const value = (a, place) =>
    a.scale === "log" ? a.min * Math.pow(a.max / a.min, place) : a.min + (a.max - a.min) * place;
  const three = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));
  const label = (unit, n) => {
    if (unit === "us") return n < 1e3 ? three(n) + " µs" : n < 1e6 ? three(n / 1e3) + " ms" : three(n / 1e6) + " s";
    if (unit === "ms") return (n / 1000).toFixed(1) + " s";
    if (unit === "nines") return "p" + (100 * (1 - Math.pow(10, -n))).toFixed(Math.max(1, Math.ceil(n) - 1));
    if (unit === "per_s") return Math.round(n).toLocaleString("en") + "/s";
    return String(Math.round(n));
  };
  const points = (path) =>
    [...path.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);
  const nearest = (all, x) =>
    all.reduce((best, p) => (!best || Math.abs(p[0] - x) < Math.abs(best[0] - x) ? p : best), null);

  for (const svg of document.querySelectorAll("svg.chart")) {
    const [left, right, top, bottom] = svg.dataset.plot.split(" ").map(Number);
    const xAxis = axis(svg.dataset.x);
    const yAxis = axis(svg.dataset.y);
    const series = [...svg.querySelectorAll(".series")].map((p) => ({ name: p.dataset.name, all: points(p) }));
    const hover = svg.querySelector(".hover");
    const hide = () => {
      tip.hidden = true;
      hover.replaceChildren();
    };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const found = series.map((s) => ({ name: s.name, at: nearest(s.all, x) })).filter((s) => s.at);
      if (!found.length || x < left || x > right) return hide();
      const at = nearest(found.map((s) => s.at), x)[0];
      const rows = found
        .filter((s) => Math.abs(s.at[0] - at) < 3)
        .map((s) => s.name + "  " + label(yAxis.unit, value(yAxis, (bottom - s.at[1]) / (bottom - top))));
      tip.textContent = [label(xAxis.unit, value(xAxis, (at - left) / (right - left))), ...rows].join("\n");
      tip.hidden = false;
      const flip = event.clientX > window.innerWidth - 240;
      tip.style.left = (flip ? event.clientX - tip.offsetWidth - 14 : event.clientX + 14) + "px";
      tip.style.top = event.clientY + 14 + "px";
      hover.innerHTML = '<path d="M' + at + " " + top + "V" + bottom + '"/>';
    });
  }
})();
