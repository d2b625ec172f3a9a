"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Light or dark: the system's choice until the reader makes one.
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // A link to what lies in a folded chapter opens the chapter; paper has every chapter open.
  const unfold = () => {
    const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
    const chapter = target && target.closest("details.chapter");
    if (!chapter || chapter.open) return;
    chapter.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  addEventListener("beforeprint", () => document.querySelectorAll("details.chapter").forEach((each) => { each.open = true; }));
  unfold();

  // Tables: a click on a heading sorts by it, a second click the other way. Empty cells stay last.
  const sortKey = (row, column) => row.cells[column].dataset.key;
  const sortBy = (table, column, heading) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = heading.classList.contains("number");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [sortKey(a, column), sortKey(b, column)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = numeric ? Number(x) - Number(y) : x.localeCompare(y);
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    table.querySelectorAll("th").forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => sortBy(table, column, heading));
    });
  });

  // What is wider than the screen says so; the words go when its end has been seen.
  const cues = () => document.querySelectorAll(".cue").forEach((cue) => {
    const box = cue.parentElement.querySelector(".drawing, .scroll");
    cue.classList.toggle("shown", box.scrollLeft + box.clientWidth < box.scrollWidth - 4);
  });
  document.querySelectorAll(".drawing, .scroll").forEach((box) => box.addEventListener("scroll", cues));
  addEventListener("resize", cues);
  document.querySelectorAll("details.chapter").forEach((each) => each.addEventListener("toggle", cues));
  cues();

  // Figures: saved as drawn, in dark ink on white paper.
  const asFile = (svg) => {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "color:#111418;background:#ffffff;font-family:sans-serif");
    const text = new XMLSerializer().serializeToString(copy).replace(/var\(--[\w-]+, (#\w+)\)/g, "$1");
    return new Blob([text], { type: "image/svg+xml" });
  };
  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const asBitmap = (svg) => new Promise((resolve, reject) => {
    const box = svg.viewBox.baseVal;
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = Math.round(box.width * 2);
      canvas.height = Math.round(box.height * 2);
      const context = canvas.getContext("2d");
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(resolve, "image/png");
    };
    picture.onerror = () => reject(new Error("the figure could not be drawn as a bitmap"));
    asFile(svg).text().then((text) => { picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text); });
  });
  document.querySelectorAll("[data-save]").forEach((button) => {
    button.addEventListener("click", async () => {
      const key = button.dataset.figure;
      const svg = byId(key).querySelector("svg");
      save(button.dataset.save === "svg" ? asFile(svg) : await asBitmap(svg), `${key}.${button.dataset.save}`);
    });
  });

  // The layer explorer: pictures and numbers of every layer are in the page; the slider picks one.
  const holder = byId("explorer-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const slider = byId("layer-slider");
  const format = (value) => (value === null ? "–" : Number(value).toPrecision(4));
  const drawCurve = (target, curves) => {
    const height = Math.max(...Object.values(curves).flat(), 1e-12);
    const drawn = data.classes.filter((one) => curves[one.name] && curves[one.name].length);
    const shapes = drawn.map(({ name, colour }) => {
      const shares = curves[name];
      const points = shares.map((share, bin) => `${(300 * (bin + 0.5)) / shares.length},${95 - (88 * share) / height}`);
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      shape.setAttribute("points", points.join(" "));
      shape.setAttribute("data-class", name);
      shape.setAttribute("style", `fill:none;stroke:var(--${colour});stroke-width:1.6`);
      return shape;
    });
    target.replaceChildren(...shapes);
  };
  const show = () => {
    const step = Number(slider.value);
    byId("layer-number").textContent = data.layers[step];
    slider.setAttribute("aria-valuetext", `layer ${data.layers[step]}`);
    for (const quantity of ["mi", "cov"]) {
      const panel = data.panels[step][quantity];
      byId(`matrix-${quantity}`).src = panel.picture;
      byId(`low-${quantity}`).textContent = format(panel.low);
      byId(`high-${quantity}`).textContent = format(panel.high);
      drawCurve(byId(`curve-${quantity}`), panel.curves);
      data.classes.forEach(({ name }, place) => {
        byId(`numbers-${place}-${quantity}`).textContent = panel.numbers[name];
      });
    }
  };
  const move = (by) => {
    slider.value = Number(slider.value) + by;
    show();
  };
  slider.addEventListener("input", show);
  byId("layer-back").addEventListener("click", () => move(-1));
  byId("layer-next").addEventListener("click", () => move(1));
  show();
})();
