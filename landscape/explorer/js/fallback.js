// Runs in 3-D as Plotly traces, for a Plotly that keeps its camera where this page cannot read it.
// Slower than the overlay: a step restyles one trace, at most ten times a second.

function fallbackTraces(layer) {
  const of = ({ run, path, height }) => [path, height, runColour(run)];
  const paths = layer.items.map((item) => {
    const [path, height, color] = of(item);
    return {
      type: 'scatter3d', mode: 'lines', hoverinfo: 'skip', showlegend: false, line: { color, width: 4 },
      x: item.kept.map((i) => path.x[i]), y: item.kept.map((i) => path.y[i]), z: item.kept.map((i) => height[i]),
    };
  });
  const colors = layer.items.map(({ run }) => runColour(run));
  return [...paths, { type: 'scatter3d', mode: 'markers', hoverinfo: 'skip', showlegend: false, marker: { size: 6, color: colors }, ...fallbackPlaces(layer) }];
}

/** Where the markers are at the present step. */
function fallbackPlaces(layer) {
  const states = layer.items.map(({ path }) => Math.max(0, stateAt(path.step, state.step)));
  const pick = (column) => layer.items.map((item, k) => column(item)[states[k]]);
  return { x: pick((item) => item.path.x), y: pick((item) => item.path.y), z: pick((item) => item.height) };
}

/** A function that moves the markers of `land` to the present step, throttled. */
function fallbackStepper(land) {
  let waitingFor = 0;
  return () => {
    if (waitingFor) return;
    waitingFor = setTimeout(() => {
      waitingFor = 0;
      const { x, y, z } = fallbackPlaces(land.layer);
      if (land.plot.data?.length > 1) Plotly.restyle(land.plot, { x: [x], y: [y], z: [z] }, [land.plot.data.length - 1]);
    }, 100);
  };
}
