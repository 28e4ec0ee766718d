// The playground: a drawing of the reader goes through trained models. Two hosts: JupyterLab (by
// anywidget, which calls `render`) and the pages of the web edition (which call `mount`).
// lecture_utils/playground.py joins the four playground*.mjs files into one script.
import {
  PEN,
  PIXELS,
  SIDE,
  binarize,
  bitsOf,
  blend,
  corrupt,
  decode,
  encode,
  gaussianKl,
  gaussianKls,
  gaussians,
  ink,
  inkLikeMnist,
  logMeanExp,
  logWeight,
  reconstructionError,
  reparameterize,
  seeded,
  sigmoid,
  sum,
  unpack,
} from "./playground_model.mjs";
import {
  COLORS,
  DIGIT_COLORS,
  arrow,
  axes,
  dot,
  dragging,
  keepSharp,
  label,
  line,
  listening,
  paint,
  sheet,
  shell,
  signed,
} from "./playground_pictures.mjs";
import { kl, reparameterization } from "./playground_formulas.mjs";

const CIRCLE = Math.sqrt(-2 * Math.log(0.05)); // radius of the circle that holds 95 % of N(0, I)
const REST = 250; // milliseconds without a change after which what takes longer is done
const SLICE = 6; // milliseconds that importance weighting may hold the page
const NEAR = 0.25; // pixels: nearer points of a stroke are left out
const PATH = 11; // digits on the path between two images
const TRAVERSAL = Array.from({ length: 13 }, (_, i) => (i - 6) / 2); // values of one unit
const NATS = 400; // right end of the bar of nats
const FROM_Q = null; // as the state's z: z comes from q(z|x)

const DRAWINGS = {
  // what is no digit: strokes in pixels
  "letter A": [
    [
      [7, 23],
      [14, 5],
      [21, 23],
    ],
    [
      [10, 16],
      [18, 16],
    ],
  ],
  scribble: [
    [
      [5, 8],
      [22, 6],
      [6, 13],
      [23, 13],
      [5, 19],
      [22, 20],
      [8, 24],
      [16, 4],
    ],
  ],
};

const HTML = `
<div class="row">
  <div class="panel"><div class="caption">draw a digit here</div>
    <canvas class="pad square drag" tabindex="0" role="application" aria-label="Drawing area, 28 by
      28 pixels. Arrow keys move the pen, the space bar puts it down and lifts it, Backspace removes
      the last stroke."></canvas></div>
  <div class="panel"><div class="caption">x: 28 × 28 binary pixels</div>
    <canvas class="x square pixels" width="28" height="28" role="img"
      aria-label="the binary pixels x, which the encoder sees"></canvas></div>
  <div class="panel"><div class="caption latent-caption"></div>
    <canvas class="plane square drag" tabindex="0" role="application" aria-label="Latent plane.
      Arrow keys move z, Escape takes z from q(z|x) again."></canvas>
    <canvas class="units square drag" tabindex="0" role="slider" aria-valuenow="0"
      aria-label="Latent units. Left and right move z of one unit, up and down choose the unit, Escape takes z from
      q(z|x) again."></canvas></div>
  <div class="panel"><div class="caption">p(x|z): decoded from z</div>
    <canvas class="decoded square pixels" width="28" height="28" role="img"
      aria-label="for each pixel the probability of being 1"></canvas></div>
</div>
<div class="paper nats">
  <span class="error">reconstruction error −log p(x|z) <b></b></span>
  <span class="kl">+ KL <b></b></span> <span class="loss">= loss <b></b></span> nats
  <div class="bar" aria-hidden="true"><div class="of-error"></div><div class="of-kl"></div>
    <div class="mean"></div></div>
  <div class="note mean-note"></div>
</div>
<div class="controls">
  <button type="button" class="undo">undo stroke</button>
  <button type="button" class="clear">clear</button>
  <label>or take <select class="source"></select></label>
  <label><input type="checkbox" class="centre" checked> centre and scale like MNIST</label>
</div>
<div class="controls">
  <button type="button" class="epsilon">new ε</button>
  <button type="button" class="prior">z ~ N(0, I)</button>
  <button type="button" class="from-q">z from q(z|x)</button>
  <label class="choose-model">model <select class="model"></select></label>
</div>
<p class="words" aria-live="polite"></p><p class="unseen pen" aria-live="polite"></p>
<details class="surprise"><summary>How surprising is this image? log p(x)</summary>
  <div class="row"><div class="panel wide"><canvas class="histogram" style="height: 170px"
    role="img" aria-label="distribution of log p(x) over test images, with this image marked">
    </canvas></div></div>
  <p class="words surprise-words" aria-live="polite"></p></details>
<details class="compare"><summary>The same image in several models</summary>
  <div class="controls"><label>noise ν: share of pixels replaced by coin flips
    <input type="range" class="noise" min="0" max="1" step="0.05" value="0">
    <output class="noise-value">0.00</output></label></div>
  <div class="models"></div>
  <button type="button" class="load" hidden>load the other models</button>
  <p class="note">Each model decodes its code, a VAE its mean μ; below, −log p(clean x|z). When z
    was chosen by hand, a model with as many latent dimensions decodes that z. Each plane has a scale of
    its own; the dashed circle is the same in all, and holds 95 % of N(0, I). A DAE has seen
    corrupted images only.</p></details>
<details class="traversal"><summary>One unit, from −3 to 3</summary>
  <div class="caption traversal-caption"></div>
  <canvas class="strip pixels" width="${SIDE * TRAVERSAL.length}" height="28" role="img"
    aria-label="thirteen digits decoded with one latent unit moved from minus 3 to 3"></canvas>
  <p class="note">All other units stay where they are now. Choose the unit in the picture of the
    units.</p></details>
<details class="path"><summary>A path between two images</summary>
  <div class="controls"><label>t
    <input type="range" class="t" min="0" max="1" step="0.02" value="0.5"> <output class="t-value">0.50</output></label>
    <button type="button" class="keep">start from the present image</button></div>
  <div class="caption">codes blended, (1 − t) μ<sub>a</sub> + t μ<sub>b</sub>, then decoded</div>
  <canvas class="codes pixels" width="${SIDE * PATH}" height="28" role="img"
    aria-label="eleven digits decoded on the straight line between the codes of two images">
    </canvas>
  <div class="caption">pixels blended</div>
  <canvas class="blends pixels" width="${SIDE * PATH}" height="28" role="img"
    aria-label="eleven blends of the pixels of the two images"></canvas>
  <p class="note">The slider moves z along the line, in the pictures above too.</p></details>`;

/**
 * Build the playground in `el`. `models` lists {name, about, weights} or, to be loaded when chosen,
 * {name, load} with a function that promises the other two; with `together` they are also loaded
 * for a comparison, others when a reader asks. `images` lists [name, packed bits]; `view` names the
 * part that is open at first: surprise, compare, traversal or path.
 */
export function mount(el, { models, images, view = "" }) {
  const part = shell(el, HTML),
    { $, on, host } = part;
  const tests = images.map(([name, bits]) => [name, bitsOf(bits)]);
  const random = seeded(11),
    uniform = Float64Array.from({ length: PIXELS }, random);
  const replacing = Float64Array.from({ length: PIXELS }, random),
    coins = Float64Array.from({ length: PIXELS }, () => Number(random() < 0.5)),
    // as much ink as a digit
    specks = Float64Array.from({ length: PIXELS }, () => Number(random() < 0.13));
  const state = {
    strokes: [],
    fixed: tests[0][1],
    start: (tests[6] ?? tests[0])[1],
    z: FROM_Q,
    epsilon: [],
    unit: 0,
    pen: [14, 14],
    penDown: false,
    byKeys: false, // only then the keyboard's pen is shown
  };
  let entry,
    result,
    frame = 0,
    timer = 0,
    run = 0,
    asked = false,
    compared = [],
    left = new AbortController();

  // --- What is computed ---

  function compute() {
    const { model } = entry,
      { strokes, fixed } = state;
    const x =
      fixed ?? binarize($(".centre").checked ? inkLikeMnist(strokes) : ink(strokes), uniform);
    const q = encode(model, x);
    const z = state.z ?? reparameterize(q.mu, q.logvar, state.epsilon),
      logits = decode(model, z);
    return {
      x,
      ...q,
      z,
      logits,
      error: reconstructionError(logits, x),
      kl: gaussianKl(q.mu, q.logvar),
    };
  }

  /** Compute and show everything that follows the hand; what takes longer waits for a rest. */
  function update() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!entry?.model) return;
    const start = performance.now();
    result = compute();
    result.computed = performance.now() - start;
    paint($(".x"), result.x);
    paint($(".decoded"), result.logits.map(sigmoid));
    drawPad($(".pad"), state, state.byKeys && part.root.activeElement === $(".pad"));
    drawLatent();
    showNats();
    if ($(".compare").open) showModels();
    run++; // whatever is still being computed for the last image stops
    clearTimeout(timer);
    timer = setTimeout(rest, REST);
    result.total = performance.now() - start;
  }

  const changed = () => {
    frame ||= requestAnimationFrame(update);
  };

  function rest() {
    if (!entry?.model) return;
    $(".words").textContent = describe(entry, state, result);
    if ($(".path").open) showPath();
    if ($(".traversal").open) showTraversal();
    if ($(".surprise").open) surprise(run);
  }

  function drawLatent() {
    const isPlane = entry.model.latentDim === 2;
    $(".plane").hidden = !isPlane;
    $(".units").hidden = $(".traversal").hidden = isPlane;
    if (isPlane) return drawPlane($(".plane"), entry, result);
    drawUnits($(".units"), entry, result, state.unit);
    const j = entry.about.order[state.unit],
      text = `unit ${j}: z = ${signed(result.z[j], 2)}`;
    $(".latent-caption").textContent = $(".units").ariaValueText = text;
    $(".units").ariaValueNow = result.z[j].toFixed(2);
  }

  function showNats() {
    const { error, kl } = result,
      isVae = Boolean(entry.model.toLogvar),
      chosen = state.z !== FROM_Q;
    const numbers = { error, kl, loss: error + kl };
    for (const [name, value] of Object.entries(numbers))
      $(`.${name} b`).textContent = inNats(value);
    $(".kl").hidden = $(".loss").hidden = !isVae || chosen; // the loss needs a z from q(z|x)
    const share = nats => `${100 * Math.min(1, nats / NATS)}%`;
    $(".of-error").style.width = share(error);
    $(".of-kl").style.width = isVae && !chosen ? share(kl) : 0;
  }

  function showEntry() {
    const { name, about, model } = entry,
      isVae = Boolean(model.toLogvar);
    $(".latent-caption").textContent = "the latent plane: drag z";
    [$(".units").ariaValueMin, $(".units").ariaValueMax] = [-about.limit, about.limit];
    $(".epsilon").disabled = !isVae;
    $(".from-q").textContent = isVae ? "z from q(z|x)" : "z from the encoder";
    $(".mean").style.left = `${(100 * about.mean) / NATS}%`;
    const corrupted = about.kind === "DAE" ? ", corrupted as in its training" : "";
    $(".mean-note").textContent =
      `Black mark: mean loss over test images${corrupted}, ` +
      `${about.mean.toFixed(1)} nats. ${isVae ? "" : "No q(z|x), so no KL. "}${about.note ?? ""}`;
    $(".model").value = name;
    host.dataset.ready = name;
  }

  // --- Models ---

  /** The model of an entry of `models`, loaded and unpacked once. */
  async function ready(each) {
    if (!each.weights) Object.assign(each, await each.load());
    each.model ??= unpack(each.weights, each.about);
    return each;
  }

  async function choose(name) {
    const wanted = models.find(each => each.name === name) ?? models[0];
    delete host.dataset.ready;
    try {
      await ready(wanted);
    } catch (error) {
      $(".words").textContent = `This model could not be loaded: ${error.message}.`;
      return;
    }
    entry = wanted;
    state.z = FROM_Q;
    state.unit = 0;
    state.epsilon = gaussians(entry.model.latentDim);
    if ($(".compare").open) openCompare();
    showEntry();
    update();
  }

  /** Show newer weights of the same models, as training goes on; the drawing and z stay. */
  function renew(newer) {
    const name = entry.name;
    models = newer;
    entry = models.find(each => each.name === name) ?? models[0];
    entry.model = unpack(entry.weights, entry.about);
    if (state.epsilon.length !== entry.model.latentDim) return choose(entry.name);
    if ($(".compare").open) openCompare();
    showEntry();
    update();
  }

  /** A panel for each model that is here; the others come when the reader asks for them. */
  async function openCompare() {
    await Promise.all(models.filter(each => asked || each.together).map(ready));
    const here = models.filter(each => each.weights);
    here.forEach(each => ready(each));
    $(".load").hidden = here.length === models.length;
    compared = here;
    left.abort(); // listeners and observers of the last panels
    left = new AbortController();
    const several = here.filter(each => each.model.latentDim === 2).length > 1;
    const panels = [null, ...here].map(each => comparePanel(each, several));
    $(".models").replaceChildren(...panels);
    const whilePanelsStand = listening(left.signal);
    const planes = panels.map(panel => panel.querySelector(".small-plane"));
    planes.forEach((plane, number) => {
      if (plane)
        dragging(
          whilePanelsStand,
          plane,
          placeZ(() => here[number - 1].about.limit),
        );
    });
    keepSharp(whilePanelsStand, planes.filter(Boolean), changed);
    changed();
  }

  /** A model's picture, below its plane if there are several; else the encoder's input. */
  function comparePanel(each, withPlane) {
    const panel = document.createElement("div"),
      name = each?.name ?? "the encoder's input",
      hasPlane = withPlane && each?.model.latentDim === 2;
    panel.innerHTML =
      `<div class="caption"></div>` +
      (hasPlane ? `<canvas class="small-plane square drag" role="img"></canvas>` : "") +
      `<canvas class="output square pixels" width="28" height="28" role="img"></canvas>
      <div class="note"></div>`;
    panel.firstChild.textContent = panel.querySelector(".output").ariaLabel = name;
    if (hasPlane)
      panel.querySelector(".small-plane").ariaLabel = `${name}: codes of test digits, and z`;
    return panel;
  }

  function showModels() {
    const [input, ...outputs] = $(".models").children;
    if (!input) return; // still loading
    const noisy = corrupt(result.x, Number($(".noise").value), replacing, coins);
    paint(input.querySelector("canvas"), noisy);
    result.noisy = noisy;
    result.compared = outputs.map((panel, number) => {
      const { model } = compared[number],
        { mu, logvar } = encode(model, noisy),
        plane = panel.querySelector(".small-plane");
      const z = state.z?.length === mu.length ? state.z : mu,
        logits = decode(model, z);
      const error = reconstructionError(logits, result.x),
        kl = gaussianKl(mu, logvar);
      paint(panel.querySelector(".output"), logits.map(sigmoid));
      if (plane) drawPlane(plane, compared[number], { mu, logvar, z }, true);
      panel.querySelector(".note").textContent =
        `${inNats(error)} nats` + (logvar ? `; KL ${inNats(kl)}` : "");
      return { error, kl };
    });
  }

  // --- A path ---

  const ends = () => [state.start, result.x].map(x => encode(entry.model, x).mu);

  function showPath() {
    const [a, b] = ends(),
      steps = Array.from({ length: PATH }, (_, i) => i / (PATH - 1));
    paint($(".codes"), ...steps.map(t => decode(entry.model, blend(a, b, t)).map(sigmoid)));
    paint($(".blends"), ...steps.map(t => blend(state.start, result.x, t)));
  }

  function showTraversal() {
    const unit = entry.about.order[state.unit],
      moved = TRAVERSAL.map(value => result.z.map((v, j) => (j === unit ? value : v)));
    paint($(".strip"), ...moved.map(z => decode(entry.model, z).map(sigmoid)));
    $(".traversal-caption").textContent =
      `unit ${unit}, whose z is ${signed(result.z[unit], 2)} now`;
  }

  function moveAlong() {
    const t = Number($(".t").value);
    state.z = blend(...ends(), t);
    $(".t-value").textContent = t.toFixed(2);
    changed();
  }

  // --- How surprising? ---

  /** Weigh samples of q(z|x) in slices, so that the page stays free; stop if the image changes. */
  async function surprise(mine) {
    const { about, model } = entry,
      { x, mu, logvar } = result,
      says = $(".surprise-words");
    if (!logvar) {
      says.textContent = `A question for a VAE: the ${about.kind} has no p(z), hence no p(x).`;
      return drawHistogram($(".histogram"), [], null);
    }
    const logWeights = [],
      draws = seeded(5);
    while (logWeights.length < about.samples) {
      const until = performance.now() + SLICE;
      while (performance.now() < until && logWeights.length < about.samples)
        logWeights.push(logWeight(model, x, { mu, logvar }, gaussians(mu.length, draws)));
      await new Promise(resolve => setTimeout(resolve));
      if (mine !== run || !host.isConnected) return;
    }
    result.surprise = logMeanExp(logWeights);
    drawHistogram($(".histogram"), about.surprise, result.surprise.value);
    says.textContent = surpriseInWords(about, result.surprise);
  }

  // --- Hands on ---

  function draw(point, isNew) {
    if (state.fixed) Object.assign(state, { fixed: null, strokes: [] });
    $(".source").value = "";
    state.z = FROM_Q;
    if (isNew) state.strokes.push([]);
    const stroke = state.strokes.at(-1),
      [x, y] = stroke.at(-1) ?? [-1, -1];
    if ((point[0] - x) ** 2 + (point[1] - y) ** 2 < NEAR ** 2) return;
    stroke.push(point);
    changed();
  }

  function take(choice) {
    Object.assign(state, { fixed: null, strokes: [], z: FROM_Q, penDown: false });
    if (choice in DRAWINGS) state.strokes = structuredClone(DRAWINGS[choice]);
    else if (choice === "noise") state.fixed = specks;
    else if (choice !== "") state.fixed = tests[Number(choice)][1];
    changed();
  }

  function setZ(z) {
    state.z = z;
    changed();
  }

  /** What dragging over a plane does: z goes to the place, in a plane that reaches to limit(). */
  const placeZ = limit => (x, y) => {
    const [a, b] = [2 * x - 1, 1 - 2 * y].map(v => Math.max(-1, Math.min(1, v)) * limit());
    setZ(Float64Array.of(a, b));
  };

  const within = v => Math.max(-entry.about.limit, Math.min(entry.about.limit, v));
  const moveUnit = value =>
    setZ(result.z.map((v, j) => (j === entry.about.order[state.unit] ? within(value) : v)));
  const undo = () => {
    state.penDown = false;
    state.strokes.pop();
    changed();
  };

  dragging(part, $(".pad"), (x, y, isNew) => {
    state.byKeys = false;
    draw([x * SIDE, y * SIDE], isNew);
  });
  on($(".pad"), "focus blur", () => {
    state.penDown = false;
    state.byKeys = $(".pad").matches(":focus-visible");
    changed();
  });
  on($(".pad"), "keydown", event => {
    const step = arrow(event);
    state.byKeys = true;
    if (step) {
      state.pen = state.pen.map((v, i) => Math.min(SIDE, Math.max(0, v + step[i])));
      if (state.penDown) draw(state.pen, false);
    } else if (event.key === " ") {
      state.penDown = !state.penDown;
      if (state.penDown) draw(state.pen, true);
    } else if (event.key === "Backspace") undo();
    else return;
    event.preventDefault();
    $(".pen").textContent =
      `row ${state.pen[1]}, column ${state.pen[0]}, pen ${state.penDown ? "down" : "up"}`;
    changed();
  });

  dragging(
    part,
    $(".plane"),
    placeZ(() => entry.about.limit),
  );
  on($(".plane"), "keydown", event => {
    const step = arrow(event),
      { limit } = entry.about;
    if (step) setZ(result.z.map((v, i) => within(v + ([1, -1][i] * step[i] * limit) / 40)));
    else if (event.key === "Escape") setZ(FROM_Q);
    else return;
    event.preventDefault();
  });

  dragging(part, $(".units"), (x, y, isNew) => {
    const { order } = entry.about;
    if (isNew) state.unit = Math.max(0, Math.min(order.length - 1, Math.floor(y * order.length)));
    moveUnit(((x / UNITS_SHARE) * 2 - 1) * entry.about.limit);
  });
  on($(".units"), "keydown", event => {
    const step = arrow(event),
      { order, limit } = entry.about;
    if (step?.[0]) moveUnit(result.z[order[state.unit]] + (step[0] * limit) / 40);
    else if (step) state.unit = Math.max(0, Math.min(order.length - 1, state.unit + step[1]));
    else if (event.key === "Escape") setZ(FROM_Q);
    else return;
    event.preventDefault();
    changed();
  });

  on($(".undo"), "click", undo);
  on($(".clear"), "click", () => {
    $(".source").value = "";
    take("");
  });
  on($(".centre"), "change", changed);
  on($(".source"), "change", () => take($(".source").value));
  on($(".epsilon"), "click", () => {
    state.epsilon = gaussians(entry.model.latentDim);
    setZ(FROM_Q);
  });
  on($(".prior"), "click", () => setZ(gaussians(entry.model.latentDim)));
  on($(".from-q"), "click", () => setZ(FROM_Q));
  on($(".model"), "change", () => choose($(".model").value));
  on($(".noise"), "input", () => {
    $(".noise-value").textContent = Number($(".noise").value).toFixed(2);
    changed();
  });
  on($(".t"), "input", moveAlong);
  on($(".keep"), "click", () => {
    state.start = result.x;
    changed();
  });
  on($(".compare"), "toggle", () => $(".compare").open && openCompare());
  for (const asking of [$(".compare summary"), $(".load")])
    on(asking, "click", () => (asked = true));
  on($(".load"), "click", openCompare);
  on($(".path"), "toggle", changed);
  on($(".traversal"), "toggle", changed);
  on($(".surprise"), "toggle", changed);

  const group = (text, options) => {
    const element = document.createElement("optgroup");
    element.label = text;
    element.append(...options);
    return element;
  };
  $(".source").append(
    new Option("your drawing", ""),
    group(
      "test images",
      tests.map(([name], number) => new Option(name, number)),
    ),
    group(
      "no digits",
      [...Object.keys(DRAWINGS), "noise"].map(name => new Option(name)),
    ),
  );
  $(".source").value = "0";
  $(".model").append(...models.map(({ name }) => new Option(name)));
  $(".choose-model").hidden = models.length < 2;
  if (view) $(`.${view}`).open = true;
  keepSharp(part, [$(".pad"), $(".plane"), $(".units"), $(".histogram")], changed);
  part.whenLeft(() => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    left.abort();
    run++;
  });
  // For the tests: what is shown, and a way to set it.
  host.playground = {
    state,
    get result() {
      return result;
    },
    update: values => {
      Object.assign(state, values);
      update();
    },
  };
  choose();
  return { leave: part.leave, renew };
}

// --- In words ---

const list = values => Array.from(values, v => signed(v, 2)).join(", ");

/** Nats as text; noise can cost millions of them. */
const inNats = value => (value < 1e5 ? signed(value, 1) : value.toPrecision(2));

/** What the pictures show, for a reader who does not see them. */
function describe({ about, model }, { fixed, z: chosen }, { x, mu, logvar, z, error, kl }) {
  const isPlane = model.latentDim === 2,
    sd = logvar?.map(l => Math.exp(l / 2));
  const code = !isPlane
    ? ""
    : sd
      ? `q(z|x) has mean (${list(mu)}) and standard deviation (${list(sd)}). `
      : `The ${about.kind}'s code is (${list(mu)}). `;
  const where = isPlane ? `z = (${list(z)})` : `z has ${z.length} dimensions`;
  const nats =
    chosen || !sd
      ? `−log p(x|z) is ${inNats(error)} nats`
      : `reconstruction error ${inNats(error)} + KL ${inNats(kl)} = ${inNats(error + kl)} nats`;
  return (
    `${fixed ? "This image" : "Your drawing"} with ${sum(x)} pixels on. ${code}${where}` +
    `${chosen ? ", chosen by hand" : ""}: ${nats}.`
  );
}

function surpriseInWords({ surprise: all, samples }, { value, error, effective }) {
  const less = all.filter(v => v < value).length;
  const place = less ? `above ${less} of ${all.length}` : `below all ${all.length}`;
  const number = effective.toFixed(0),
    few = effective < 5 ? ": few, so log p(x) may be higher, here and for test images" : "";
  return (
    `log p(x) is about ${signed(value, 1)} ± ${error.toFixed(1)} nats` +
    (all.length ? `, ${place} test images` : "; those of test images: digits(…, surprise=True)") +
    `. Of ${samples} samples of q(z|x), ${number} ${number === "1" ? "carries" : "carry"} the weight${few}.`
  );
}

// --- Pictures ---

/** The pen's strokes on squared paper; a given image in grey; the keyboard's pen as a square. */
function drawPad(canvas, { strokes, fixed, pen, penDown }, withPen) {
  const { context, width } = sheet(canvas),
    unit = width / SIDE;
  context.scale(unit, unit);
  context.beginPath();
  for (let i = 1; i < SIDE; i++) {
    context.moveTo(i, 0);
    context.lineTo(i, SIDE);
    context.moveTo(0, i);
    context.lineTo(SIDE, i);
  }
  Object.assign(context, { strokeStyle: "#e5e5e5", lineWidth: 0.5 / unit });
  context.stroke();
  context.fillStyle = "#ccc";
  fixed?.forEach((on, d) => {
    if (on) context.fillRect(d % SIDE, Math.floor(d / SIDE), 1, 1);
  });
  Object.assign(context, { lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes)
    line(context, stroke.length > 1 ? stroke : [stroke[0], stroke[0]], "#000", { width: 2 * PEN });
  if (!withPen) return;
  Object.assign(context, {
    strokeStyle: penDown ? COLORS.reconstruction : COLORS.latent,
    lineWidth: 0.5,
  });
  context.strokeRect(pen[0] - 1, pen[1] - 1, 2, 2);
}

/**
 * Test digits at their codes, in a VAE each on the 95 % ellipse of its q(z|x), and the circle of
 * N(0, I): drawn once for each model and canvas, and kept with the canvas.
 */
function planeBackground(canvas, about, hasCircle) {
  const { width, height, known } = canvas;
  if (known?.width === width && known.of === about) return known;
  const still = Object.assign(document.createElement("canvas"), { width, height, of: about });
  still.ratio = canvas.ratio;
  const { context, width: size } = sheet(still),
    scale = size / 2 / about.limit,
    at = v => size / 2 + v * scale;
  for (const [a, b, digit, ...sigma] of about.codes) {
    const [x, y, color] = [at(a), at(-b), DIGIT_COLORS[digit]];
    context.globalAlpha = 0.22;
    if (sigma.length) ellipse(context, x, y, ...sigma.map(s => CIRCLE * s * scale), color);
    context.globalAlpha = 0.85;
    label(context, String(digit), x, y, color, { size: size > 150 ? 9 : 8, align: "center" });
  }
  context.globalAlpha = 1;
  if (hasCircle) {
    Object.assign(context, { strokeStyle: "#333", lineWidth: 1.5 });
    context.setLineDash([5, 4]);
    context.beginPath();
    context.arc(at(0), at(0), CIRCLE * scale, 0, 2 * Math.PI);
    context.stroke();
  }
  return (canvas.known = still);
}

/**
 * Test digits at their codes, the prior's circle, q(z|x) as its 95 % ellipse, and z. A small plane
 * stands beside others: all have the circle, and none has room for the inset.
 */
function drawPlane(canvas, { about, model }, { mu, logvar, z }, isSmall = false) {
  const { context, width: size } = sheet(canvas),
    scale = size / 2 / about.limit,
    at = v => size / 2 + v * scale;
  const hasCircle = isSmall || model.toLogvar;
  context.drawImage(planeBackground(canvas, about, hasCircle), 0, 0, size, size);
  const radii = logvar?.map(l => CIRCLE * Math.exp(l / 2));
  if (radii) {
    framedEllipse(context, at(mu[0]), at(-mu[1]), radii[0] * scale, radii[1] * scale);
    if (!isSmall) magnified(context, size, scale, mu, radii, z);
  }
  const [x, y] = [z[0], -z[1]].map(v => Math.max(5, Math.min(size - 5, at(v)))); // or at the rim
  dot(context, x, y, 6, "#fff");
  dot(context, x, y, 4.5, COLORS.reconstruction);
}

function ellipse(context, x, y, a, b, color) {
  context.beginPath();
  context.ellipse(x, y, a, b, 0, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

function framedEllipse(context, x, y, a, b) {
  ellipse(context, x, y, a, b, "rgb(0 114 227 / 0.25)");
  Object.assign(context, { strokeStyle: COLORS.latent, lineWidth: 2 });
  context.stroke();
}

/** The ellipse once more, in the corner away from it: sigma is a few pixels wide on the plane. */
function magnified(context, size, scale, mu, radii, z) {
  const side = size * 0.3,
    left = mu[0] > 0 ? 1 : size - side - 1,
    top = mu[1] > 0 ? size - side - 1 : 1;
  const factor = (side * 0.36) / (Math.max(...radii) * scale),
    zoom = factor * scale;
  if (factor < 1.5) return;
  context.save();
  context.beginPath();
  context.rect(left, top, side, side);
  context.fillStyle = "#fff";
  context.fill();
  Object.assign(context, { strokeStyle: COLORS.prior, lineWidth: 1 });
  context.stroke();
  context.clip();
  const x = left + side / 2,
    y = top + side * 0.45;
  framedEllipse(context, x, y, radii[0] * zoom, radii[1] * zoom);
  dot(context, x + (z[0] - mu[0]) * zoom, y - (z[1] - mu[1]) * zoom, 4, COLORS.reconstruction);
  label(context, `× ${factor.toFixed(0)}`, left + 4, top + side - 8, "#333", { size: 11 });
  context.restore();
}

const UNITS_SHARE = 0.8; // of the width is for z, the rest for the KL

/** A row for each unit, the most informative first: q(z_j|x) as mu ± sigma, z_j, and its KL. */
function drawUnits(canvas, { about, model }, { mu, logvar, z }, chosen) {
  const { context, width, height } = sheet(canvas),
    { order, limit } = about;
  const row = height / order.length,
    right = width * UNITS_SHARE,
    at = v => ((v / limit + 1) / 2) * right;
  const kls = logvar && gaussianKls(mu, logvar);
  context.fillStyle = "#eee";
  if (model.toLogvar) context.fillRect(at(-1), 0, at(1) - at(-1), height); // the prior, 0 ± 1
  line(
    context,
    [
      [at(0), 0],
      [at(0), height],
    ],
    "#999",
    { width: 1 },
  );
  order.forEach((j, number) => {
    const y = (number + 0.5) * row,
      sd = logvar ? Math.exp(logvar[j] / 2) : 0;
    if (number === chosen) {
      context.fillStyle = "#fff2cc";
      context.fillRect(0, y - row / 2, width, row);
      label(context, `${j}`, 3, y, "#333", { size: 10 });
    }
    if (sd)
      line(
        context,
        [
          [at(mu[j] - sd), y],
          [at(mu[j] + sd), y],
        ],
        COLORS.latent,
        { width: row * 0.55 },
      );
    else dot(context, at(mu[j]), y, row * 0.3, COLORS.latent);
    dot(context, at(z[j]), y, Math.min(4, row * 0.4), COLORS.reconstruction);
    if (!kls) return;
    context.fillStyle = COLORS.kl;
    context.fillRect(
      right + 4,
      y - row * 0.3,
      Math.min(1, kls[j] / 5) * (width - right - 8),
      row * 0.6,
    );
  });
  line(
    context,
    [
      [right, 0],
      [right, height],
    ],
    "#333",
    { width: 1 },
  );
}

/** log p(x) of test images as a histogram, and where the present image lies, or which way. */
function drawHistogram(canvas, values, value) {
  const { context, width, height } = sheet(canvas);
  if (!values.length) return;
  const from = 20 * Math.floor(values[0] / 20),
    to = 20 * Math.ceil(values.at(-1) / 20),
    step = 10;
  const counts = new Array((to - from) / step).fill(0);
  for (const v of values) counts[Math.min(counts.length - 1, Math.floor((v - from) / step))]++;
  const ticks = Array.from({ length: (to - from) / 20 + 1 }, (_, i) => from + 20 * i).filter(
    v => v % 40 === 0,
  );
  const box = [12, 34, width - 12, height - 34];
  const { X, Y } = axes(context, box, {
    x: [from, to],
    y: [0, Math.max(...counts)],
    xTicks: ticks,
  });
  label(context, "log p(x) in nats, of test images", width / 2, height - 9, "#333", {
    align: "center",
  });
  context.fillStyle = COLORS.prior;
  counts.forEach((n, i) =>
    context.fillRect(X(from + step * i) + 1, Y(n), X(step) - X(0) - 2, Y(0) - Y(n)),
  );
  const inside = Math.max(from, Math.min(to, value)),
    x = X(inside);
  line(
    context,
    [
      [x, 24],
      [x, Y(0)],
    ],
    COLORS.bound,
    { width: 3 },
  );
  const text = `${value < from ? "← " : ""}this image: ${signed(value, 1)}`;
  const align = x < 80 ? "left" : x > width - 80 ? "right" : "center";
  label(context, text, x, 14, COLORS.bound, { align, size: 13, bold: true });
}

// --- Hosts ---

const FORMULAS = { reparameterization, kl };

/** Fill `el` with what `view` names: a formula of notebook 04 or 05, or the playground. */
export function show(el, content) {
  return content.view in FORMULAS ? FORMULAS[content.view](el) : mount(el, content);
}

/** JupyterLab: anywidget calls this for each place where the widget is shown. */
export function render({ model, el }) {
  const models = () =>
    Object.entries(model.get("models")).map(([name, packed]) => ({ name, ...packed }));
  const shown = show(el, {
    view: model.get("view"),
    images: model.get("images"),
    models: models(),
  });
  const renew = () => shown.renew(models()); // a model that is still training is sent again
  model.on("change:models", renew);
  return () => {
    model.off("change:models", renew);
    shown.leave();
  };
}
