"use strict";
(() => {
  const maps = [...document.querySelectorAll("svg.zoom")], says = document.getElementById("where");
  let from = 0, width = 1000;
  const show = () => maps.forEach(map => map.setAttribute("viewBox", `${from} 0 ${width} 16`));
  const zoom = (factor, at) => {
    const wide = Math.min(1000, Math.max(0.5, width * factor));
    from = Math.min(1000 - wide, Math.max(0, at - (at - from) * wide / width));
    width = wide;
    show();
  };
  const place = (map, event) => {
    const box = map.getBoundingClientRect();
    return from + (event.clientX - box.left) / box.width * width;
  };
  for (const map of maps) {
    map.addEventListener("wheel", event => {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, place(map, event));
    }, { passive: false });
    map.addEventListener("pointermove", event => {
      if (event.buttons & 1) {
        from = Math.min(1000 - width, Math.max(0, from - event.movementX / map.getBoundingClientRect().width * width));
        show();
      }
      const row = Math.min(map.dataset.rows - 1, Math.floor(place(map, event) / 1000 * map.dataset.rows));
      if (says) says.textContent = `row ${row}`;
    });
  }
  for (const [id, factor] of [["in", 0.5], ["out", 2], ["all", 1e9]]) {
    const button = document.getElementById(id);
    if (button) button.addEventListener("click", () => zoom(factor, from + width / 2));
  }
})();
