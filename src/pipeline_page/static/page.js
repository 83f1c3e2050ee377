// Draws the charts of the page in its own colours, and opens Airflow's pages in Airflow's window.
"use strict";

(function () {
  // Inside Airflow its own choice of light or dark wins over the system's.
  function followAirflow() {
    const root = document.documentElement;
    try {
      if (window.parent === window) return;
      const outer = window.parent.document.documentElement;
      const apply = () => {
        const theme = outer.classList.contains("dark") ? "dark" : outer.classList.contains("light") ? "light" : "";
        if (theme) root.dataset.theme = theme;
      };
      new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
      apply();
    } catch {
      // A parent of another origin: the system's choice stays.
    }
  }

  // Colours stay names of the stylesheet's: charts follow it from light to dark, and are light on paper.
  function coloured(part) {
    if (Array.isArray(part)) return part.map(coloured);
    if (part && typeof part === "object") {
      // Names in the data may begin with the sign, too.
      return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, key === "data" ? value : coloured(value)]));
    }
    return typeof part === "string" && part.startsWith("@") ? `var(--${part.slice(1)})` : part;
  }

  function draw() {
    if (!window.vegaEmbed) return;
    const config = coloured(JSON.parse(document.getElementById("chart-config").textContent));
    for (const source of document.querySelectorAll("script[data-chart]")) {
      const spec = coloured(JSON.parse(source.textContent));
      const place = document.getElementById(source.dataset.chart);
      // `ast`: expressions are interpreted, not made into functions, which the page's policy forbids.
      const options = { actions: false, ast: true, config, defaultStyle: false, renderer: "svg",
        tooltip: { disableDefaultStyle: true, theme: "custom" } };
      window.vegaEmbed(place, spec, options).then(() => { place.dataset.drawn = "yes"; }, (error) => {
        console.error("A chart could not be drawn; its figures are in the table.", error);
      });
    }
  }

  // The frame may not move the window it is in; a link of that window may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || window.parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
    try {
      const outer = window.parent.document;
      const twin = outer.createElement("a");
      twin.href = link.href;
      outer.body.append(twin);
      event.preventDefault();
      twin.click();
      twin.remove();
    } catch {
      // A parent of another origin: the link opens in the frame.
    }
  });

  followAirflow();
  draw();
})();
