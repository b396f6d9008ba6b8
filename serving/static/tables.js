// Tables and lists that change each second without losing focus or scroll: one element per key.
export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "class") made.className = value;
    else if (name === "on") made.addEventListener("click", value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Bring the children of `box` to `rows` in order; `make(row)` builds one, `fill(node, row)` updates it.
export function keyed(box, rows, key, make, fill) {
  const held = (box.held ??= new Map());
  const wanted = new Set(rows.map(key));
  for (const [name, node] of held) {
    if (!wanted.has(name)) {
      node.remove();
      held.delete(name);
    }
  }
  let at = box.firstChild;
  for (const row of rows) {
    const name = key(row);
    let node = held.get(name);
    if (!node) held.set(name, (node = make(row)));
    fill(node, row);
    if (node === at) at = at.nextSibling;
    else box.insertBefore(node, at);
  }
}

// columns: [{name, title, num, cell(row) -> {text, tone, second, bar, title, open}}]; the first is the row's header.
export class Table {
  constructor(box, caption, columns, key, open) {
    this.columns = columns;
    this.key = key;
    this.open = open;
    this.empty = el("p", { class: "empty", hidden: "" });
    this.body = el("tbody");
    const heads = columns.map((c) => el("th", { scope: "col", class: c.num ? "num" : undefined, title: c.title }, c.name));
    this.table = el("table", {}, el("caption", { class: "skip" }, caption), el("thead", {}, el("tr", {}, ...heads)), this.body);
    box.append(this.table, this.empty);
  }

  show(rows, none, current) {
    this.table.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    set(this.empty, none);
    keyed(this.body, rows, this.key, () => this.make(), (node, row) => this.fill(node, row, current));
  }

  make() {
    const row = el("tr");
    this.columns.forEach((c, at) => {
      const cell = at === 0 ? el("th", { scope: "row" }) : el("td", { class: c.num ? "num" : undefined });
      const main = c.opens ? el("button", { type: "button", class: "open", on: () => this.open(row.row) }) : el("span");
      cell.append(main);
      row.append(cell);
    });
    return row;
  }

  fill(node, row, current) {
    node.row = row;
    mark(node, this.key(row) === current);
    this.columns.forEach((c, at) => {
      const cell = node.children[at];
      const given = c.cell(row);
      const { text, tone, second, bar, title } = typeof given === "object" ? given : { text: given };
      set(cell.firstChild, text);
      if (tone) cell.firstChild.dataset.tone = tone;
      else delete cell.firstChild.dataset.tone;
      if (title && cell.title !== title) cell.title = title;
      if (second !== undefined) set((cell.second ??= cell.appendChild(el("span", { class: "second" }))), second);
      if (bar !== undefined) {
        cell.bar ??= cell.appendChild(el("span", { class: "bar", "aria-hidden": "true" }, el("i")));
        cell.bar.firstChild.style.width = `${Math.round(Math.min(1, Math.max(0, bar)) * 100)}%`;
      }
    });
  }
}

export function mark(node, on) {
  if (on) node.setAttribute("aria-current", "true");
  else node.removeAttribute("aria-current");
}
