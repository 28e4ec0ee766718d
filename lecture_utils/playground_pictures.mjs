// What the pictures share: a shell with a style of its own, canvases as sharp as the screen,
// axes, digits. Pictures stand on white paper in light and dark pages, as the figures do.
import { SIDE } from "./playground_model.mjs";

export const COLORS = {
  // as in lecture_utils/plotting.py, with the same meanings
  data: "#333333",
  latent: "#0072E3",
  reconstruction: "#BD4600",
  kl: "#22834E",
  bound: "#93377A",
  prior: "#767676",
};
export const DIGIT_COLORS = [
  "#332288",
  "#BD4600",
  "#22834E",
  "#93377A",
  "#0072E3",
  "#8A7500",
  "#882255",
  "#4D4D4D",
  "#507D00",
  "#C0392B",
];
const FONT = "system-ui, sans-serif";

const STYLE = `
:host { display: block; }
.vp { color: var(--jp-ui-font-color1, var(--pst-color-text-base, CanvasText)); max-width: 780px;
  font: 14px/1.45 ${FONT}; text-align: left; padding: 2px; }
.row { display: flex; flex-wrap: wrap; align-items: start; gap: 10px; }
.panel { flex: 1 1 150px; min-width: 0; max-width: 250px; }
.wide { flex: 3 1 300px; max-width: none; }
.models { display: flex; flex-wrap: wrap; gap: 10px; align-items: end; }
.models > div { flex: 1 1 100px; max-width: 170px; }
.models .small-plane { margin-bottom: 6px; }
.models .note { min-height: 2.9em; }
.caption { min-height: 1.45em; margin-bottom: 3px; font-size: 13px; }
.note { font-size: 13px; margin: 3px 0 0; }
canvas { display: block; box-sizing: border-box; width: 100%; background: #fff;
  border: 1px solid #767676; }
img { max-width: 100%; height: auto; background: #fff; }
.square { aspect-ratio: 1; }
.pixels { image-rendering: pixelated; }
.drag { touch-action: none; cursor: crosshair; user-select: none; -webkit-user-select: none; }
:focus-visible { outline: 3px solid #0072E3; outline-offset: -3px; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 10px 0; }
.controls label { display: inline-flex; gap: 6px; align-items: center; }
button, select { font: inherit; min-height: 32px; padding: 2px 10px; color: inherit;
  background: var(--jp-layout-color1, var(--pst-color-surface, Canvas));
  border: 1px solid #767676; border-radius: 4px; max-width: 100%; }
button:disabled { opacity: 0.5; }
input[type=checkbox] { width: 18px; height: 18px; margin: 0; }
input[type=range] { width: min(300px, 60vw); height: 24px; accent-color: #0072E3; margin: 0; }
output { min-width: 3.5em; font-variant-numeric: tabular-nums; }
.paper { background: #fff; color: #333; border: 1px solid #767676; padding: 6px 10px;
  margin-top: 10px; }
.nats { font-variant-numeric: tabular-nums; }
.nats span { white-space: nowrap; }
.nats b { font-size: 17px; }
.error b { color: ${COLORS.reconstruction}; }
.kl b { color: ${COLORS.kl}; }
.loss b { color: ${COLORS.bound}; }
.bar { position: relative; display: flex; height: 12px; margin-top: 4px; background: #eee;
  overflow: hidden; }
.bar div { height: 100%; flex: none; }
.bar .of-error { background: ${COLORS.reconstruction}; }
.bar .of-kl { background: repeating-linear-gradient(45deg, ${COLORS.kl} 0 4px, #7fbf9a 4px 6px); }
.bar .mean { position: absolute; top: 0; width: 3px; background: #000; outline: 1px solid #fff; }
.words { margin: 8px 0; min-height: 2.9em; }
details { border-top: 1px solid #767676; padding: 6px 0; }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
[hidden] { display: none !important; }
`;

/**
 * Put `html` into `el`, in a shadow root: neither JupyterLab's style nor a page's reaches inside,
 * nor ours outside. `leave` takes everything away, listeners included.
 */
export function shell(el, html) {
  const host = document.createElement("div"),
    leaving = new AbortController();
  const root = host.attachShadow({ mode: "open" });
  host.className = "vae-playground-shell";
  root.innerHTML = `<style>${STYLE}</style><div class="vp">${html}</div>`;
  // Or JupyterLab takes keys for commands of its own: in command mode, x deletes the cell.
  for (const focusable of [
    host,
    ...root.querySelectorAll("[tabindex], button, select, input, summary"),
  ])
    focusable.dataset.lmSuppressShortcuts = "true";
  el.append(host);
  return {
    host,
    root,
    $: selector => root.querySelector(selector),
    ...listening(leaving.signal),
    leave() {
      leaving.abort();
      host.remove();
    },
  };
}

/** `on` adds listeners, `whenLeft` an action: both until `signal` ends their time. */
export const listening = signal => ({
  on: (target, types, listener) =>
    types.split(" ").forEach(type => target.addEventListener(type, listener, { signal })),
  whenLeft: action => signal.addEventListener("abort", action),
});

/** Give canvases as many pixels as the screen has, and call `redraw` when their size changes. */
export function keepSharp({ whenLeft }, canvases, redraw) {
  const observer = new ResizeObserver(() => {
    for (const canvas of canvases) {
      const { width, height } = canvas.getBoundingClientRect(),
        ratio = devicePixelRatio;
      if (!width) continue; // hidden
      const wanted = [width, height].map(v => Math.round(v * ratio));
      if (canvas.width === wanted[0] && canvas.height === wanted[1]) continue;
      [canvas.width, canvas.height] = wanted;
      canvas.ratio = ratio;
    }
    redraw();
  });
  canvases.forEach(canvas => observer.observe(canvas));
  whenLeft(() => observer.disconnect());
}

/** An empty sheet: the canvas's context in CSS pixels, and its size in them. */
export function sheet(canvas) {
  const context = canvas.getContext("2d"),
    ratio = canvas.ratio ?? 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const width = canvas.width / ratio,
    height = canvas.height / ratio;
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Paint digits (784 pixels in [0, 1] each) side by side, black ink on white paper. */
export function paint(canvas, ...digits) {
  const context = canvas.getContext("2d");
  digits.forEach((pixels, number) => {
    const image = context.createImageData(SIDE, SIDE);
    for (let d = 0, at = 0; d < pixels.length; d++, at += 4) {
      const grey = 255 * (1 - pixels[d]);
      image.data[at] = image.data[at + 1] = image.data[at + 2] = grey;
      image.data[at + 3] = 255;
    }
    context.putImageData(image, SIDE * number, 0);
  });
}

export function line(context, points, color, { width = 2, dash = [] } = {}) {
  Object.assign(context, { strokeStyle: color, lineWidth: width });
  context.setLineDash(dash);
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
  context.setLineDash([]);
}

export function dot(context, x, y, radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** Text at (x, y); `align` is left, center or right, `size` in CSS pixels. */
export function label(
  context,
  text,
  x,
  y,
  color = "#333",
  { align = "left", size = 12, bold = false } = {},
) {
  Object.assign(context, { fillStyle: color, textAlign: align, textBaseline: "middle" });
  context.font = `${bold ? "bold " : ""}${size}px ${FONT}`;
  context.fillText(text, x, y);
}

/**
 * Draw axes into a box [left, top, right, bottom] of a sheet for data in x: [from, to] and
 * y: [from, to]. Returns the functions from data to the sheet.
 */
export function axes(
  context,
  [left, top, right, bottom],
  { x, y, xTicks = [], yTicks = [], title = "" },
) {
  const X = v => left + ((v - x[0]) / (x[1] - x[0])) * (right - left);
  const Y = v => bottom - ((v - y[0]) / (y[1] - y[0])) * (bottom - top);
  for (const tick of xTicks) {
    line(
      context,
      [
        [X(tick), top],
        [X(tick), bottom],
      ],
      "#e5e5e5",
      { width: 1 },
    );
    label(context, signed(tick), X(tick), bottom + 10, "#333", { align: "center", size: 11 });
  }
  for (const tick of yTicks) {
    line(
      context,
      [
        [left, Y(tick)],
        [right, Y(tick)],
      ],
      "#e5e5e5",
      { width: 1 },
    );
    label(context, signed(tick), left - 5, Y(tick), "#333", { align: "right", size: 11 });
  }
  line(
    context,
    [
      [left, top],
      [left, bottom],
      [right, bottom],
    ],
    "#333",
    { width: 1 },
  );
  if (title)
    label(context, title, (left + right) / 2, top - 10, "#333", { align: "center", size: 13 });
  return { X, Y };
}

/** A number as text, with a true minus sign. */
export const signed = (value, digits) =>
  (digits === undefined ? String(value) : value.toFixed(digits)).replace("-", "\u2212");

/** Call `move(x, y, isFirst)` with positions in [0, 1] of the canvas while a pointer holds it. */
export function dragging({ on }, canvas, move, ended = () => {}) {
  let held = null;
  const place = (event, isFirst) => {
    const box = canvas.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, isFirst);
  };
  on(canvas, "pointerdown", event => {
    if (event.button || held !== null) return; // one finger draws
    held = event.pointerId;
    canvas.setPointerCapture(held);
    place(event, true);
  });
  on(canvas, "pointermove", event => {
    if (event.pointerId !== held) return;
    const events = event.getCoalescedEvents?.() ?? []; // all positions since the last frame
    for (const each of events.length ? events : [event]) place(each, false);
  });
  on(canvas, "pointerup pointercancel lostpointercapture", event => {
    if (event.pointerId !== held) return;
    held = null;
    ended();
  });
}

/** The arrow key's step [right, down] of a key event without modifiers, or null. */
export function arrow(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  return event.ctrlKey || event.metaKey || event.altKey ? null : (steps[event.key] ?? null);
}
