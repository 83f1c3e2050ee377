// Texts whose contrast with what is behind them is below WCAG AA (4.5, or 3 for large ones).
() => {
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return { rgb: n.slice(0, 3), alpha: n[3] ?? 1 }; };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e).backgroundColor;
      if (style.startsWith("rgb") && parse(style).alpha === 1) return parse(style).rgb;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!own || ["SCRIPT", "OPTION"].includes(element.tagName) || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    if (!colour.startsWith("rgb")) continue;
    const [a, b] = [light(parse(colour).rgb), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 20 ? 3 : 4.5)) weak.push(`${own.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(weak)];
}
