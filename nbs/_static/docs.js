// Below each result of a search stands the line of its page or name (searchLines, from search_lines.js): pages opened from disk cannot read each other.
document.addEventListener("DOMContentLoaded", () => {
  const results = document.getElementById("search-results");
  if (!results) return;
  const add = () => results.querySelectorAll("ul.search > li:not([data-line])").forEach((item) => {
    const link = item.querySelector("a");
    if (!link) return;
    const href = link.getAttribute("href").replace(/\?[^#]*/, "");
    const line = searchLines[href] || searchLines[href.replace(/#.*/, "")];
    item.dataset.line = "";
    if (!line) return;
    const p = document.createElement("p");
    p.className = "line";
    p.textContent = line;
    item.append(p);
  });
  new MutationObserver(add).observe(results, { childList: true, subtree: true });
  add();
});
