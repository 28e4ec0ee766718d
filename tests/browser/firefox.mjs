// Firefox as a reader of the playground. puppeteer-core drives it; Playwright cannot, if Debian's.
// test_firefox.py starts it: node firefox.mjs PUPPETEER FIREFOX '{"pages": [...], "lab": "..."}'
// Prints as JSON what was seen on each page.
import { pathToFileURL } from "node:url";

const [puppeteerFile, executablePath, wanted] = process.argv.slice(2);
const { default: puppeteer } = await import(pathToFileURL(puppeteerFile));
const { pages, lab } = JSON.parse(wanted);
const NOWHERE = {
  // no page may need the network: all but this machine lies behind a proxy that is not there
  "network.proxy.type": 1,
  "network.proxy.http": "127.0.0.1",
  "network.proxy.http_port": 9,
  "network.proxy.ssl": "127.0.0.1",
  "network.proxy.ssl_port": 9,
};
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  headless: true,
  extraPrefsFirefox: NOWHERE,
  defaultViewport: { width: 1280, height: 900 },
});

/** Open a page; everything that fails on it is kept in `failures`, every request in `asked`. */
async function open(url) {
  const page = await browser.newPage(),
    failures = [],
    asked = [];
  page.on("pageerror", error => failures.push(String(error)));
  page.on("console", message => message.type() === "error" && failures.push(message.text()));
  page.on("request", request => asked.push(request.url()));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  return { page, failures, asked };
}

const shadow = (page, selector) =>
  page.evaluateHandle(
    wanted => document.querySelector(".vae-playground-shell").shadowRoot.querySelector(wanted),
    selector,
  );
const text = async (page, selector) =>
  (await shadow(page, selector)).evaluate(element => element.textContent);
const pixels = page =>
  page.evaluate(() =>
    document
      .querySelector(".vae-playground-shell")
      .playground.result.x.reduce((total, on) => total + on, 0),
  );
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

/** Draw a seven with the mouse, then a stroke by keys, then drag z and take another model. */
async function use(page) {
  const seen = {};
  await page.waitForSelector("[data-ready]", { timeout: 150_000 }); // torch and MNIST load
  const pad = await shadow(page, ".pad");
  await pad.evaluate(element => element.scrollIntoView({ block: "center" }));
  let box = await pad.boundingBox();
  const at = (a, b) => [box.x + a * box.width, box.y + b * box.height];
  await page.mouse.move(...at(0.25, 0.25));
  await page.mouse.down();
  await page.mouse.move(...at(0.75, 0.25), { steps: 6 });
  await page.mouse.move(...at(0.45, 0.8), { steps: 6 });
  await page.mouse.up();
  await pause(1000);
  seen.byMouse = await pixels(page);
  seen.words = await text(page, ".words");
  seen.nats = (await Promise.all([".error b", ".kl b", ".loss b"].map(b => text(page, b)))).map(
    Number,
  );
  await pad.focus();
  await page.keyboard.press(" ");
  for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowDown");
  for (const key of ["x", "d", "d", "a", "b", "m", "y"]) await page.keyboard.press(key);
  await page.keyboard.press(" ");
  await pause(600);
  seen.byKeys = await pixels(page);
  seen.pen = await text(page, ".pen");
  box = await (await shadow(page, ".plane")).boundingBox();
  await page.mouse.click(...at(0.25, 0.5));
  await pause(600);
  seen.chosen = await text(page, ".words");
  await (await shadow(page, ".model")).select("VAE, 20 dimensions");
  await page.waitForSelector("[data-ready='VAE, 20 dimensions']", { timeout: 60_000 });
  await (await shadow(page, ".surprise summary")).click();
  for (let i = 0; i < 100 && !(seen.surprise ?? "").includes("log p(x)"); i++) {
    await pause(200);
    seen.surprise = await text(page, ".surprise-words");
  }
  return seen;
}

/** In JupyterLab: run the code cell of the page that `make lab` opens, and use what it shows. */
async function useInJupyterLab(page) {
  // Before the notebook is restored and its kernel connected, cells come and go, and so do keys.
  await page.waitForFunction(
    () => {
      const shown = window.jupyterapp?.shell.currentWidget,
        kernel = shown?.sessionContext?.session?.kernel;
      return Boolean(
        shown?.isVisible && shown.context.isReady && kernel?.connectionStatus === "connected",
      );
    },
    { timeout: 60_000 },
  );
  await page.waitForSelector(".jp-Spinner", { hidden: true, timeout: 60_000 });
  await page.click(".jp-CodeCell .cm-content");
  await page.keyboard.down("Shift");
  await page.keyboard.press("Enter");
  await page.keyboard.up("Shift");
  const seen = await use(page);
  seen.cells = await page.evaluate(() => document.querySelectorAll(".jp-Notebook .jp-Cell").length);
  return seen;
}

const found = {};
for (const url of [...pages, ...(lab ? [lab] : [])]) {
  const { page, failures, asked } = await open(url);
  const seen = await (url === lab ? useInJupyterLab : use)(page).catch(error => ({
    error: String(error),
  }));
  found[url] = { ...seen, failures, asked };
  await page.close();
}
await browser.close();
console.log(JSON.stringify(found));
