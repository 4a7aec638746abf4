"use strict";
(async () => {
  const written = document.getElementById("figures").textContent;
  const { figures, notes } = JSON.parse(written);
  const column = 270, most = 3, shown = 12, reach = 5; // pixels and numbers
  const ranges = {}; // what is brushed, by the axis's label
  let selected = null; // the keys of the trials that are brushed; null for all

  const escaped = (text) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/\n/g, "<br>");
  const part = (name) => document.getElementById("live-" + name);
  const brushes = (name) => figures[name].data[0].type === "parcoords";

  // A still figure stays where its live one needs what this browser does not have.
  function possible(name) {
    if (!brushes(name)) return true;
    try {
      new Function("");
      return Boolean(document.createElement("canvas").getContext("webgl"));
    } catch {
      return false;
    }
  }

  async function library() {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream();
    const unpacked = stream.pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
  }

  function theme() {
    const style = getComputedStyle(document.body);
    const line = style.getPropertyValue("--line").trim();
    const page = style.getPropertyValue("--page").trim();
    return { ink: style.color, line, page };
  }

  // A figure anew, in the page's colours, with notes, and of the selected trials only.
  function traces(name, { ink }) {
    const inked = (key, value) => (key === "color" && value === "@ink" ? ink : value);
    const data = JSON.parse(JSON.stringify(figures[name].data), inked);
    for (const trace of data) {
      if (trace.type === "parcoords") {
        for (const axis of trace.dimensions)
          if (ranges[axis.label]) axis.constraintrange = ranges[axis.label];
      } else if (trace.customdata) {
        trace.hoverinfo = "text";
        trace.hovertext = trace.customdata.map((key) => escaped(notes[key] ?? ""));
        if (selected)
          trace.y = trace.y.map((y, k) =>
            selected.has(trace.customdata[k]) ? y : null,
          );
      } else {
        trace.hoverinfo = "skip";
      }
    }
    return data;
  }

  function layout(name, { ink, line, page }, width) {
    const one = figures[name];
    const whole = JSON.parse(JSON.stringify(one.layout));
    const axis = { gridcolor: "#80808038", linecolor: line, zeroline: false, automargin: true };
    const clear = "rgba(0,0,0,0)";
    const hoverlabel = { bgcolor: page, bordercolor: line, align: "left", namelength: -1 };
    const font = { color: ink, family: "system-ui, sans-serif", size: 12 };
    const legend = { orientation: "h", x: 0, y: 1, yanchor: "bottom" };
    const base = {
      font, legend, paper_bgcolor: clear, plot_bgcolor: clear,
      hoverlabel: { ...hoverlabel, font }, hovermode: "closest",
      // With a finger a drag scrolls the page.
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: axis, yaxis: axis,
    };
    const margin = { l: 60, r: 20, t: 40, b: 50 };
    const merged = { ...whole, template: { layout: base }, uirevision: "kept", width };
    merged.margin = { ...margin, ...whole.margin };
    merged.height = one.height;
    if (one.panels) arrange(merged, one, width);
    return merged;
  }

  // Panels in rows, as many beside each other as have room.
  function arrange(whole, one, width) {
    const count = one.panels;
    const columns = Math.max(1, Math.min(most, count, Math.floor(width / column)));
    const rows = Math.ceil(count / columns);
    const [top, bottom] = [70, 50];
    whole.margin = { ...whole.margin, t: top, b: bottom };
    whole.height = rows * one.height + top + bottom;
    const inner = rows * one.height;
    const [across, down] = [0.06, 60 / inner];
    const [wide, high] = [
      (1 - across * (columns - 1)) / columns, (1 - down * (rows - 1)) / rows,
    ];
    for (let k = 0; k < count; k++) {
      const end = k ? String(k + 1) : "";
      const [row, at] = [Math.floor(k / columns), k % columns];
      const left = at * (wide + across), upper = 1 - row * (high + down);
      const x = whole["xaxis" + end], y = whole["yaxis" + end];
      Object.assign(x, { domain: [left, left + wide], anchor: "y" + end });
      Object.assign(y, { domain: [Math.max(0, upper - high), upper], anchor: "x" + end });
      y.showticklabels = at === 0;
      if (at) delete y.title;
    }
    whole.legend = { ...whole.legend, y: 1 + 10 / inner };
  }

  async function render(name) {
    const place = part(name), figure = place.parentElement, colours = theme();
    figure.classList.add("answers");
    place.style.minWidth = figures[name].width ? figures[name].width + "px" : "";
    const config = {
      displaylogo: false, doubleClick: "reset", showTips: false,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],
    };
    const data = traces(name, colours);
    const width = place.clientWidth;
    await Plotly.react(place, data, layout(name, colours, width), config);
  }

  // What lies within the brushed ranges of all axes.
  function brushed(trace) {
    const within = (value, ranges) => ranges.some(([a, b]) => a <= value && value <= b);
    let kept = trace.customdata.map((_, k) => k);
    for (const { constraintrange: some, values } of trace.dimensions) {
      if (!some?.length) continue;
      const several = Array.isArray(some[0]) ? some : [some];
      kept = kept.filter((k) => within(values[k], several));
    }
    return kept.map((k) => trace.customdata[k]);
  }

  async function select(place, said) {
    const trace = place.data[0];
    for (const axis of trace.dimensions) ranges[axis.label] = axis.constraintrange;
    const kept = brushed(trace), all = trace.customdata.length;
    selected = kept.length < all ? new Set(kept) : null;
    const more = kept.length > shown ? ", …" : "";
    const list = kept.slice(0, shown).join(", ") + more;
    said.replaceChildren();
    if (selected) {
      const every = document.createElement("button");
      every.textContent = "Show all";
      every.addEventListener("click", () => release(place, said));
      said.append(
        `Selected: ${kept.length} of ${all}, by rank: ${list || "none"}. ` +
          "The other figures show these alone. ", every,
      );
    }
    for (const name of drawn) if (!brushes(name)) await render(name);
  }

  // A click on an axis selects, too: it does not let go.
  async function release(place, said) {
    for (const label of Object.keys(ranges)) delete ranges[label];
    await render(place.id.slice("live-".length));
    await select(place, said);
  }

  // Parallel coordinates have no notes of their own.
  function answer(place) {
    const said = document.createElement("span"), note = document.createElement("span");
    said.className = "said";
    said.setAttribute("role", "status");
    note.className = "note";
    place.parentElement.after(said);
    document.body.append(note);
    place.on("plotly_restyle", () => select(place, said));
    place.addEventListener("mouseleave", () => (note.textContent = ""));
    place.addEventListener("mousemove", ({ clientX, clientY }) => {
      note.textContent = notes[nearest(place, clientX, clientY)] ?? "";
      const room = innerWidth - note.offsetWidth - 8;
      note.style.left = Math.max(0, Math.min(clientX + 14, room)) + "px";
      note.style.top = clientY + 14 + "px";
    });
  }

  // The trial whose line passes a point of the parallel coordinates, or nearly.
  function nearest(place, x, y) {
    const { customdata: keys, dimensions } = place.data[0];
    const axes = [...place.querySelectorAll(".domain")]
      .map((axis) => axis.getBoundingClientRect())
      .sort((one, other) => one.x - other.x);
    const at = axes.findIndex((axis) => axis.x > x);
    if (at < 1) return null;
    const height = (axis, { values, range: [low, high] }, k) =>
      axis.bottom - ((values[k] - low) / (high - low)) * axis.height;
    const part = (x - axes[at - 1].x) / (axes[at].x - axes[at - 1].x);
    let [found, least] = [null, reach];
    for (let k = 0; k < keys.length; k++) {
      if (selected && !selected.has(keys[k])) continue;
      const left = height(axes[at - 1], dimensions[at - 1], k);
      const off = Math.abs(left + part * (height(axes[at], dimensions[at], k) - left) - y);
      if (off < least) [found, least] = [keys[k], off];
    }
    return found;
  }

  // Only where it is true is it said what the figures do.
  function explain() {
    const [brush] = drawn.filter(brushes), hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent =
      "Figures with a legend answer: hovering over a mark shows its trial, a click on " +
      "an entry of the legend takes its trials away, two leave them alone" +
      (brush ? ", and a drag along an axis of the parallel coordinates selects." : ".");
    part(drawn[0]).closest("p").before(hint);
  }

  const drawn = [];
  await library();
  for (const name of Object.keys(figures)) {
    if (!part(name) || !possible(name)) continue;
    try {
      await render(name);
      drawn.push(name);
      if (brushes(name)) answer(part(name));
    } catch (error) {
      part(name).parentElement.classList.remove("answers");
      console.error(error);
    }
  }
  if (drawn.length) explain();
  const again = async () => {
    for (const name of drawn) await render(name);
  };
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(again, 200);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  document.documentElement.dataset.drawn = drawn.join(" ");
})();
