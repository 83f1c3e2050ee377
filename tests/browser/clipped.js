// What is cut off, hidden to the side, or broken inside a figure: a line for each.
() => {
  const faults = [];
  const say = (what, element) => faults.push(`${what}: ${element.textContent.trim().replace(/\s+/g, " ").slice(0, 60)}`);
  for (const details of document.querySelectorAll("details")) details.open = true;
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) faults.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
  for (const box of document.querySelectorAll(".scroll, .card, .tile, .flow, .notice, th, td, dd, dt, .big, .figure")) {
    if (box.checkVisibility() && box.clientWidth && box.scrollWidth > box.clientWidth) say("clipped", box);
  }
  for (const cell of document.querySelectorAll("th, td")) {
    const box = cell.closest(".scroll");
    if (!cell.checkVisibility() || !box) continue;
    if (cell.getBoundingClientRect().right > box.getBoundingClientRect().right + 0.5) say("beyond its box", cell);
  }
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("svg, script, .hidden")) continue;
    for (const figure of node.data.matchAll(/[+−-]?\d[\d,.]*\d/g)) {
      if (!figure[0].includes(",") && !figure[0].includes(".")) continue;
      const range = document.createRange();
      range.setStart(node, figure.index);
      range.setEnd(node, figure.index + figure[0].length);
      const lines = new Set([...range.getClientRects()].map((each) => Math.round(each.top)));
      if (lines.size > 1 && node.parentElement.closest("table, .tile, .flow, .sum")) say("broken inside", node.parentElement);
    }
  }
  return faults;
}
