// The step slider, playing, and the keys.

const WHOLE_RUN_SECONDS = 14; // at speed 1

function makePlayer(parent) {
  const slider = el('input', { type: 'range', id: 'step', min: firstStep, max: lastStep, step: 1, 'aria-label': 'step' });
  const button = el('button', { type: 'button', class: 'play', id: 'play', 'aria-label': 'play', title: 'play (space)' });
  const readout = el('output', { for: 'step', id: 'readout' });
  const speed = el('select', { 'aria-label': 'speed', id: 'speed' }, ...['0.25', '0.5', '1', '2', '4'].map((v) => el('option', { value: v }, `${v.replace('0.25', '¼').replace('0.5', '½')}×`)));
  const trail = el('select', { 'aria-label': 'trail', id: 'trail' }, ...[['all', 'whole trail'], ['100', '100 steps'], ['10', '10 steps'], ['0', 'no trail']].map(([v, t]) => el('option', { value: v }, t)));
  parent.append(button, slider, readout, speed, trail);
  let playing = null;

  const icon = () => {
    button.replaceChildren(svg('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' },
      svg('path', { d: playing ? 'M3 2h3.5v12H3zM9.5 2H13v12H9.5z' : 'M4 1.8 14 8 4 14.2z' })));
    button.setAttribute('aria-label', playing ? 'pause' : 'play');
    button.setAttribute('aria-pressed', String(Boolean(playing)));
  };

  function stop() {
    if (playing) cancelAnimationFrame(playing.frame);
    playing = null;
    motion.smooth = false;
    setState({ step: Math.floor(state.step) });
    icon();
  }

  function play() {
    const from = state.step >= lastStep ? firstStep : Math.floor(state.step);
    playing = { at: from, from, then: null };
    motion.smooth = !reducedMotion.matches;
    setState({ step: from });
    const advance = (now) => {
      if (!playing) return;
      const seconds = playing.then === null ? 0 : Math.min(0.1, (now - playing.then) / 1000);
      playing.then = now;
      const rate = (Number(state.speed) * (lastStep - firstStep)) / WHOLE_RUN_SECONDS;
      // Constant steps per second, eased over the first and last half second.
      const ease = Math.min(1, 0.15 + (playing.at - playing.from) / rate / 0.5, 0.15 + (lastStep - playing.at) / rate / 0.5);
      playing.at = Math.min(lastStep, playing.at + rate * seconds * ease);
      if (playing.at >= lastStep - 1e-6) { setState({ step: lastStep }); stop(); return; }
      setState({ step: reducedMotion.matches ? Math.floor(playing.at) : playing.at });
      playing.frame = requestAnimationFrame(advance);
    };
    playing.frame = requestAnimationFrame(advance);
    icon();
  }

  const togglePlay = () => (playing ? stop() : play());
  button.addEventListener('click', togglePlay);
  slider.addEventListener('input', () => { if (playing) stop(); goTo(Number(slider.value)); });
  speed.addEventListener('change', () => setState({ speed: speed.value }));
  trail.addEventListener('change', () => setState({ trail: trail.value }));

  const update = () => {
    const step = Math.floor(state.step);
    slider.value = step;
    slider.setAttribute('aria-valuetext', `step ${step} of ${lastStep}`);
    slider.style.setProperty('--share', `${(100 * (step - firstStep)) / (lastStep - firstStep)}%`);
    readout.textContent = `step ${step} / ${lastStep}`;
    if (playing && Math.abs(state.step - playing.at) > 1) stop();
  };
  const choices = () => { speed.value = state.speed; trail.value = state.trail; };
  onChange((changed) => {
    if (changed.has('step')) update();
    if (changed.has('speed') || changed.has('trail')) choices();
  });
  icon();
  update();
  choices();
  return { togglePlay, stop };
}

/** Keys that work anywhere on the page, except where text or a list is being used. */
function makeKeys(player, dialogs) {
  const other = (field, a, b) => setState({ [field]: state[field] === a ? b : a });
  const actions = {
    ' ': () => player?.togglePlay(),
    Home: () => goTo(firstStep),
    End: () => goTo(lastStep),
    v: () => switchView(state.view === '3d' ? 'contour' : '3d'),
    l: () => other('scale', 'log', 'linear'),
    d: () => other('drop', 'off', 'on'),
    t: () => setState({ theme: isDark() ? 'light' : 'dark' }),
    c: () => surfaces.length && setState({ compare: state.compare < 0 ? Math.min(surfaces.length - 1, state.surface === 0 ? 1 : 0) : -1 }),
    0: () => setState(initial),
    '?': () => dialogs.help(),
    i: () => dialogs.notes(),
  };
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.target.closest('select, input:not([type=range]), textarea')) return;
    if (event.key === ' ' && event.target.closest('button, a')) return;
    const stride = event.shiftKey ? 10 : 1;
    const foreign = event.target.matches('input[type=range]:not(#step)');
    if ((event.key === 'ArrowRight' || event.key === 'ArrowLeft') && hasSteps && !foreign) {
      player?.stop();
      goTo(Math.floor(state.step) + (event.key === 'ArrowRight' ? stride : -stride));
    } else if (/^[1-9]$/.test(event.key) && runs[event.key - 1]) toggleRun(event.key - 1);
    else if (Object.hasOwn(actions, event.key) && !(foreign && /Home|End/.test(event.key))) actions[event.key]();
    else return;
    event.preventDefault();
  });
}
