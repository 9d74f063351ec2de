// Says what lies upon what, in any page: texts of a chart, parts of a section, sections.
const boxes = (root, what) => [...root.querySelectorAll(what)].map((e) => [e, e.getBoundingClientRect()]).filter(([, b]) => b.width && b.height);
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
const overlapping = (found) => {
  const clashes = [];
  const pairs = (all) => all.forEach(([e, a], i) => all.slice(i + 1).forEach(([f, b]) => {
    if (!e.contains(f) && !f.contains(e) && over(a, b)) clashes.push(e.textContent.slice(0, 30) + " | " + f.textContent.slice(0, 30)); }));
  for (const svg of document.querySelectorAll("svg")) pairs(boxes(svg, "text").filter(([e]) => !e.closest("[aria-label=tip]")));
  for (const section of document.querySelectorAll("section")) pairs(boxes(section, ":scope > *"));
  pairs(boxes(document, "header > *, main section"));
  return clashes;
};
