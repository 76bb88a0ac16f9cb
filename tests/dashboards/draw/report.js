// Reads from the drawn page what a person sees, and what a person cannot see.

/** Whether a container of a text hides a part of it. */
function isCut(range, panel) {
  const text = range.getBoundingClientRect();
  let scrolls = false;
  for (let element = range.startContainer.parentElement; panel.contains(element); element = element.parentElement) {
    const { overflowX, overflowY } = getComputedStyle(element);
    const frame = element.getBoundingClientRect();
    if (overflowX !== 'visible' && (text.right > frame.right + 1 || text.left < frame.left - 1)) return true;
    // A list that scrolls down shows the rest on demand. A list that scrolls sideways hides columns.
    scrolls ||= ['auto', 'scroll'].includes(overflowY);
    if (overflowY === 'hidden' && !scrolls && text.bottom > frame.bottom + 4) return true;
  }
  return false;
}

function cutTexts(panel) {
  const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  const cut = new Set();
  while (walker.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    if (walker.currentNode.data.trim() && range.getBoundingClientRect().width && isCut(range, panel)) cut.add(walker.currentNode.data);
  }
  return [...cut];
}

const texts = (parent, role) => [...parent.querySelectorAll(`[role=${role}]`)].map((cell) => cell.innerText.trim());

/** The rows of a table, each by the names of its columns. */
function rows(panel) {
  const columns = texts(panel, 'columnheader');
  const lines = [...panel.querySelectorAll('[role=row]')].map((row) => texts(row, 'cell')).filter((row) => row.length);
  return lines.map((row) => Object.fromEntries(row.map((text, index) => [columns[index], text])));
}

/** What each panel shows. `links` are those that the table's cells offer, row by row. */
export function report(drawings) {
  return drawings.map(({ panel, frames, problem }) => {
    const element = document.getElementById(`panel-${panel.id}`);
    const body = element.querySelector('[data-body]');
    return {
      id: panel.id,
      title: panel.title,
      type: panel.type,
      problem: problem ?? null,
      is_empty: Boolean(element.querySelector('[data-nothing]')),
      text: body?.innerText ?? '',
      nothing: panel.fieldConfig?.defaults?.noValue ?? null,
      rows: panel.type === 'table' ? rows(element) : [],
      cut: cutTexts(element),
      bottom: element.getBoundingClientRect().bottom + window.scrollY,
      links: panel.type === 'table' ? linksOf(frames[0]) : [],
    };
  });
}

function linksOf(frame) {
  const linked = (frame?.fields ?? []).filter((field) => field.config.links?.length);
  return linked.flatMap((field) =>
    Array.from({ length: frame.length }, (_, row) => field.getLinks({ valueRowIndex: row }).map(({ title, href }) => [title, href])).flat(),
  );
}
