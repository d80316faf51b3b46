// What a graph shows, as the query of its address: whoever opens the address sees the same.

import { parsePeriod } from './periods.js';

export const FIELDS = ['value', 'mean', 'median', 'mode', 'max', 'min', 'stdev'];
export const RESOLUTIONS = ['', '10min', 'hour'];
export const SHAPES = ['line', 'step', 'points'];
export const SMOOTHINGS = [0, 5, 15, 51]; // points that a mean is made of
export const KINDS = ['halted', 'restart', 'configuration', 'alert', 'note', 'silent', 'failing', 'active'];
export const USUAL_KINDS = KINDS.slice(0, 5);
export const LAYOUTS = ['one', 'units', 'lines'];
export const COLORS = 8;
export const MOST_LINES = 12;
const USUAL_SPAN = '1d';

/** A line of a component as it is at first. */
export function newLine(codifier) {
  return {
    codifier, field: 'value', resolution: '', axis: '', shape: '', smoothing: 0, color: 0, band: true,
  };
}

function parseLine(text) {
  const line = newLine(text.slice(0, 2)); // any two characters, also a comma
  for (const word of text.slice(3).split(',')) {
    const [field, resolution = ''] = word.split('-');
    const number = Number(word.slice(1));
    if (FIELDS.includes(field) && RESOLUTIONS.includes(resolution)) Object.assign(line, { field, resolution });
    else if (word === 'left' || word === 'right') line.axis = word;
    else if (SHAPES.includes(word)) line.shape = word;
    else if (word === 'noband') line.band = false;
    else if (word[0] === 's' && SMOOTHINGS.includes(number)) line.smoothing = number;
    else if (word[0] === 'c' && Number.isInteger(number) && number >= 1 && number <= COLORS) line.color = number;
  }
  return line;
}

/** The field as the server takes it, such as mean-10min. */
export const fieldOf = ({ field, resolution }) => (resolution ? `${field}-${resolution}` : field);

function formatLine(line) {
  const words = [line.codifier];
  if (fieldOf(line) !== 'value') words.push(fieldOf(line));
  if (line.axis) words.push(line.axis);
  if (line.shape) words.push(line.shape);
  if (line.smoothing) words.push(`s${line.smoothing}`);
  if (line.color) words.push(`c${line.color}`);
  if (!line.band) words.push('noband');
  return words.join(',');
}

/** What a query describes; what it does not say is as usual. */
export function parse(query) {
  const given = new URLSearchParams(query);
  const lines = given.getAll('line').filter((text) => text.length >= 2).slice(0, MOST_LINES).map(parseLine);
  const [from, to] = [Date.parse(given.get('from')), Date.parse(given.get('to'))];
  const last = parsePeriod(given.get('last')) ? given.get('last') : USUAL_SPAN;
  const kinds = given.get('marks');
  return {
    lines,
    fixed: from < to ? [from, to] : null,
    last,
    before: parsePeriod(given.get('before')) ? given.get('before') : '',
    layout: LAYOUTS.includes(given.get('layout')) ? given.get('layout') : 'one',
    kinds: kinds === null ? USUAL_KINDS : KINDS.filter((kind) => kinds.split(',').includes(kind)),
    saved: Number(given.get('saved')) || 0,
  };
}

/** The query that describes a graph. */
export function format(graph) {
  const query = new URLSearchParams();
  for (const line of graph.lines) query.append('line', formatLine(line));
  if (graph.fixed) {
    query.set('from', new Date(graph.fixed[0]).toISOString());
    query.set('to', new Date(graph.fixed[1]).toISOString());
  } else {
    query.set('last', graph.last);
  }
  if (graph.before) query.set('before', graph.before);
  if (graph.layout !== 'one') query.set('layout', graph.layout);
  if (graph.kinds.join() !== USUAL_KINDS.join()) query.set('marks', graph.kinds.join());
  if (graph.saved) query.set('saved', graph.saved);
  return query;
}
