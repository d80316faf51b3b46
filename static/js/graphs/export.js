// What is shown as a picture; as a file of numbers it comes from the server.

import { ROOT } from '../live.js';
import { toast } from '../request.js';
import { ZONE } from '../view.js';
import { fieldOf } from './address.js';

const PADDING = 16;
const ROW = 22;

/** Let the browser store a file. */
function store(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Let the server make a file of a span: of what is `shown`, of `readings`, or of statistics, `10min` or
 * `hour`; without lines of all sensors. `earlier` is where a span of the same length begins that is
 * compared with the one shown. What is shown is short, so that an error can be told.
 */
export async function storeFile(lines, [from, to], { format, what, points, earlier = null }) {
  const query = new URLSearchParams({
    format, what, from: Math.max(0, Math.floor(from)), to: Math.ceil(to) + 1, zone: ZONE,
  });
  if (points) query.set('points', points);
  if (earlier !== null) query.set('earlier', Math.floor(earlier));
  for (const line of lines) query.append('line', `${line.codifier},${fieldOf(line)}`);
  const link = document.createElement('a');
  link.href = `${ROOT}graphs/export?${query}`;
  link.download = '';
  if (what !== 'shown') {
    link.click();
    return;
  }
  try {
    const response = await fetch(link.href);
    if (!response.ok) throw new Error((await response.json()).error);
    const [, name] = /filename="?([^";]+)/.exec(response.headers.get('Content-Disposition')) ?? [];
    store(await response.blob(), name ?? `graph.${format}`);
  } catch (error) {
    toast(error instanceof TypeError ? 'The server does not answer.' : error.message, true);
  }
}

/** A name for a file, which every system takes. */
export const fileName = (title, kind) => `${title.replace(/[^\p{L}\p{N} ._-]+/gu, '_').trim().slice(0, 80) || 'graph'}.${kind}`;

/** Store all charts as one picture, with a title and the names of the lines. */
export async function storePicture(stage, title, subtitle, entries) {
  const canvases = stage.charts.map(({ plot }) => plot.ctx.canvas);
  if (canvases.length === 0) {
    toast('There is no chart to store.', true);
    return;
  }
  const ratio = devicePixelRatio;
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const picture = document.createElement('canvas');
  const pen = picture.getContext('2d');
  const width = Math.max(...canvases.map((canvas) => canvas.width)) / ratio + 2 * PADDING;
  const head = PADDING + 30 + 20;
  const charts = canvases.reduce((sum, canvas) => sum + canvas.height / ratio + PADDING, 0);
  picture.width = width * ratio;
  picture.height = (head + charts + entries.length * ROW + PADDING) * ratio;
  pen.scale(ratio, ratio);
  pen.fillStyle = color('--surface');
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.fillStyle = color('--text');
  pen.font = '600 18px system-ui, sans-serif';
  pen.fillText(title, PADDING, PADDING + 18, width - 2 * PADDING);
  pen.fillStyle = color('--muted');
  pen.font = '13px system-ui, sans-serif';
  pen.fillText(subtitle, PADDING, PADDING + 40, width - 2 * PADDING);
  let top = head;
  for (const canvas of canvases) {
    pen.drawImage(canvas, PADDING, top, canvas.width / ratio, canvas.height / ratio);
    top += canvas.height / ratio + PADDING;
  }
  for (const { name, variable, dashed } of entries) {
    pen.strokeStyle = color(variable);
    pen.lineWidth = 3;
    pen.setLineDash(dashed ? [5, 3] : []);
    pen.beginPath();
    pen.moveTo(PADDING, top + ROW / 2);
    pen.lineTo(PADDING + 24, top + ROW / 2);
    pen.stroke();
    pen.fillStyle = color('--text');
    pen.fillText(name, PADDING + 34, top + ROW / 2 + 5, width - 2 * PADDING - 34);
    top += ROW;
  }
  const blob = await new Promise((resolve) => { picture.toBlob(resolve, 'image/png'); });
  store(blob, fileName(title, 'png'));
}
