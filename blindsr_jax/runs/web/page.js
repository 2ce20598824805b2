"use strict";
// The page of a run, drawn from the JSON beside it. Everything is set as text or as an attribute, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // The other files of an image stand beside its view, WORKDIR/views/NAME.js.
  const beside = (entry, kind, suffix) => entry.view.replace(/views\/([^/]*)\.js$/, `${kind}/$1${suffix}`);
  for (const entry of data.entries) entry.values = { ...data.common, ...entry.values };
  const page = document.getElementById("page");
  const SVG = "http://www.w3.org/2000/svg";
  const WORDS = {
    psnr_y: "PSNR-Y, dB", ssim_y: "SSIM-Y", kernel_psnr: "kernel PSNR, dB", kernel_correlation: "kernel correlation",
    kernel_mean_error: "kernel mean error, px", kernel_cov_error: "kernel covariance error", width_px: "width, px",
    direction_deg: "direction, °", residual_rms_255: "residual RMS, /255", compile_seconds: "compiling, s",
    seconds: "seconds", noise_std: "noise, of 1", jpeg_quality: "JPEG quality",
    width_px_80: "width, 80 %, px", direction_deg_80: "direction, 80 %, °", peak_memory_mb: "memory, MB",
  };
  const GOOD_IF_LARGE = ["psnr_y", "ssim_y", "confidence", "kernel_correlation", "kernel_psnr"];

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick" || name === "oninput" || name === "onchange") element[name] = value;
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function draw(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const label = (key) => WORDS[key] || key.replaceAll("_", " ");
  const isNumber = (value) => typeof value === "number";
  const isScalar = (value) => value === null || typeof value !== "object";

  function show(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (isNumber(value)) return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
    if (Array.isArray(value)) return value.map(show).join(" to ");
    if (typeof value === "object") return Object.entries(value).map(([key, x]) => `${key} ${show(x)}`).join(", ");
    return String(value);
  }

  // ---- tables ----

  function compare(a, b) {
    const missing = (x) => x === null || x === undefined || x === "";
    if (missing(a) || missing(b)) return missing(a) - missing(b); // always last
    if (isNumber(a) && isNumber(b)) return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  // Rows: {values, bad, cells: {column: element}, element}. The head sorts; the rows stay the same elements.
  function sortableTable(rows, columns, caption, order) {
    const told = make("caption", {}, order ? `${caption}, ${order}` : caption);
    const body = make("tbody");
    const numeric = new Set(columns.filter((column) => rows.some((row) => isNumber(row.values[column]))));
    for (const row of rows) {
      row.element = make("tr");
      for (const column of columns) {
        const special = row.cells && row.cells[column];
        const kind = ["name", "message"].includes(column) ? "name" : numeric.has(column) ? "number" : null;
        const error = row.values[`${column}_se`];
        const words = show(row.values[column]) + (isNumber(error) ? ` ± ${Number(error.toPrecision(2))}` : "");
        row.element.append(make("td", { class: kind }, special || words));
      }
    }
    const heads = new Map();
    function sort(column, isUp) {
      const sign = isUp ? 1 : -1;
      const value = (row) => row.values[column];
      const isMissing = (row) => value(row) === null || value(row) === undefined;
      rows.sort((a, b) => (isMissing(a) || isMissing(b) ? isMissing(a) - isMissing(b) : sign * compare(value(a), value(b))));
      for (const [name, head] of heads) {
        head.setAttribute("aria-sort", name !== column ? "none" : isUp ? "ascending" : "descending");
        head.querySelector("span").textContent = name !== column ? "" : isUp ? " ▲" : " ▼";
      }
      told.textContent = `${caption}, by ${label(column)}`;
      body.append(...rows.map((row) => row.element));
    }
    const head = make("tr");
    for (const column of columns) {
      if (column === "picture") {
        head.append(make("th", { scope: "col" }, make("span", { class: "quiet" }, "")));
        continue;
      }
      const th = make("th", { scope: "col", "aria-sort": "none" });
      const press = () => sort(column, th.getAttribute("aria-sort") !== "ascending");
      th.append(make("button", { type: "button", onclick: press }, label(column), make("span", { "aria-hidden": "true" })));
      heads.set(column, th);
      head.append(th);
    }
    body.append(...rows.map((row) => row.element));
    const table = make("table", {}, told, make("thead", {}, head), body);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
  }

  // Failures first, then the worst by what tells most.
  function worstFirst(rows) {
    const keys = ["psnr_y", "confidence", "residual_rms_255"].filter((key) => rows.some((row) => isNumber(row.values[key])));
    const rank = (row) => (row.bad ? 0 : row.values.status === "recovered" ? 1 : 2);
    rows.sort((a, b) => {
      if (rank(a) !== rank(b)) return rank(a) - rank(b);
      for (const key of keys) {
        const order = compare(a.values[key], b.values[key]);
        if (order) return isNumber(a.values[key]) && isNumber(b.values[key]) && !GOOD_IF_LARGE.includes(key) ? -order : order;
      }
      return compare(a.values.name, b.values.name);
    });
    return keys[0];
  }

  // ---- kernels ----

  const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"].map((hex) =>
    [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

  function colour(share) {
    const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
    return VIRIDIS[low].map((x, i) => Math.round(x + (at - low) * (VIRIDIS[low + 1][i] - x)));
  }

  function paint(canvas, values, top) {
    canvas.width = values[0].length;
    canvas.height = values.length;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    values.flat().forEach((value, i) => pixels.data.set([...colour(value / top), 255], 4 * i));
    context.putImageData(pixels, 0, 0);
  }

  const valuesOf = (numbers) => numbers.levels.map((row) => row.map((level) => (level * numbers.peak) / 1000));

  // Centre of mass and covariance, in pixels; rows count downwards.
  function moments(values) {
    let [sum, row, column] = [0, 0, 0];
    values.forEach((line, i) => line.forEach((value, j) => {
      const x = Math.max(value, 0);
      [sum, row, column] = [sum + x, row + x * i, column + x * j];
    }));
    [row, column] = [row / sum, column / sum];
    let [rr, rc, cc] = [0, 0, 0];
    values.forEach((line, i) => line.forEach((value, j) => {
      const x = Math.max(value, 0) / sum;
      [rr, rc, cc] = [rr + x * (i - row) ** 2, rc + x * (i - row) * (j - column), cc + x * (j - column) ** 2];
    }));
    const [middle, half] = [(rr + cc) / 2, Math.hypot((cc - rr) / 2, rc)];
    const angle = (Math.atan2(2 * rc, cc - rr) / 2) * (180 / Math.PI); // from columns towards rows
    const axes = [middle + half, middle - half].map((x) => Math.sqrt(Math.max(x, 0)));
    return { row, column, axes, angle, width: Math.sqrt(middle), direction: (180 - angle) % 180 };
  }

  function kernelFigure(numbers, size, top, caption, hasEllipse) {
    const values = padded(valuesOf(numbers), size);
    const canvas = make("canvas", { role: "img", "aria-label": caption });
    paint(canvas, values, top);
    const field = make("div", { class: "field" }, canvas);
    const own = numbers.levels.length;
    const words = [`${caption}, ${own} × ${own}, largest entry ${show(Math.max(...values.flat()))}`];
    if (hasEllipse) {
      const found = moments(values);
      const place = `rotate(${found.angle} ${found.column + 0.5} ${found.row + 0.5})`;
      const [rx, ry] = found.axes.map((x) => Math.max(x, 0.15));
      const ellipse = { class: "ellipse", cx: found.column + 0.5, cy: found.row + 0.5, rx, ry, transform: place };
      field.append(draw("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" }, draw("ellipse", ellipse)));
      words.push(`σ ${found.axes[0].toFixed(2)} × ${found.axes[1].toFixed(2)} px, width ${found.width.toFixed(2)} px`);
      if (found.axes[0] > 1.05 * found.axes[1]) words.push(`direction ${found.direction.toFixed(0)}° (counter-clockwise)`);
    }
    return make("figure", { class: "kernel" }, field, make("figcaption", {}, words.join("; ")));
  }

  // Zeros around a kernel, so that pixels of kernels of several sizes are equally large.
  function padded(values, size) {
    const margin = (size - values.length) / 2;
    const rows = Array.from({ length: size }, () => Array(size).fill(0));
    values.forEach((row, i) => row.forEach((value, j) => { rows[i + margin][j + margin] = value; }));
    return rows;
  }

  function kernelPanel(view, truth) {
    const known = [view.kernel, truth, view.spread].filter(Boolean);
    const size = Math.max(...known.map((numbers) => numbers.levels.length));
    const top = Math.max(...known.map(valuesOf).flat(2), 1e-12);
    const legend = make("canvas", { class: "legend", role: "img", "aria-label": `colours from 0 to ${show(top)}` });
    paint(legend, [Array.from({ length: 64 }, (_, i) => i / 63)], 1);
    return make("div", { class: "cards" },
      kernelFigure(view.kernel, size, top, "kernel", true),
      truth ? kernelFigure(truth, size, top, "true kernel", true) : null,
      view.spread ? kernelFigure(view.spread, size, top, "spread, standard deviation of each entry", false) : null,
      make("figure", {}, legend, make("figcaption", {}, `one colour scale, 0 to ${show(top)}; the ellipse is that of the covariance, one σ`)));
  }

  // ---- curves ----

  function curvesFigure(curves) {
    const unit = curves.unit || "step";
    const numbers = (name) => curves.values[name].filter(isNumber);
    const isLog = !Object.keys(curves.values).some((name) => numbers(name).some((value) => value < 0));
    const isDrawn = (value) => isNumber(value) && (!isLog || value > 0);
    const names = Object.keys(curves.values).filter((name) => numbers(name).some(isDrawn));
    const drawn = names.flatMap(numbers).filter(isDrawn);
    if (!names.some((name) => numbers(name).filter(isDrawn).length > 2)) {
      const words = names.map((name) => `${label(name)} ${show(numbers(name).at(-1))}`);
      return make("p", {}, `${curves.steps} ${unit}${curves.steps === 1 ? "" : "s"}; last: ${words.join(", ")}.`);
    }
    const [scaled, back] = isLog ? [Math.log10, (value) => 10 ** value] : [(value) => value, (value) => value];
    const width = Math.max(300, Math.min(640, window.innerWidth - 36));
    const across = Math.floor((width - 62) / 150);
    const [height, left, right, top, bottom] = [260, 62, 8, 24 + 18 * Math.ceil(names.length / across), 30];
    const [low, high] = [scaled(Math.min(...drawn)), scaled(Math.max(...drawn))];
    const span = Math.max(high - low, 1e-3);
    const y = (value) => top + (1 - (scaled(value) - low) / span) * (height - top - bottom);
    const x = (i, count) => left + (count > 1 ? i / (count - 1) : 0) * (width - left - right);
    const text = (words, place, anchor) => draw("text", { ...place, "text-anchor": anchor }, words);
    const words = `Curves over ${curves.steps} ${unit}s on a ${isLog ? "logarithmic" : "linear"} scale: ${names.map(label).join(", ")}`;
    const svg = draw("svg", { class: "curves", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
    const axis = `M${left} ${top}V${height - bottom}H${width - right}`;
    svg.append(draw("path", { class: "axis", d: axis }));
    for (let i = 0; i <= 3; i++) {
      const value = back(low + (span * i) / 3);
      svg.append(text(Number(value.toPrecision(2)).toString(), { x: left - 6, y: y(value) + 4 }, "end"));
    }
    if (curves.steps > 1) svg.append(text("1", { x: left, y: height - 10 }, "middle"));
    svg.append(text(`${unit} ${curves.steps}`, { x: width - right, y: height - 10 }, "end"));
    names.forEach((name, n) => {
      const values = curves.values[name];
      const style = `stroke: var(--curve-${n % 5})` + (n >= 5 ? "; stroke-dasharray: 5 3" : "");
      let path = "";
      values.forEach((value, i) => {
        if (isDrawn(value)) path += `${path ? "L" : "M"}${x(i, values.length).toFixed(1)} ${y(value).toFixed(1)}`;
      });
      const at = { x: left + 22 + (n % across) * 150, y: 16 + 18 * Math.floor(n / across) };
      svg.append(draw("path", { d: `M${at.x - 18} ${at.y - 4}h14`, style }), text(label(name), at, "start"), draw("path", { d: path, style }));
    });
    return svg;
  }

  // A figure for each curve, on a scale of its own: those of a training have different units.
  function curvesApart(curves) {
    const alone = (name) => ({ ...curves, values: { [name]: curves.values[name] } });
    return make("div", { class: "cards" }, ...Object.keys(curves.values).map((name) => make("figure", { class: "apart" }, curvesFigure(alone(name)))));
  }

  // ---- one image ----

  const isCompared = (caption) => !/kernel|residual/.test(caption);

  function comparison(entry) {
    const pictures = entry.pictures.filter(([caption]) => isCompared(caption));
    if (!pictures.length) return null;
    const images = ["first", "second"].map((slot) => make("img", { slot, decoding: "async" }));
    const arrows = { d: "M-8 -7l-8 7 8 7M8 -7l8 7-8 7" };
    const handle = draw("svg", { slot: "handle", class: "handle", viewBox: "-24 -24 48 48", "aria-hidden": "true" },
      draw("circle", { r: 22 }), draw("path", arrows));
    const sides = [make("span"), make("span")];
    const slider = document.createElement("img-comparison-slider");
    slider.append(...images, handle);
    const tell = () => {
      slider.setAttribute("aria-valuenow", Math.round(slider.value));
      slider.setAttribute("aria-valuetext", `${Math.round(slider.value)} % ${sides[0].textContent}`);
    };
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": "comparison" })) slider.setAttribute(name, value);
    slider.addEventListener("slide", tell);
    const stage = make("div", { class: "stage", tabindex: "0", role: "region", "aria-label": "pictures to compare" }, slider);

    const zoom = make("select", { id: "zoom" }, ...["fit", 1, 2, 4, 8].map((x) => make("option", { value: x }, x === "fit" ? "fit" : `${x} ×`)));
    function resize() {
      const natural = images[1].naturalWidth || images[0].naturalWidth;
      if (!natural) return;
      const isFit = zoom.value === "fit";
      const style = getComputedStyle(stage);
      const room = stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const shape = natural / (images[1].naturalHeight || images[0].naturalHeight);
      const width = isFit ? Math.min(room, 0.62 * window.innerHeight * shape) : natural * Number(zoom.value);
      slider.style.width = `${width}px`;
      stage.classList.toggle("pixels", width > natural);
    }
    zoom.onchange = resize;
    images.forEach((image) => image.addEventListener("load", resize));
    new ResizeObserver(() => { if (zoom.value === "fit") resize(); }).observe(stage);

    const choices = [0, 1].map((side) => {
      const select = make("select", {}, ...pictures.map(([caption], i) => make("option", { value: i }, caption)));
      const wanted = [/^LR/, /^result/][side];
      select.value = Math.max(pictures.findIndex(([caption]) => wanted.test(caption)), 0);
      select.onchange = () => {
        const [caption, link] = pictures[select.value];
        images[side].alt = `${caption} of ${entry.name}`;
        images[side].src = link;
        sides[side].textContent = caption;
        tell();
      };
      select.onchange();
      return make("label", {}, side ? "right" : "left", select);
    });
    return make("section", {},
      make("div", { class: "bar" }, ...choices, make("label", {}, "zoom", zoom)),
      stage,
      make("figcaption", { class: "sides" }, sides[0], make("span", { class: "hint" }, "drag, or arrow keys"), sides[1]));
  }

  function shares(families) {
    const grid = make("div", { class: "share" });
    for (const [name, share] of Object.entries(families).sort((a, b) => b[1] - a[1])) {
      const track = make("div", { class: "track", "aria-hidden": "true" }, make("span", { style: `width: ${100 * share}%` }));
      grid.append(make("span", {}, name), track, make("span", {}, `${(100 * share).toFixed(0)} %`));
    }
    return grid;
  }

  function kernelSection(entry, place, isCurrent) {
    const values = entry.values;
    const belief = [];
    if (isNumber(values.width_px)) {
      belief.push(`width ${show(values.width_px)} px${values.width_px_80 ? ` (80 %: ${show(values.width_px_80)})` : ""}`);
      belief.push(`direction ${show(values.direction_deg)}°${values.direction_deg_80 ? ` (80 %: ${show(values.direction_deg_80)})` : ""}`);
    }
    const panel = make("div", {});
    const pictures = entry.pictures.filter(([caption]) => /kernel/.test(caption));
    const plain = () => panel.append(make("div", { class: "cards" }, ...pictures.map(([caption, link]) => picture(entry, caption, link))));
    const curves = make("div", {});
    place.append(make("section", {}, make("h3", {}, "Kernel"), panel,
      belief.length ? make("p", {}, `Posterior: ${belief.join(", ")}.`) : null,
      isNumber(values.confidence) ? shares({ confidence: values.confidence }) : null,
      values.families ? make("div", {}, make("p", { class: "quiet" }, "Probability of each family"), shares(values.families)) : null));
    if (!entry.view) return plain();
    const script = make("script", { src: entry.view });
    script.onload = () => {
      script.remove();
      if (!isCurrent()) return;
      const view = window.blindsrView;
      panel.append(kernelPanel(view, entry.truth));
      const sheets = pictures.filter(([caption]) => /parts/.test(caption));
      panel.append(...sheets.map(([caption, link]) => picture(entry, caption, link)));
      curves.append(make("h3", {}, "Losses by step"), curvesFigure(view.curves));
    };
    script.onerror = plain;
    document.head.append(script);
    return curves;
  }

  const picture = (entry, caption, link) => make("figure", { class: "picture" },
    make("img", { class: "pixels", src: link, loading: "lazy", decoding: "async", alt: `${caption} of ${entry.name}` }),
    make("figcaption", {}, caption));

  function receipt(entry) {
    const found = entry.pictures.filter(([caption]) => /residual/.test(caption));
    const { residual_rms_255: rms, noise_std: noise } = entry.values;
    if (!found.length && !isNumber(rms)) return null;
    const words = isNumber(rms) ? `The result, blurred by the kernel and sampled again, differs from the input by ${show(rms)} of 255 (RMS).` : "";
    const told = isNumber(noise) ? ` Noise and compression of the input were taken for ${show(255 * noise)} of 255.` : "";
    return make("section", {}, make("h3", {}, "Receipt"), make("p", {}, words + told),
      ...found.map(([, link]) => picture(entry, "residual: gray is none, black and white are 16 of 255", link)));
  }

  function detail(entry, isCurrent) {
    const place = make("div", {});
    const status = entry.values.status;
    const kind = entry.bad ? "bad" : status === "recovered" ? "warn" : "good";
    place.append(make("h2", { tabindex: "-1" }, entry.name),
      make("p", {}, make("strong", { class: kind }, status || (entry.bad ? "failed" : "")), entry.text ? `${status ? ": " : ""}${entry.text}` : ""));
    const images = comparison(entry);
    if (images) place.append(images);
    let curves = null;
    if (entry.view || entry.pictures.some(([caption]) => /kernel/.test(caption))) curves = kernelSection(entry, place, isCurrent);
    const paper = receipt(entry);
    if (paper) place.append(paper);
    if (curves) place.append(curves);
    const list = make("dl");
    for (const [key, value] of Object.entries(entry.values).filter(([key]) => key !== "families")) list.append(make("dt", {}, label(key)), make("dd", {}, show(value)));
    const more = { "kernel as an array": ["kernels", ".npy"], figure: ["figures", ".png"], record: ["records", ".json"] };
    const others = entry.view ? Object.entries(more).map(([words, place]) => [words, beside(entry, ...place)]) : [];
    const files = [...entry.pictures, ...others];
    place.append(make("h3", {}, "Values"), list);
    if (files.length) place.append(make("h3", {}, "Files"), make("ul", {}, ...files.map(([caption, link]) => make("li", {}, make("a", { href: link }, caption)))));
    return place;
  }

  // ---- all images ----

  function columnsOf(rows) {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.values)))].filter((name) => name !== "name");
    const differs = (name) => new Set(rows.map((row) => show(row.values[name]))).size > 1;
    const kept = names.filter((name) => rows.every((row) => isScalar(row.values[name] ?? null)));
    const first = ["status", "psnr_y", "confidence", "width_px", "residual_rms_255"].filter((name) => kept.includes(name));
    return [...first, ...kept.filter((name) => !first.includes(name) && (rows.length === 1 ? isNumber(rows[0].values[name]) : differs(name)))];
  }

  function images(entries) {
    const rows = entries.map((entry, number) => {
      const values = { name: entry.name, ...entry.values };
      const result = entry.pictures.find(([caption]) => /^result/.test(caption));
      const source = result && (entry.view ? beside(entry, "views", ".jpg") : result[1]);
      const thumb = source && make("img", { class: "thumb", src: source, loading: "lazy", decoding: "async", width: 48, height: 48, alt: `result of ${entry.name}` });
      const link = make("a", { href: `#${number}` }, entry.name);
      const words = values.status && make("span", { class: entry.bad ? "bad" : values.status === "recovered" ? "warn" : "good" }, values.status);
      return { values, bad: entry.bad, number, entry, cells: { picture: thumb || "–", name: link, status: words } };
    });
    const key = worstFirst(rows);
    const order = key ? `failures first, then the worst by ${label(key)}` : "failures first";
    const table = sortableTable(rows, ["picture", "name", ...columnsOf(rows)], `${rows.length} image${rows.length === 1 ? "" : "s"}`, order);
    const failed = rows.filter((row) => row.bad).length;
    const counts = new Map();
    rows.forEach((row) => counts.set(row.values.status, (counts.get(row.values.status) || 0) + 1));
    document.getElementById("counts").textContent = [...counts].map(([status, count]) => `${count} ${status || "images"}`).join(", ");

    const search = make("input", { type: "search", placeholder: "part of a name", "aria-label": "show names that hold" });
    const only = make("button", { type: "button", "aria-pressed": "false" }, `failures only (${failed})`);
    const isShown = (row) => !row.element.hidden;
    const filter = () => {
      const words = search.value.toLowerCase();
      const isPressed = only.getAttribute("aria-pressed") === "true";
      for (const row of rows) row.element.hidden = !row.entry.name.toLowerCase().includes(words) || (isPressed && !row.bad);
    };
    search.oninput = filter;
    only.onclick = () => {
      only.setAttribute("aria-pressed", String(only.getAttribute("aria-pressed") !== "true"));
      filter();
    };
    const place = make("article", { "aria-live": "off" });
    let current = null;
    const previous = make("button", { type: "button" }, "← previous");
    const next = make("button", { type: "button" }, "next →");
    const step = (by) => () => {
      const shown = rows.filter(isShown);
      const at = shown.findIndex((row) => row.number === current) + by;
      if (shown[at]) location.hash = `#${shown[at].number}`;
    };
    previous.onclick = step(-1);
    next.onclick = step(1);
    function choose() {
      const wanted = Number(location.hash.slice(1));
      const isNamed = location.hash.length > 1 && Number.isInteger(wanted) && entries[wanted];
      const number = isNamed ? wanted : rows[0].number;
      if (number === current) return;
      current = number;
      for (const row of rows) {
        row.element.classList.toggle("chosen", row.number === number);
        row.cells.name.setAttribute("aria-current", String(row.number === number));
      }
      place.replaceChildren(detail(entries[number], () => current === number));
      if (isNamed) place.querySelector("h2").focus({ preventScroll: window.innerWidth >= 1120 });
    }
    window.addEventListener("hashchange", choose);
    const bars = rows.length > 1 ? [make("div", { class: "bar" }, search, failed ? only : null)] : [];
    const steps = rows.length > 1 ? make("nav", { class: "bar", "aria-label": "images" }, previous, next) : null;
    page.append(make("div", { class: "two" }, make("div", { class: "list" }, ...bars, table), make("div", {}, steps, place)));
    choose();
  }

  if (data.entries.length) images(data.entries);
  if (Object.keys(data.curves).length) page.append(make("section", {}, make("h2", {}, "Curves"), (data.curves.unit ? curvesApart : curvesFigure)(data.curves)));
  for (const [caption, values] of Object.entries(data.tables)) {
    const rows = values.map((row) => ({ values: row, bad: ["failed", "diverged"].includes(row.status) }));
    worstFirst(rows);
    const columns = [...new Set(values.flatMap((row) => Object.keys(row)))].filter((name) =>
      !name.endsWith("_se") && values.some((row) => row[name] !== null && row[name] !== undefined));
    page.append(make("section", { class: "table" }, sortableTable(rows, columns, caption)));
  }
})();
