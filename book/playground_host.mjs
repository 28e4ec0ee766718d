// The web edition's host: it fills the places that the pages leave for the playground. The pages'
// scripts are classic ones, since modules do not load over file://. CONTENT comes from
// playground_pages.py; `show`, `bytesOf`, `unpack`, `shell` from lecture_utils/playground*.mjs.

const folder = document.currentScript.src.replace(/[^/]*$/, "");
const known = {},
  arrivals = {};

/** Called by the script of a model's weights once it has loaded. */
globalThis.vaePlaygroundArrived = (file, about, base64) => {
  const weights = bytesOf(base64);
  arrivals[file]({ about, weights, model: unpack(weights, about) }); // all places share them
};

/** A promise of the model in a file, which is loaded once, and only when it is asked for. */
const load = file =>
  (known[file] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    arrivals[file] = resolve;
    script.src = `${folder}playground_${file}.js`;
    script.onerror = () => {
      delete known[file];
      reject(new Error(`${script.src} is missing`));
    };
    document.head.append(script);
  }));

/** A promise of the moment when the place is on the screen, or within a screen of it. */
const nearTo = place =>
  new Promise(resolve => {
    const watch = new IntersectionObserver(
      entries => {
        if (!entries.some(each => each.isIntersecting)) return;
        watch.disconnect();
        resolve();
      },
      { rootMargin: "100%" },
    );
    watch.observe(place);
  });

/** The models for a place: none is loaded before a reader comes near to it. */
const modelsFor = place => {
  const near = nearTo(place),
    files = place.dataset.models ? place.dataset.models.split(" ") : CONTENT.first;
  return files.map(file => ({
    name: CONTENT.models[file],
    load: () => near.then(() => load(file)),
    together: CONTENT.together.includes(file),
  }));
};

// --- Explorers that compute in Python: their pictures were made with the pages ---

const listOf = ({ label, options }) =>
  `<label>${label} <select class="control">` +
  options.map(text => `<option>${text}</option>`).join("") +
  `</select><output hidden></output></label>`;

const sliderOf = ({ label, options, first }) =>
  `<label>${label} <input type="range" class="control" min="0" step="1"
    max="${options.length - 1}" value="${options.indexOf(first ?? options[0])}">
    <output></output></label>`;

/** The same controls as in JupyterLab, above a picture out of the table `name` and its words. */
function showTable(el, name) {
  const { controls, size, words } = CONTENT.tables[name];
  const html = controls.map(each => (each.isList ? listOf : sliderOf)(each)).join("");
  const { root, $, on } = shell(
    el,
    `<div class="controls">${html}</div><img alt="" width="${size[0]}" height="${size[1]}">
    <p class="words" aria-live="polite"></p>`,
  );
  const inputs = [...root.querySelectorAll(".control")];
  const redraw = () => {
    const places = inputs.map(input => input.selectedIndex ?? Number(input.value));
    inputs.forEach((input, i) => {
      const text = controls[i].options[places[i]];
      input.nextElementSibling.textContent = text;
      if (!controls[i].isList) input.ariaValueText = text; // else the value would be its place
    });
    const place = places.join("_");
    $("img").src = `${folder}${name}_${place}.webp`;
    $("img").alt = $(".words").textContent = words[place];
  };
  inputs.forEach(input => on(input, "input", redraw));
  redraw();
}

function start() {
  for (const place of document.querySelectorAll(".vae-playground")) {
    const { view } = place.dataset;
    place.replaceChildren();
    if (view in CONTENT.tables) showTable(place, view);
    else show(place, { view, models: modelsFor(place), images: CONTENT.images });
  }
}

start(); // the program stands behind the last place of the page
