// The live page: one topic, followed over Server-Sent Events, drawn at most once per frame.

import { Totals } from './totals.js';

const SPARK_SECONDS = 60;
const LIST_EVERY_MS = 1000;
const RETRY_MS = 1000;

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

// The token, where the cluster asks for one: `#token=…`, which browsers send to no server.
const token = new URLSearchParams(location.hash.slice(1)).get('token');
const authorization = token ? { authorization: `Bearer ${token}` } : {};

const totals = new Totals();
const rates = new Array(SPARK_SECONDS).fill(0);
let thisSecond = 0;
let topic = null;
let source = null;
let lag = null;
let itemChosen = false;
let frame = 0;

// ── Following a topic ────────────────────────────────────────────────────────────────────────────────

function watch(name, { remember = true } = {}) {
  if (name === topic) return;
  topic = name;
  totals.begin();
  rates.fill(0);
  thisSecond = 0;
  lag = null;
  if (remember) history.replaceState(null, '', `?topic=${encodeURIComponent(name)}${location.hash}`);
  $('topic').value = name;
  $('name').textContent = name;
  $('sums').replaceChildren();
  $('empty').hidden = true;
  $('live').hidden = false;
  follow();
  draw();
}

function follow() {
  source?.close();
  state('connecting', 'connecting');
  // An EventSource can't send headers. When it reconnects by itself it sends the last event's id.
  const query = new URLSearchParams();
  if (token) query.set('access_token', token);
  if (totals.held) query.set('since', totals.held);
  const events = new EventSource(`/v1/topics/${encodeURIComponent(topic)}/stream?${query}`);
  source = events;
  const whole = (event) => {
    const view = JSON.parse(event.data);
    if (totals.snapshot(view)) draw();
    seen(view);
  };
  events.addEventListener('snapshot', whole);
  events.addEventListener('gone', whole);
  events.addEventListener('update', (event) => {
    const view = JSON.parse(event.data);
    thisSecond += totals.update(view);
    seen(view);
    draw();
  });
  events.onerror = () => {
    if (events !== source) return;
    state('lost', 'connection lost, trying again');
    // A refused stream is not tried again by the browser itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => events === source && follow(), RETRY_MS);
  };
}

function seen(view) {
  if (totals.isGone) state('gone', 'this topic was forgotten');
  else state('live', 'live');
  if (view.complete_to > 0) lag = Math.max(0, Date.now() - view.complete_to);
}

function state(name, text) {
  const pill = $('connection');
  if (pill.dataset.state === name && pill.textContent === text) return;
  pill.dataset.state = name;
  pill.textContent = text;
}

// ── Choosing a topic ─────────────────────────────────────────────────────────────────────────────────

async function listTopics() {
  const response = await fetch('/v1/topics', { headers: authorization });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const { topics } = await response.json();
  const option = (name) => Object.assign(document.createElement('option'), { value: name });
  $('topics').replaceChildren(...topics.map(option));
  return topics;
}

async function chooseTopic() {
  if (topic !== null) return;
  try {
    const [first] = await listTopics();
    if (topic !== null) return;
    if (first !== undefined) return watch(first, { remember: false });
    state('idle', 'waiting for the first event');
    $('empty').hidden = false;
  } catch {
    state('lost', 'no answer from the cluster, trying again');
  }
  setTimeout(chooseTopic, LIST_EVERY_MS);
}

$('topic').addEventListener('focus', () => listTopics().catch(() => {}));
$('picker').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('topic').value.trim();
  if (name) watch(name);
});

// ── Sending likes ────────────────────────────────────────────────────────────────────────────────────

async function like(to, item) {
  const message = $('message');
  try {
    const response = await fetch('/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization },
      body: JSON.stringify({ topic: to, item, kind: 'like', delta: 1 }),
    });
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(body.error?.message ?? `the answer was ${response.status}`);
    message.dataset.state = 'good';
    message.textContent = `Your like for ${item} is counted.`;
    return true;
  } catch (error) {
    message.dataset.state = 'bad';
    message.textContent = `The like was not sent: ${error.message}`;
    return false;
  }
}

$('first-like').addEventListener('click', async () => {
  if (await like('demo', 'post-1')) watch('demo');
});
$('item').addEventListener('input', () => (itemChosen = true));
$('send').addEventListener('submit', (event) => {
  event.preventDefault();
  like(topic, $('item').value);
});
$('top').addEventListener('click', (event) => {
  const item = event.target.closest('button')?.dataset.item;
  if (item !== undefined) like(topic, item);
});

// ── Drawing ──────────────────────────────────────────────────────────────────────────────────────────

function draw() {
  // A tab in the background is drawn no frames, and still shows its title.
  const sums = [...totals.sums].map(([kind, sum]) => `${number.format(sum)} ${kind}`);
  document.title = [...sums, topic, 'Countree'].join(' · ');
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    drawSums();
    drawFacts();
    drawAway();
    drawTop();
  });
}

/** Sets an output's plain and shown value; returns whether it changed. */
function show(output, value, text) {
  const plain = String(value);
  if (output.dataset.value === plain) return false;
  output.dataset.value = plain;
  output.textContent = text ?? number.format(value);
  return true;
}

function sumOutput(kind) {
  const cards = $('sums');
  for (const output of cards.querySelectorAll('output')) {
    if (output.dataset.kind === kind) return output;
  }
  const card = document.createElement('div');
  card.className = 'sum';
  const label = Object.assign(document.createElement('span'), { textContent: kind });
  const output = document.createElement('output');
  output.dataset.kind = kind;
  output.setAttribute('aria-label', kind);
  // Assistive technology reads it on demand: ten changes a second would drown everything else.
  output.setAttribute('aria-live', 'off');
  if (/^[\w-]+$/.test(kind)) output.id = `sum-${kind}`;
  card.append(output, label);
  const after = [...cards.children].find((c) => c.querySelector('output').dataset.kind > kind);
  cards.insertBefore(card, after ?? null);
  return output;
}

function drawSums() {
  // Another era may lack kinds.
  for (const output of $('sums').querySelectorAll('output')) {
    if (!totals.sums.has(output.dataset.kind)) output.parentElement.remove();
  }
  for (const [kind, sum] of totals.sums) {
    const output = sumOutput(kind);
    const first = output.dataset.value === undefined;
    if (show(output, sum) && !first && !calm.matches) {
      output.getAnimations().forEach((a) => a.cancel());
      const glow = getComputedStyle(document.documentElement).getPropertyValue('--leaf');
      output.animate([{ color: glow, transform: 'translateY(-2px)' }, {}], { duration: 450, easing: 'ease-out' });
    }
  }
}

function drawFacts() {
  show($('items'), totals.items.size);
  $('version').textContent = totals.version < 0 ? '–' : `${totals.era}-${totals.version}`;
  const to = totals.completeTo;
  show($('complete-to'), to, to ? new Date(to).toLocaleTimeString() : '–');
  show($('lag'), lag ?? '', lag === null ? '–' : `${(lag / 1000).toFixed(2)} s`);
}

function drawAway() {
  const away = $('away');
  const [is, it] = totals.away.length === 1 ? ['is', 'it is'] : ['are', 'they are'];
  const says = `${totals.away.join(', ')} ${is} away: events may be missing until ${it} started again.`;
  const text = totals.away.length === 0 ? '' : says;
  away.hidden = text === '';
  if (away.textContent !== text) away.textContent = text;
}

const rows = [];

function row(index) {
  if (rows[index]) return rows[index];
  const tr = document.createElement('tr');
  const cell = (className = '') => Object.assign(tr.insertCell(), { className });
  const [rank, item, kinds, total, last] = [cell('number'), cell(), cell(), cell('number'), cell()];
  item.translate = false;
  rank.textContent = index + 1;
  const output = total.appendChild(document.createElement('output'));
  output.setAttribute('aria-live', 'off');
  const button = Object.assign(last.appendChild(document.createElement('button')), { type: 'button', textContent: 'Like' });
  rows[index] = { tr, item, kinds, output, button };
  return rows[index];
}

function drawTop() {
  const shown = totals.top.map((item, index) => {
    const { tr, item: cell, kinds, output, button } = row(index);
    if (cell.textContent !== item.name) {
      cell.textContent = item.name;
      tr.dataset.item = button.dataset.item = item.name;
      button.setAttribute('aria-label', `Like ${item.name}`);
    }
    const parts = [...item.kinds].map(([kind, total]) => `${kind} ${number.format(total)}`).join(' · ');
    if (kinds.textContent !== parts) kinds.textContent = parts;
    show(output, item.total);
    return tr;
  });
  const body = $('top');
  if (body.children.length !== shown.length) body.replaceChildren(...shown);
  if (!itemChosen && totals.top.length > 0) {
    itemChosen = true;
    $('item').value = totals.top[0].name;
  }
}

function drawRate() {
  rates.push(thisSecond);
  rates.shift();
  show($('rate'), thisSecond);
  thisSecond = 0;
  const most = Math.max(1, ...rates);
  const point = (rate, i) => `${((i / (SPARK_SECONDS - 1)) * 600).toFixed(1)},${(86 - (rate / most) * 80).toFixed(1)}`;
  const line = `M${rates.map(point).join('L')}`;
  $('spark-line').setAttribute('d', line);
  $('spark-area').setAttribute('d', `${line}L600,90L0,90Z`);
}

// ── Beginning ────────────────────────────────────────────────────────────────────────────────────────

setInterval(drawRate, 1000);
const wanted = new URLSearchParams(location.search).get('topic');
if (wanted) watch(wanted, { remember: false });
else chooseTopic();
