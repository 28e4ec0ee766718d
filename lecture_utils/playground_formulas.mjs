// Explorers of the formulas: q(z|x) = N(x^2 + 2, x^4) of notebook 04, the KL of notebook 05. Each is
// a few plain functions, two canvases, and sliders. tests/browser checks the functions against torch.
import { gaussians, seeded, sum } from "./playground_model.mjs";
import {
  COLORS,
  axes,
  dot,
  keepSharp,
  label,
  line,
  sheet,
  shell,
  signed,
} from "./playground_pictures.mjs";

const range = (from, to, n) =>
  Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1));
const mean = values => sum(values) / values.length;

/** A range input with its description and its value. */
const slider = (name, text, min, max, step, value) =>
  `<label>${text} <input type="range" class="${name}" min="${min}" max="${max}" step="${step}"
    value="${value}"><output class="${name}-value"></output></label>`;

const page = (sliders, pictures) =>
  `<div class="controls">${sliders}</div><div class="row">` +
  pictures
    .map(
      ([name, alt, share]) => `<div class="panel wide" style="flex-grow: ${share}">
    <canvas class="${name}" style="height: 300px" role="img" aria-label="${alt}"></canvas></div>`,
    )
    .join("") +
  `</div><p class="words" aria-live="polite"></p>`;

/** Build an explorer in `el`: `draw` is called with its parts whenever a slider has moved. */
function explorer(el, html, draw) {
  const part = shell(el, html);
  let frame = 0,
    timer = 0;
  const redraw = () => {
    frame = 0;
    const words = draw(part.$);
    clearTimeout(timer);
    timer = setTimeout(() => {
      part.$(".words").textContent = words;
    }, 250);
  };
  const changed = () => {
    frame ||= requestAnimationFrame(redraw);
  };
  part.root.querySelectorAll("input").forEach(input => part.on(input, "input", changed));
  keepSharp(part, part.root.querySelectorAll("canvas"), changed);
  part.whenLeft(() => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  });
  return { leave: part.leave, renew() {} };
}

const valueOf = ($, name, digits) => {
  const value = Number($(`.${name}`).value);
  $(`.${name}-value`).textContent = signed(value, digits);
  return value;
};

// --- Notebook 04: two estimates of d/dx E[z^2], for z ~ N(x^2 + 2, x^4) ---

const SAMPLES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
  PATHS = 12;
const ESTIMATES = [-60, 90],
  X_LIMIT = 1.2;

/** z = x^2 + 2 + x^2 epsilon, and for each epsilon one estimate of the gradient by each method. */
export function toyGradients(x, epsilon) {
  const z = epsilon.map(e => x * x + 2 + x * x * e);
  const trick = z.map((v, l) => 2 * v * (2 * x + 2 * x * epsilon[l])); // f'(z) dz/dx
  const score = z.map((v, l) => (v * v * 2 * (epsilon[l] ** 2 + epsilon[l] - 1)) / x); // f(z) score
  return { z, trick, score: x ? score : null };
}

const standardError = values =>
  values.length < 2
    ? null // unbiased variance, as torch's std
    : Math.sqrt(sum(values, v => (v - mean(values)) ** 2) / (values.length - 1) / values.length);

export function reparameterization(el) {
  const noise = gaussians(SAMPLES.at(-1), seeded(4)); // the same for every x
  const html = page(
    slider("x", "x", -X_LIMIT, X_LIMIT, 0.05, 1) +
      slider("samples", "samples L", 0, SAMPLES.length - 1, 1, 3),
    [
      ["left", "density q(z|x) at x, with samples on their paths z(x)", 3],
      ["right", "estimates of the gradient with the trick and with the score function", 2],
    ],
  );
  return explorer(el, html, $ => {
    const x = valueOf($, "x", 2),
      n = SAMPLES[Number($(".samples").value)],
      epsilon = noise.slice(0, n);
    $(".samples-value").textContent = $(".samples").ariaValueText = n;
    const { z, trick, score } = toyGradients(x, epsilon),
      exact = 8 * x ** 3 + 8 * x;
    drawPaths($(".left"), x, epsilon.slice(0, PATHS), z);
    drawEstimates($(".right"), exact, [
      ["trick", trick, COLORS.latent],
      ["score function", score, COLORS.prior],
    ]);
    return (
      `At x = ${signed(x, 2)}, from ${n} sample${n > 1 ? "s" : ""}: ${signed(mean(trick), 1)} with the trick, ` +
      `${score ? signed(mean(score), 1) : "undefined"} with the score function, ` +
      `${signed(exact, 1)} exactly.`
    );
  });
}

function drawPaths(canvas, x, epsilon, z) {
  const { context, width, height } = sheet(canvas);
  const { X, Y } = axes(context, [36, 28, width - 10, height - 34], {
    x: [-X_LIMIT - 0.05, X_LIMIT + 0.35],
    y: [-1, 8],
    xTicks: [-1, 0, 1],
    yTicks: [0, 2, 4, 6, 8],
    title: "z = x² + 2 + x² ε for fixed ε",
  });
  label(context, "x", width / 2, height - 9, "#333", { align: "center" });
  label(context, "z", 12, height / 2, "#333", { align: "center" });
  const curve = range(-X_LIMIT, X_LIMIT, 61);
  for (const e of epsilon)
    line(
      context,
      curve.map(v => [X(v), Y(v * v * (1 + e) + 2)]),
      COLORS.prior,
      { width: 1 },
    );
  const outline = range(-3.5, 3.5, 81).map(h => [
    X(x + 0.3 * Math.exp((-h * h) / 2)),
    Y(x * x + 2 + x * x * h),
  ]);
  line(context, outline, COLORS.latent, { width: 1.5 });
  context.fillStyle = "rgb(0 114 227 / 0.25)";
  context.fill();
  epsilon.forEach((_, l) => dot(context, X(x), Y(z[l]), 4, COLORS.latent));
}

function drawEstimates(canvas, exact, estimates) {
  const { context, width, height } = sheet(canvas),
    [low, high] = ESTIMATES;
  const { X, Y } = axes(context, [40, 28, width - 10, height - 34], {
    x: [-0.5, 1.5],
    y: ESTIMATES,
    yTicks: [-60, -30, 0, 30, 60, 90],
    title: "dE[z²]/dx, mean of L samples",
  });
  line(
    context,
    [
      [X(-0.5), Y(exact)],
      [X(1.5), Y(exact)],
    ],
    COLORS.data,
    { width: 1.5 },
  );
  label(context, `exact ${signed(exact, 1)}`, X(0.5), Y(exact) - 9, COLORS.data, {
    align: "center",
  });
  const clipped = v => Math.max(low, Math.min(high, v));
  estimates.forEach(([name, values, color], column) => {
    label(context, name, X(column), height - 20, color, { align: "center" });
    if (!values)
      return label(context, "undefined", X(column), Y(low) - 10, color, { align: "center" });
    const value = mean(values),
      error = standardError(values);
    const text = signed(value, 1) + (error === null ? "" : ` ± ${error.toFixed(1)}`);
    label(context, text, X(column), Y(low) - 10, color, { align: "center", size: 13 });
    if (error)
      line(
        context,
        [
          [X(column), Y(clipped(value - error))],
          [X(column), Y(clipped(value + error))],
        ],
        color,
        { width: 5 },
      );
    if (value === clipped(value)) dot(context, X(column), Y(value), 5, color);
    else
      label(context, value > high ? "▲" : "▼", X(column), Y(clipped(value)), color, {
        align: "center",
        size: 16,
      });
  });
}

// --- Notebook 05: KL( N(mu, sigma^2) || N(0, 1) ) ---

const Z_LIMIT = 6;

/** The two terms of the KL in nats: what the mean costs, and what the variance costs. */
export const klTerms = (mu, sigma) => ({
  mean: mu ** 2 / 2,
  spread: (sigma ** 2 - 1 - Math.log(sigma ** 2)) / 2,
});

const density = (z, mu, sigma) =>
  Math.exp(-(((z - mu) / sigma) ** 2) / 2) / (sigma * Math.sqrt(2 * Math.PI));

/** q(z) log(q(z)/p(z)): the KL is the area below it. */
export const klIntegrand = (z, mu, sigma) =>
  density(z, mu, sigma) * (-Math.log(sigma) - ((z - mu) / sigma) ** 2 / 2 + (z * z) / 2);

export function kl(el) {
  const html = page(
    slider("mu", "μ", -2.5, 2.5, 0.01, 1) + slider("sigma", "σ", 0.1, 2.5, 0.01, 0.5),
    [
      ["left", "densities q and p above the integrand q log(q/p), whose area is the KL", 2],
      ["right", "the two terms of the KL and their sum in nats", 1],
    ],
  );
  return explorer(el, html, $ => {
    const mu = valueOf($, "mu", 2),
      sigma = valueOf($, "sigma", 2),
      { mean: first, spread } = klTerms(mu, sigma);
    drawAreas($(".left"), mu, sigma);
    drawBars($(".right"), [
      ["mean", first, COLORS.prior],
      ["spread", spread, COLORS.prior],
      ["KL", first + spread, COLORS.kl],
    ]);
    return (
      `q has mean ${signed(mu, 2)} and standard deviation ${sigma.toFixed(2)}. ` +
      `KL: ${first.toFixed(2)} for the mean + ${spread.toFixed(2)} for the spread = ` +
      `${(first + spread).toFixed(2)} nats.`
    );
  });
}

function drawAreas(canvas, mu, sigma) {
  const { context, width, height } = sheet(canvas),
    z = range(-Z_LIMIT, Z_LIMIT, 801), // fine enough for the narrowest q
    middle = height * 0.42,
    peak = density(mu, mu, sigma) < 1.7 ? 1.7 : 4.2;
  const above = axes(context, [40, 26, width - 10, middle], {
    x: [-Z_LIMIT, Z_LIMIT],
    y: [0, peak],
    yTicks: peak < 2 ? [0, 1] : [0, 2, 4],
    title: "densities",
  });
  line(
    context,
    z.map(v => [above.X(v), above.Y(density(v, 0, 1))]),
    COLORS.prior,
    { dash: [6, 4] },
  );
  line(
    context,
    z.map(v => [above.X(v), above.Y(density(v, mu, sigma))]),
    COLORS.latent,
  );
  label(context, "q = N(μ, σ²)", 48, 38, COLORS.latent);
  label(context, "p = N(0, 1), dashed", 48, 54, COLORS.prior);
  const values = z.map(v => klIntegrand(v, mu, sigma)),
    top = [1.2, 3, 9, 27].find(limit => Math.max(...values) < limit);
  const { X, Y } = axes(context, [40, middle + 26, width - 10, height - 32], {
    x: [-Z_LIMIT, Z_LIMIT],
    y: [-top / 3, top],
    xTicks: [-4, -2, 0, 2, 4],
    yTicks: [0, top],
    title: "q log(q/p): its area is the KL",
  });
  label(context, "z", (40 + width) / 2, height - 9, "#333", { align: "center" });
  fillTo(
    context,
    z,
    values.map(v => Math.max(v, 0)),
    X,
    Y,
    "rgb(34 131 78 / 0.4)",
  );
  fillTo(
    context,
    z,
    values.map(v => Math.min(v, 0)),
    X,
    Y,
    hatched(context),
  );
  line(
    context,
    [
      [X(-Z_LIMIT), Y(0)],
      [X(Z_LIMIT), Y(0)],
    ],
    COLORS.data,
    { width: 1 },
  );
  line(
    context,
    z.map((v, i) => [X(v), Y(values[i])]),
    COLORS.kl,
  );
}

function fillTo(context, z, values, X, Y, style) {
  context.beginPath();
  z.forEach((v, i) => context.lineTo(X(v), Y(values[i])));
  context.lineTo(X(z.at(-1)), Y(0));
  context.lineTo(X(z[0]), Y(0));
  context.fillStyle = style;
  context.fill();
}

/** Orange stripes: where the integrand is negative. */
function hatched(context) {
  const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  const lines = tile.getContext("2d");
  for (const shift of [-8, 0, 8])
    line(
      lines,
      [
        [shift, 8],
        [shift + 8, 0],
      ],
      COLORS.reconstruction,
      { width: 1.5 },
    );
  return context.createPattern(tile, "repeat");
}

function drawBars(canvas, bars) {
  const { context, width, height } = sheet(canvas);
  const { X, Y } = axes(context, [34, 28, width - 6, height - 34], {
    x: [-0.6, 2.6],
    y: [0, 6.5],
    yTicks: [0, 2, 4, 6],
    title: "KL in nats",
  });
  bars.forEach(([name, value, color], column) => {
    context.fillStyle = color;
    context.fillRect(X(column - 0.35), Y(value), X(0.7) - X(0), Y(0) - Y(value));
    label(context, value.toFixed(2), X(column), Y(value) - 9, "#333", { align: "center" });
    label(context, name, X(column), height - 20, "#333", { align: "center" });
  });
}
