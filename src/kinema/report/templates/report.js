// Tables are sorted by the heads of their columns; cells of a large confusion matrix are looked up.
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, place) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    const key = row => row.cells[place].dataset.v ?? row.cells[place].textContent.trim();
    button.addEventListener('click', () => {
      const numeric = body.rows.length && body.rows[0].cells[place].dataset.v !== undefined;
      const before = head.getAttribute('aria-sort');
      const down = before ? before === 'ascending' : numeric;
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...body.rows].sort((a, b) => numeric ? key(a) - key(b) : key(a).localeCompare(key(b)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
const heat = document.getElementById('heat');
if (heat) {
  const row = document.getElementById('look-row'), column = document.getElementById('look-column');
  const looked = document.getElementById('looked'), count = row.options.length;
  const flat = heat.dataset.cells.split(' ').map(Number), cells = new Map(), sizes = new Array(count).fill(0);
  for (let i = 0; i + 2 < flat.length; i += 3) {
    cells.set(flat[i] * count + flat[i + 1], flat[i + 2]);
    sizes[flat[i]] += flat[i + 2];
  }
  const words = (r, c) => `${cells.get(r * count + c) ?? 0} of ${sizes[r]} clips of ${row.options[r].text} taken for ${column.options[c].text}`;
  const show = () => { looked.textContent = words(row.selectedIndex, column.selectedIndex); };
  const at = event => {
    const box = heat.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width]
      .map(share => Math.min(count - 1, Math.max(0, Math.floor(share * count))));
  };
  heat.addEventListener('mousemove', event => { heat.title = words(...at(event)); });
  heat.addEventListener('click', event => { [row.selectedIndex, column.selectedIndex] = at(event); show(); });
  for (const choice of [row, column]) choice.addEventListener('change', show);
  document.getElementById('looker').hidden = false;
  show();
}
