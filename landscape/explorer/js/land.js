// One landscape: Plotly draws the ground, a RunLayer the runs, and what is under the pointer is
// read from the stored numbers.

const hasWebGL = (() => {
  let answer;
  return () => (answer ??= Boolean(document.createElement('canvas').getContext('webgl')));
})();

class Land {
  /** @param {HTMLElement} parent @param {'surface' | 'compare'} field what of the state it shows */
  constructor(parent, field) {
    this.field = field;
    this.plot = el('div', { class: 'ground' });
    this.layer = new RunLayer();
    this.tip = el('div', { class: 'tip', hidden: true });
    this.stage = el('div', { class: 'stage' }, this.plot, this.layer.svg, this.tip);
    this.stepSlowly = fallbackStepper(this);
    this.bar = new ColourBar();
    this.clip = makeClip();
    this.picker = el('div', { class: 'picker' });
    this.caption = el('p', { class: 'caption' });
    this.box = el('section', { class: 'land', 'aria-label': 'landscape' },
      el('header', {}, this.picker, this.bar.svg, this.clip.box, exportButtons('landscape', () => this.picture())), this.stage, this.caption);
    parent.append(this.box);
    this.stage.addEventListener('pointermove', (event) => this.hover(event));
    this.stage.addEventListener('pointerleave', () => { this.tip.hidden = true; this.under = null; this.pointer = null; });
    this.stage.addEventListener('click', (event) => this.choose(event));
    for (const name of ['pointerdown', 'wheel']) this.stage.addEventListener(name, () => { Land.active = this; }, { capture: true, passive: true });
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  get surface() { return surfaces[state[this.field]]; }

  /** Draw the ground again (another surface, metric, scale, clip, view or theme). */
  draw() {
    this.drawing = this.redraw();
    return this.drawing;
  }

  async redraw() {
    if (!this.surface || !window.Plotly) return;
    this.terrain = terrainOf(this.surface, Math.min(state.metric, this.surface.metrics.length - 1));
    const space = state.view === '3d';
    if (this.space !== space) {
      if (this.space !== undefined) Plotly.purge(this.plot);
      this.space = space;
      this.fresh = true;
    }
    this.box.classList.toggle('flat', !space);
    const trace = this.terrain.empty ? [] : [space ? surfaceTrace(this.terrain) : contourTrace(this.terrain)];
    if (!space && !this.terrain.empty && this.surface.measured) trace.push(measuredTrace(this.surface));
    const camera = state.camera ? cameraFrom(state.camera) : cameraOf('oblique', lands[0].terrain ? lands[0] : this);
    const layout = space ? spaceLayout(this.terrain, camera) : flatLayout(this.terrain, this.room());
    const token = (this.token = {});
    await Plotly.react(this.plot, trace, layout, {
      displayModeBar: false, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false, scrollZoom: true, responsive: false, plotGlPixelRatio: Math.min(2, Math.max(1, devicePixelRatio)), doubleClick: false,
    });
    if (token !== this.token) return;
    if (this.fresh) this.listen();
    this.fresh = false;
    this.layer.show(this.terrain);
    if (space && !this.projector() && this.layer.items.length) await Plotly.addTraces(this.plot, fallbackTraces(this.layer));
    this.bar.show(this.terrain);
    this.clip.show(this.terrain);
    this.place();
    if (space) this.follow();
  }

  listen() {
    this.plot.removeAllListeners?.('plotly_relayout');
    this.plot.removeAllListeners?.('plotly_relayouting');
    this.plot.removeAllListeners?.('plotly_doubleclick');
    const moved = () => {
      this.place();
      if (!this.space && Land.active === this) this.onRange?.(this);
    };
    this.plot.on('plotly_relayouting', moved);
    this.plot.on('plotly_relayout', moved);
    // Plotly's own double click goes back to the box of the first surface it ever drew.
    if (!this.space) this.plot.on('plotly_doubleclick', () => this.whole());
    if (this.space) {
      this.plot.on('plotly_hover', ({ points: [point] }) => { this.under = point; this.hover(this.pointer); });
      this.plot.on('plotly_unhover', () => { this.under = null; this.hover(this.pointer); });
    }
  }

  /** The box of the surface again, after zooming. */
  whole() {
    const { alpha, beta } = this.surface;
    return Plotly.relayout(this.plot, { 'xaxis.range': [alpha[0], alpha.at(-1)], 'yaxis.range': [beta[0], beta.at(-1)] });
  }

  /** Others follow the camera that the pointer turns here; it is remembered when it comes to rest. */
  turned() {
    if (Land.active !== this) return;
    this.onCamera?.(this, this.camera());
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (!this.space) return;
      this.kept = cameraNumbers(this.camera());
      setState({ camera: this.kept });
    }, 250);
  }

  /** The camera as it is now; Plotly's layout lags behind while it is being turned. */
  camera() {
    const { scene } = this.plot._fullLayout;
    return scene._scene?.getCamera?.() ?? scene.camera;
  }

  /** Take over the camera of another landscape; while one is being set, only the newest waits. */
  async turnTo(camera) {
    this.wanted = camera;
    if (this.turning) return;
    this.turning = true;
    while (this.wanted && this.space && !this.box.hidden) {
      const next = this.wanted;
      this.wanted = null;
      await Plotly.relayout(this.plot, { 'scene.camera': next });
    }
    this.turning = false;
  }

  /** The pixels of data in the present view. */
  projector() {
    if (!this.plot._fullLayout) return null;
    return this.space ? spaceProjector(this.plot, this.terrain.log) : flatProjector(this.plot);
  }

  place() {
    const project = this.projector();
    this.layer.svg.toggleAttribute('hidden', !project);
    if (!project) return;
    this.signature = project.signature;
    const { xaxis, yaxis } = this.plot._fullLayout;
    const frame = this.space ? { x: 0, y: 0, width: this.stage.clientWidth, height: this.stage.clientHeight }
      : { x: xaxis._offset, y: yaxis._offset, width: xaxis._length, height: yaxis._length };
    if (!this.space) for (const [side, value] of Object.entries({ left: frame.x, top: frame.y, width: frame.width, height: frame.height })) this.stage.style.setProperty(`--${side}`, `${value}px`);
    this.layer.place(project, frame);
  }

  /** In 3-D, follow the camera: whenever Plotly's matrices changed, place the runs again. */
  follow() {
    if (this.following) return;
    this.following = true;
    const look = () => {
      if (!this.space || !this.box.isConnected) { this.following = false; return; }
      const project = this.projector();
      if (project && project.signature !== this.signature) {
        this.place();
        this.turned();
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  /** Pixels for the titles of both axes; the stage becomes no taller than the surface needs. */
  room() {
    const { l, r, t, b } = FLAT_MARGIN;
    const { ratio, true: fixed } = aspectOf(this.surface);
    const width = this.stage.clientWidth - l - r;
    this.stage.style.setProperty('--tallest', fixed ? `${Math.ceil(width / ratio) + t + b}px` : 'none');
    const height = this.stage.clientHeight - t - b;
    return fixed ? [Math.min(width, height * ratio), Math.min(height, width / ratio)] : [width, height];
  }

  step() {
    if (this.space && this.plot.data?.length > 1) this.stepSlowly();
    else this.layer.step(state.step);
    this.bar.step();
  }

  async resize() {
    if (!this.plot._fullLayout || !this.stage.clientWidth) return;
    if (!this.space) {
      const { xaxis, yaxis } = flatLayout(this.terrain, this.room());
      await Plotly.relayout(this.plot, { 'xaxis.title.text': xaxis.title.text, 'yaxis.title.text': yaxis.title.text });
    }
    await Plotly.Plots.resize(this.plot);
    this.place();
    this.bar.draw();
  }

  /** Nearest stored point under the pointer: {i, j} or null. */
  pointUnder(event) {
    const { alpha, beta } = this.surface;
    if (this.space) {
      return this.under ? { i: nearest(alpha, this.under.x), j: nearest(beta, this.under.y) } : null;
    }
    const frame = this.stage.getBoundingClientRect();
    const { xaxis, yaxis } = this.plot._fullLayout;
    const [px, py] = [event.clientX - frame.left - xaxis._offset, event.clientY - frame.top - yaxis._offset];
    if (px < 0 || py < 0 || px > xaxis._length || py > yaxis._length) return null;
    const [x, y] = [xaxis.p2l(px), yaxis.p2l(py)];
    const [halfX, halfY] = [(alpha[1] - alpha[0]) / 2, (beta[1] - beta[0]) / 2];
    if (x < alpha[0] - halfX || x > alpha[alpha.length - 1] + halfX || y < beta[0] - halfY || y > beta[beta.length - 1] + halfY) return null;
    return { i: nearest(alpha, x), j: nearest(beta, y) };
  }

  hover(event) {
    this.pointer = event;
    if (!event || !this.terrain || !this.plot._fullLayout) return;
    if (event.buttons) { this.tip.hidden = true; return; }
    const frame = this.stage.getBoundingClientRect();
    const near = this.layer.nearest(event.clientX - frame.left, event.clientY - frame.top, 9);
    this.stage.classList.toggle('pick', Boolean(near));
    if (near) showTip(this.tip, this.stage, event, runTip(near.item, near.state));
    else {
      const point = this.pointUnder(event);
      if (point) showTip(this.tip, this.stage, event, groundTip(this.terrain, point));
      else this.tip.hidden = true;
    }
  }

  choose(event) {
    const frame = this.stage.getBoundingClientRect();
    const near = this.layer.nearest(event.clientX - frame.left, event.clientY - frame.top, 9);
    if (near) goTo(near.item.path.step[near.state]);
  }

  picture() {
    return { plot: this.plot, width: this.stage.clientWidth, height: this.stage.clientHeight, layers: [this.layer.svg], title: `${content.title}, step ${Math.floor(state.step)}` };
  }
}

const tipRow = (name, value) => el('div', { class: 'row' }, el('span', {}, name), el('span', { class: 'number' }, value));

function groundTip({ surface, metric, values, top }, { i, j }) {
  const k = j * surface.alpha.length + i;
  const error = surface.error[metric][k];
  const value = surface.computed[k] ? short(values[k], 5) : 'not computed';
  return [
    tipRow(surface.metrics[metric], value),
    surface.measured && !surface.measured[k] ? tipRow('interpolated', '') : '',
    surface.within[metric]?.[k] > 0 ? tipRow('± error (95 %)', short(surface.within[metric][k], 2)) : error > 0 ? tipRow('± standard error', short(error, 2)) : '',
    values[k] > top ? tipRow('drawn at', short(top)) : '',
    tipRow(surface.labels[0], short(surface.alpha[i])), tipRow(surface.labels[1], short(surface.beta[j])),
  ];
}

function runTip({ run, path, colour }, i) {
  return [
    el('div', { class: 'row' }, el('i', { style: `background:${colour}` }), el('b', {}, run.name), el('span', { class: 'number' }, `step ${path.step[i]}`)),
    path.loss ? tipRow('loss', short(path.loss[i], 4)) : '', path.inPlane ? tipRow('loss in plane', short(path.inPlane[i], 4)) : '',
    tipRow('off plane', short(path.residual[i])),
  ];
}
