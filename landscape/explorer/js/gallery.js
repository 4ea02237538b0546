// The index of a gallery: cards that are shown or not, by task, optimizer and words.

const picked = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id)).value;

function sift() {
  const [task, optimizer, words] = ['task', 'optimizer', 'words'].map(picked);
  let shown = 0;
  for (const card of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.card'))) {
    const { tasks, optimizers, text } = card.dataset;
    const fits = (!task || JSON.parse(tasks).includes(task)) && (!optimizer || JSON.parse(optimizers).includes(optimizer))
      && words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
    card.hidden = !fits;
    shown += Number(fits);
  }
  document.getElementById('count').textContent = `${shown} shown`;
  const asked = new URLSearchParams(Object.entries({ task, optimizer, words }).filter(([, value]) => value));
  history.replaceState(null, '', `#${asked}`);
}

for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
  const field = /** @type {HTMLInputElement | null} */ (document.getElementById(name));
  if (field?.matches('select, input')) field.value = value;
}
for (const id of ['task', 'optimizer', 'words']) document.getElementById(id).addEventListener('input', sift);
sift();
