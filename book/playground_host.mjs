// The web edition's host: it fills the places that the pages leave for the playground. The pages'
// scripts are classic ones, since modules do not load over file://. CONTENT comes from
// playground_pages.py, `show` and `bytesOf` from lecture_utils/playground*.mjs.

const folder = document.currentScript.src.replace(/[^/]*$/, "");
const known = {},
  arrivals = {};

/** Called by the script of a model's weights once it has loaded. */
globalThis.vaePlaygroundArrived = (file, about, base64) =>
  arrivals[file]({ about, weights: bytesOf(base64) });

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

const models = CONTENT.models.map(({ name, file }) => ({ name, load: () => load(file) }));

function start() {
  for (const place of document.querySelectorAll(".vae-playground")) {
    const { view, model } = place.dataset;
    place.replaceChildren();
    show(place, { view, model, models, images: CONTENT.images });
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
