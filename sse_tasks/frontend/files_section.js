// A task's artifacts: their names and sizes, each to be saved, and pictures shown where they are.
import { Section, actionButton, save } from './section.js';
import { pictureSize, pictureType } from './pictures.js';
import { formatNumber, formatSize } from './figures.js';
import { make, setText } from './task_card.js';

const PICTURE_NAME = /\.(?:png|jpe?g|gif|webp)$/i;
const PICTURE_BYTES = 8 << 20;
const PICTURE_PIXELS = 50e6; // four bytes each, once it is unpacked
const SHOWN_AT_ONCE = 3;
const LISTED = 100;
const RELIST_MS = 1000;

/** What turns the direction of text, so that a name seems to end otherwise than it does; and halves of characters. */
const MISLEADING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cs}|\p{Cc}/gu;

/** @param {import('./section.js').SectionHost} host */
export function filesSection({ hub, taskType, taskId, isLooking }) {
  const section = new Section('Files', look);
  const list = make('ul', '-files');
  const about = make('div', '-about');
  section.panel.append(list, about, section.problem);
  let count = 0;
  let cursor; // of the task when they were listed
  let latest;
  let isBusy = false;
  let isOver = false;
  let next = 0;
  /** @type {Map<string, {node: HTMLElement, modified: string, url?: string}>} */
  const rows = new Map();

  async function look() {
    if (isBusy || isOver || !section.isOpen || !isLooking() || cursor === latest) return;
    isBusy = true;
    await new Promise((resolve) => setTimeout(resolve, next - Date.now()));
    next = Date.now() + RELIST_MS;
    cursor = latest;
    try {
      show(await hub.files(taskType, taskId));
      section.say('');
    } catch (reason) {
      section.say(reason.message);
    }
    isBusy = false;
    look();
  }

  /** @param {{name: string, bytes: number, modified: string}[]} files */
  function show(files) {
    if (isOver) return;
    const names = new Set(files.map(({ name }) => name));
    for (const [name, row] of rows) if (!names.has(name)) drop(name, row);
    let pictures = 0;
    for (const file of files.slice(0, LISTED)) {
      const isPicture = PICTURE_NAME.test(file.name) && file.bytes <= PICTURE_BYTES && file.bytes > 0;
      if (isPicture) pictures += 1;
      const known = rows.get(file.name);
      if (known?.modified === `${file.modified} ${file.bytes}`) continue;
      if (known) drop(file.name, known);
      addRow(file, isPicture, pictures <= SHOWN_AT_ONCE);
    }
    const left = files.length - LISTED;
    setText(about, left > 0 ? `${left} more. In Python they are in the task’s .files().` : '');
  }

  /** @param {string} name @param {{node: HTMLElement, url?: string}} row */
  function drop(name, row) {
    if (row.url) URL.revokeObjectURL(row.url);
    row.node.remove();
    rows.delete(name);
  }

  function addRow({ name, bytes, modified }, isPicture, isShown) {
    const node = make('li', '-file');
    /** @type {{node: HTMLElement, modified: string, url?: string}} */
    const row = { node, modified: `${modified} ${bytes}` };
    const label = make('span', '-fileName');
    const amount = make('span', '-fileSize');
    const shownName = name.replace(MISLEADING, '\uFFFD');
    label.textContent = label.title = shownName;
    amount.textContent = formatSize(bytes);
    const get = actionButton(section, 'Download', async () => save(await hub.file(taskType, taskId, name), shownName));
    get.setAttribute('aria-label', `Download ${shownName}`);
    node.append(label, amount, get);
    rows.set(name, row);
    list.append(node);
    if (!isPicture) return;
    const present = async () => {
      const blob = await hub.file(taskType, taskId, name, PICTURE_BYTES);
      const content = new Uint8Array(await blob.arrayBuffer());
      if (isOver || rows.get(name) !== row || row.url) return;
      const type = pictureType(content);
      const [width, height] = pictureSize(content) ?? [0, 0];
      const isNone = `${shownName} is no picture that can be shown here.`;
      if (!type || !width || !height) throw new Error(isNone);
      if (width * height > PICTURE_PIXELS) throw new Error(`${shownName} has ${formatNumber(width)} × ${formatNumber(height)} pixels: too many to be shown here.`);
      row.url = URL.createObjectURL(new Blob([blob], { type }));
      const picture = make('img', '-picture', { alt: shownName, src: row.url, decoding: 'async' });
      picture.addEventListener('error', () => {
        picture.remove();
        section.say(isNone);
      });
      node.append(picture);
    };
    if (isShown) {
      present().catch((reason) => section.say(reason.message));
      return;
    }
    const open = actionButton(section, 'Show', async () => {
      await present();
      get.focus({ preventScroll: true });
      open.remove();
    });
    open.setAttribute('aria-label', `Show ${shownName}`);
    node.append(open);
  }

  return {
    section,
    show(task) {
      count = task.files ?? 0;
      latest = `${task.cursor} ${count}`;
      section.show(Boolean(hub.files) && count > 0);
      section.setCount(count ? String(count) : '');
      // What a failed task left as evidence, like the page that it failed at, is what one wants to see.
      if (task.status === 'failed' && !section.button.hidden) section.decide(true);
      look();
    },
    look,
    dispose() {
      isOver = true;
      for (const [name, row] of rows) drop(name, row);
    },
  };
}
