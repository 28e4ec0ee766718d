// Runs in every page of JupyterLab; all `cells` are the code cells of the open notebook.
window.lecture = {
  bars: [],
  app: () => window.jupyterapp,
  open: name => lecture.app().commands.execute('docmanager:open', {path: name}),
  panel: () => lecture.app()?.shell?.currentWidget,
  cells: () => Array.from(lecture.panel().content.model.cells).filter(cell => cell.type === 'code'),
  outputs: cell => Array.from({length: cell.outputs.length}, (_, i) => cell.outputs.get(i)),
  status: () => lecture.panel()?.sessionContext?.session?.kernel?.status,
  ready: name => lecture.panel()?.context?.path === name && lecture.panel().content.model && lecture.status() === 'idle',
  // Ends the kernel, and closes the notebook without asking whether to save it.
  close: async () => {
    const panel = lecture.panel();
    await panel.sessionContext.shutdown();
    panel.dispose();
  },
  failed: () => lecture.cells().some(cell => lecture.outputs(cell).some(output => output.type === 'error')),
  ended: () => lecture.status() === 'idle' && (lecture.failed() || lecture.cells().every(cell => cell.executionCount !== null)),
  // For each output the number of its cell, its formats and, if it is an error or a warning, its text.
  contents: () => lecture.cells().flatMap((cell, number) => lecture.outputs(cell).map(output => ({
    cell: number + 1, formats: Object.keys(output.data),
    complaint: output.data['application/vnd.jupyter.error'] ?? output.data['application/vnd.jupyter.stderr'] ?? null,
  }))),
  answers: () => lecture.panel().content.widgets.filter(cell => (cell.model.getMetadata('tags') ?? []).includes('hide-output')),
  images: () => Array.from(document.querySelectorAll('.jp-OutputArea-output img')),
  // What is wrong with a picture, if anything.
  fault: image => {
    if (!image.complete || !image.naturalWidth) return 'not loaded';
    const width = image.getBoundingClientRect().width;
    if (!width) return 'not visible';
    if (width > image.naturalWidth + 1) return `enlarged from ${image.naturalWidth} to ${width} pixels`;
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d');
    canvas.drawImage(image, 0, 0);
    const pixels = canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data;
    for (let i = 3; i < pixels.length; i += 4) if (pixels[i] < 255) return 'see-through: unreadable on a dark page';
    return null;
  },
  faults: () => lecture.images().map(lecture.fault).filter(fault => fault !== null),
  // What a reader would take for a breakdown.
  breakdowns: () => [
    ...Array.from(document.querySelectorAll('.jp-Dialog, .jupyter-widgets-error-widget, mjx-merror, .widget-hprogress')),
    ...Array.from(document.querySelectorAll('.jp-OutputArea-output')).filter(output =>
      /Error displaying widget|Loading widget|Javascript Error|Open Browser Console|step\/s|\$.+\$/.test(output.innerText)),
    ...Array.from(document.querySelectorAll('.jp-RenderedMarkdown :is(p, li, td, th, h1, h2, h3)')).filter(text =>
      /\$|\\(frac|mathbf|mathcal|sigma|mu|log|begin)/.test(text.innerText)),
    ...Array.from(document.querySelectorAll('.jp-OutputArea-output')).filter(output => output.scrollWidth > output.clientWidth + 1),
  ].map(element => (element.innerText || element.outerHTML).slice(0, 300)),
  // The arrow key that moves a slider or a menu, whichever end it stands at.
  arrow: control => control.tagName === 'SELECT'
    ? (control.selectedIndex < control.length - 1 ? 'ArrowDown' : 'ArrowUp')
    : (Number(control.ariaValueNow) < Number(control.ariaValueMax) ? 'ArrowRight' : 'ArrowLeft'),
  bytes: async image => Array.from(new Uint8Array(await (await fetch(image.src)).arrayBuffer())).join(),
  // Starts a stop watch at the next key press; it stops when the next picture has been loaded and decoded.
  startWatch: image => {
    lecture.milliseconds = new Promise(resolve => document.addEventListener('keydown', () => {
      const start = performance.now();
      image.addEventListener('load', () => resolve(performance.now() - start), {once: true});
      setTimeout(() => resolve(Infinity), 5000);
    }, {once: true, capture: true}));
  },
};
// Keeps the last text of each progress bar that ever was on the page.
new MutationObserver(() => {
  for (const bar of document.querySelectorAll('.jp-OutputArea .widget-hprogress')) {
    const line = bar.closest('.widget-hbox');
    if (line.lectureNumber === undefined) line.lectureNumber = lecture.bars.push('') - 1;
    lecture.bars[line.lectureNumber] = line.innerText || lecture.bars[line.lectureNumber];
  }
}).observe(document, {childList: true, subtree: true, characterData: true});
