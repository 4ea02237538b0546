// The colour bar of a landscape and the chips that switch runs.

class ColourBar {
  constructor() {
    this.svg = svg('svg', { class: 'bar', role: 'img', 'aria-label': 'colours of the surface' });
    ColourBar.count = (ColourBar.count ?? 0) + 1;
    this.id = `bar-${ColourBar.count}`;
  }

  show(terrain) {
    this.terrain = terrain;
    this.draw();
  }

  draw() {
    const { terrain } = this;
    const width = this.svg.clientWidth;
    this.svg.replaceChildren();
    if (!terrain || terrain.empty || width < 60) return;
    this.svg.setAttribute('viewBox', `0 0 ${width} 30`);
    const [left, right] = [10, width - 14];
    const scale = groundScale();
    this.x = scaleOf(terrain.low, terrain.top, left, right, terrain.log);
    this.svg.append(
      svg('linearGradient', { id: this.id }, ...scale.map(([t, colour]) => svg('stop', { offset: t, 'stop-color': colour }))),
      svg('rect', { x: left, y: 7, width: right - left, height: 7, fill: `url(#${this.id})`, class: 'ramp' }));
    const ticks = ticksOf(terrain.low, terrain.top, Math.max(2, Math.floor(width / 48)), terrain.log);
    for (const tick of ticks) this.svg.append(svg('text', { x: this.x(tick), y: 26, 'text-anchor': 'middle' }, tickText(tick)));
    if (terrain.top < terrain.high) {
      this.svg.append(svg('path', { d: `M${right} 5V16`, class: 'clip' }), svg('title', {}, `clipped at ${short(terrain.top)}; highest ${short(terrain.high)}`));
    }
    this.needles = visibleRuns().filter((run) => pathOf(terrain.surface, run)?.loss && terrain.metric === 0).map((run) => {
      const needle = svg('path', { d: 'M0 7L-3.2 1H3.2Z', class: 'needle', style: `fill:var(--run-${run.index})` });
      this.svg.append(needle);
      return [needle, run];
    });
    this.step();
  }

  step() {
    for (const [needle, run] of this.needles ?? []) {
      const loss = valueAt(pathOf(this.terrain.surface, run), 'loss', state.step);
      const shown = Number.isFinite(loss);
      needle.setAttribute('visibility', shown ? 'visible' : 'hidden');
      if (shown) needle.setAttribute('transform', `translate(${this.x(this.terrain.clamp(loss)).toFixed(1)} 0)`);
    }
  }
}

/** The slider that flattens a surface above a share of its points. */
function makeClip() {
  const input = el('input', { type: 'range', min: 0.5, max: 1, step: 0.01, 'aria-label': 'clip' });
  const box = el('label', { class: 'clip-box' }, el('span', { class: 'note' }, 'clip'), input);
  input.addEventListener('input', () => setState({ clip: Number(input.value) }));
  const show = (terrain) => {
    const text = terrain.top < terrain.high ? `flat above ${short(terrain.top)}; the highest point is ${short(terrain.high)}` : 'nothing is clipped';
    input.value = terrain.share;
    input.style.setProperty('--share', `${200 * (terrain.share - 0.5)}%`);
    input.setAttribute('aria-valuetext', text);
    box.title = text;
  };
  return { box, show };
}

/** Dim every run but one, while a chip or a row is pointed at. */
function emphasise(index) {
  byId('emphasis').textContent = index === null ? '' : `.runs [data-run]:not([data-run="${index}"]), .plot [data-run]:not([data-run="${index}"]) { opacity: 0.12; }`;
}

function emphasiseOn(node, run) {
  node.addEventListener('pointerenter', () => emphasise(isVisible(run) ? run.index : null));
  node.addEventListener('pointerleave', () => emphasise(null));
  return node;
}

function makeLegend(parent) {
  const chips = runs.map((run) => emphasiseOn(el('li', {}, el('button', {
    type: 'button', class: 'chip', title: run.index < 9 ? `key ${run.index + 1}` : null, onclick: () => toggleRun(run.index),
  }, sample(run), el('bdi', {}, run.name))), run));
  parent.append(...chips);
  const update = () => chips.forEach((chip, index) => chip.firstChild.setAttribute('aria-pressed', String(!state.hidden.includes(index))));
  onChange((changed) => changed.has('hidden') && update());
  update();
}
