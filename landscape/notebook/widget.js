// Shows the page in a frame of its own and passes on what it asks; the page is made anew for every answer.
function render({ model, el }) {
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts allow-downloads');
  frame.style.cssText = 'width:100%;height:860px;border:0;resize:vertical';
  el.append(frame);
  let [view, address, said] = ['', '', ''];
  const draw = () => {
    URL.revokeObjectURL(address);
    const page = model.get('page').replace('@CONTENT@', () => model.get('content'));
    address = URL.createObjectURL(new Blob([page], { type: 'text/html' }));
    frame.src = `${address}#${view}`;
  };
  const hear = ({ source, data }) => {
    if (source !== frame.contentWindow || !data?.landscape) return;
    const { ask, view: seen, ready } = data.landscape;
    if (seen !== undefined) view = seen;
    if (ask) model.send(ask);
    if (ready && said) frame.contentWindow.postMessage({ said }, '*');
  };
  const told = (message) => {
    said = message.said ?? said;
    if (message.surface !== undefined) {
      const fields = new URLSearchParams(view);
      for (const name of ['window', 'camera', 'pins', 'clip', 'compare']) fields.delete(name);
      fields.set('surface', message.surface);
      view = String(fields);
    }
    frame.contentWindow?.postMessage({ said }, '*');
  };
  addEventListener('message', hear);
  model.on('msg:custom', told);
  model.on('change:content', draw);
  draw();
  return () => {
    removeEventListener('message', hear);
    URL.revokeObjectURL(address);
  };
}
export default { render };
