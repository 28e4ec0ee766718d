// The mathematics of the playground, without a page: a model from packed weights, the two terms of
// its loss in nats, and pixels from pen strokes. tests/browser compares every number with torch.

export const SIDE = 28,
  PIXELS = SIDE * SIDE;
const ACTIVATIONS = {
  relu: v => (v > 0 ? v : 0),
  tanh: Math.tanh,
  silu: v => v / (1 + Math.exp(-v)),
};

// --- Weights ---

/** Bytes of a base64 text. A loop: Uint8Array.from with a function takes ten times as long. */
export function bytesOf(base64) {
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The 784 pixels, 0 or 1, of an image packed as bits, the first pixel in the highest bit. */
export function bitsOf(base64) {
  const bytes = bytesOf(base64);
  return Float64Array.from({ length: PIXELS }, (_, d) => (bytes[d >> 3] >> (7 - (d % 8))) & 1);
}

/** The number of 16 bits: a sign, 5 bits of exponent, 10 bits of mantissa (IEEE 754). */
function half(bits) {
  const sign = bits >> 15 ? -1 : 1,
    exponent = (bits >> 10) & 31,
    mantissa = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : 2 ** -24 * mantissa);
}

let halves; // of all 65,536 patterns, computed once
const allHalves = () =>
  (halves ??= Float32Array.from({ length: 65536 }, (_, bits) => half(bits)));

function numbersOf(bytes, dtype) {
  // A copy: what a host hands over may start at an address that is no multiple of 4.
  const copy = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice().buffer;
  if (dtype === "float32") return new Float32Array(copy);
  const table = allHalves(),
    patterns = new Uint16Array(copy),
    numbers = new Float32Array(patterns.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = table[patterns[i]];
  return numbers;
}

/**
 * Turn packed weights into a model. `shapes` lists [name, outputs, inputs] of each layer in order:
 * encoder0, encoder1, ..., to_mu, to_logvar (only a VAE has it), decoder0, ..., to_logits.
 * Packed is, for each, the weight matrix [outputs, inputs] row by row, then the biases.
 */
export function unpack(bytes, { shapes, activation, dtype }) {
  const numbers = numbersOf(bytes, dtype),
    layers = {};
  let at = 0;
  for (const [name, outputs, inputs] of shapes) {
    const weight = numbers.subarray(at, (at += outputs * inputs));
    layers[name] = { weight, bias: numbers.subarray(at, (at += outputs)) };
  }
  if (at !== numbers.length)
    throw new Error(`${numbers.length} weights, but the shapes need ${at}`);
  const chain = start =>
    shapes.filter(([name]) => name.startsWith(start)).map(([name]) => layers[name]);
  return {
    encoder: chain("encoder"),
    toMu: layers.to_mu,
    toLogvar: layers.to_logvar ?? null,
    decoder: chain("decoder"),
    toLogits: layers.to_logits,
    activation: ACTIVATIONS[activation],
    latentDim: layers.to_mu.bias.length,
  };
}

// --- The model ---

/** W x + b, summed in float64. */
function linear({ weight, bias }, x) {
  const y = Float64Array.from(bias);
  for (let i = 0, at = 0; i < y.length; i++) {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += weight[at++] * x[j];
    y[i] += sum;
  }
  return y;
}

const through = (layers, activation, x) =>
  layers.reduce((v, layer) => linear(layer, v).map(activation), x);

/** mu and logvar of q(z|x) of a VAE; AE and DAE have a code only, which stands in mu. */
export function encode(model, x) {
  const hidden = through(model.encoder, model.activation, x);
  return {
    mu: linear(model.toMu, hidden),
    logvar: model.toLogvar && linear(model.toLogvar, hidden),
  };
}

/** The logits of the 784 pixels. */
export const decode = (model, z) =>
  linear(model.toLogits, through(model.decoder, model.activation, z));

export const sigmoid = l => 1 / (1 + Math.exp(-l));
export const sum = (values, term = v => v) => values.reduce((total, v, i) => total + term(v, i), 0);

/** z = mu + sigma epsilon; where there is no sigma, z = mu. */
export const reparameterize = (mu, logvar, epsilon) =>
  logvar ? mu.map((m, j) => m + Math.exp(logvar[j] / 2) * epsilon[j]) : mu;

/** What each latent unit adds to KL(q(z|x) || N(0, I)), in nats. */
export const gaussianKls = (mu, logvar) =>
  mu.map((m, j) => (m * m + Math.exp(logvar[j]) - 1 - logvar[j]) / 2);
export const gaussianKl = (mu, logvar) => (logvar ? sum(gaussianKls(mu, logvar)) : 0);

/** -log p(x|z) in nats: softplus(l) - x l, summed over the pixels. */
export const reconstructionError = (logits, x) =>
  sum(logits, (l, d) => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l))) - x[d] * l);

/** log p(x, z) - log q(z|x) at z = mu + sigma epsilon: one importance weight of x. */
export function logWeight(model, x, { mu, logvar }, epsilon) {
  const z = reparameterize(mu, logvar, epsilon);
  const ratio = sum(z, (v, j) => (epsilon[j] ** 2 + logvar[j] - v * v) / 2); // p(z) / q(z|x)
  return ratio - reconstructionError(decode(model, z), x);
}

/**
 * log of the mean of k weights, its standard error (delta method), and how many samples of equal
 * weight would be as good, (sum w)^2 / sum w^2. The mean weight is unbiased for p(x); its log is
 * too small on average.
 */
export function logMeanExp(logWeights) {
  const top = Math.max(...logWeights),
    k = logWeights.length;
  const weights = logWeights.map(l => Math.exp(l - top));
  const total = sum(weights),
    effective = total ** 2 / sum(weights, w => w * w);
  return { value: top + Math.log(total / k), error: Math.sqrt(1 / effective - 1 / k), effective };
}

/** x with each pixel replaced, with probability `noise`, by its coin (`models.corrupt`): with more
 *  noise the pixels that were replaced stay as they are, and more join them. */
export const corrupt = (x, noise, uniform, coins) =>
  x.map((v, d) => (uniform[d] < noise ? coins[d] : v));

/** Binary pixels: x_d = 1 with probability grey_d, as `data.binarize` draws them. */
export const binarize = (grey, uniform) => grey.map((v, d) => Number(uniform[d] < v));

export const blend = (a, b, t) => a.map((v, i) => (1 - t) * v + t * b[i]);

/** Uniform random numbers from a seed (mulberry32), for noise that is to stay the same. */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** n draws from N(0, 1) (Box and Muller). */
export const gaussians = (n, random = Math.random) =>
  Float64Array.from(
    { length: n },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );

// --- From strokes to pixels ---

const CENTRE = 14.5; // MNIST's centre of mass, in pixels from the edge: the middle of pixel 14
export const PEN = 1.3; // half a stroke's width, in pixels: gives the amount of ink that MNIST has

/**
 * Grey pixels in [0, 1] of strokes (lists of points, in pixels from the upper left corner), after
 * scaling and moving their points. The pen is round and equally wide at every scale.
 */
export function ink(strokes, scale = 1, right = 0, down = 0) {
  const grey = new Float64Array(PIXELS);
  for (const stroke of strokes) {
    const points = stroke.map(([x, y]) => [x * scale + right, y * scale + down]);
    points.forEach((point, k) => inkLine(grey, point, points[k + 1] ?? point));
  }
  return grey;
}

/** Blacken the pixels within reach of the line from a to b; the rim, one pixel wide, is grey. */
function inkLine(grey, [ax, ay], [bx, by]) {
  const dx = bx - ax,
    dy = by - ay,
    length2 = dx * dx + dy * dy,
    reach = PEN + 0.5;
  const first = v => Math.max(0, Math.floor(v - reach)),
    last = v => Math.min(SIDE - 1, Math.ceil(v + reach));
  for (let row = first(Math.min(ay, by)); row <= last(Math.max(ay, by)); row++) {
    for (let column = first(Math.min(ax, bx)); column <= last(Math.max(ax, bx)); column++) {
      const px = column + 0.5 - ax,
        py = row + 0.5 - ay;
      const t = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
      const x = px - t * dx,
        y = py - t * dy,
        covered = Math.min(1, reach - Math.sqrt(x * x + y * y)); // Math.hypot is far slower
      const d = row * SIDE + column;
      grey[d] = Math.max(grey[d], covered);
    }
  }
}

/** The same, as MNIST was made: the longest side 20 pixels, the centre of mass at CENTRE. */
export function inkLikeMnist(strokes) {
  const points = strokes.flat();
  if (!points.length) return new Float64Array(PIXELS);
  const [left, end, top, bottom] = [0, 1].flatMap(axis => {
    const values = points.map(point => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  });
  const scale = Math.min(4, (20 - 2 * PEN) / Math.max(end - left, bottom - top, 1e-9));
  let right = SIDE / 2 - (scale * (left + end)) / 2,
    down = SIDE / 2 - (scale * (top + bottom)) / 2;
  const grey = ink(strokes, scale, right, down),
    mass = sum(grey);
  right += CENTRE - sum(grey, (v, d) => v * ((d % SIDE) + 0.5)) / mass;
  down += CENTRE - sum(grey, (v, d) => v * (Math.floor(d / SIDE) + 0.5)) / mass;
  return ink(strokes, scale, right, down);
}
