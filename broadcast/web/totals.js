// The totals of one topic, and the part of them that a page shows, updated by changes.

/** Number of items that the table shows. */
export const TOP = 20;

/** A total that a double can't hold; the number beside it is rounded. */
function exact({ exact = {} }, item, kind) {
  if (!Object.hasOwn(exact, item) || !Object.hasOwn(exact[item], kind)) return undefined;
  return BigInt(exact[item][kind]);
}

/** Sorts larger totals first, and of equal ones the one that changed last. */
function before(a, b) {
  return a.total !== b.total ? a.total > b.total : a.changed > b.changed;
}

export class Totals {
  constructor() {
    this.begin();
  }

  begin() {
    this.era = -1;
    this.version = -1;
    this.completeTo = 0;
    /** Leaves that are not live: events that they took may be missing. */
    this.away = [];
    this.items = new Map();
    this.sums = new Map();
    this.top = [];
    this.changes = 0;
  }

  /** The shown version, for a node that continues from it; null when nothing is shown. */
  get held() {
    return this.version > 0 ? `${this.era}-${this.version}` : null;
  }

  /** Whether the topic was forgotten, and nothing was counted in it since. */
  get isGone() {
    return this.version > 0 && this.items.size === 0;
  }

  /**
   * Takes a whole topic; false when it is older than the shown one. Another era is newer, whatever its number: the node
   * knows the shown version, and has read the store.
   */
  snapshot(view) {
    if (view.era === this.era && view.version < this.version) return false;
    this.begin();
    this.take(view);
    return true;
  }

  /** Takes changes; returns the number of events by which the sums moved. */
  update(view) {
    // Another era begins with a snapshot.
    const older = view.era !== this.era || view.version < this.version;
    return older ? 0 : this.take(view);
  }

  take(view) {
    this.era = view.era;
    this.version = view.version;
    // The last value counts: it is a root's time, and another root's may be earlier.
    this.completeTo = view.complete_to;
    this.away = view.away ?? [];
    let events = 0n;
    let topShrank = false;
    for (const [name, kinds] of Object.entries(view.counts)) {
      const item = this.item(name);
      for (const [kind, value] of Object.entries(kinds)) {
        const total = exact(view, name, kind) ?? BigInt(value);
        const difference = total - (item.kinds.get(kind) ?? 0n);
        item.kinds.set(kind, total);
        item.total += difference;
        this.sums.set(kind, (this.sums.get(kind) ?? 0n) + difference);
        events += difference < 0n ? -difference : difference;
        topShrank ||= difference < 0n && item.inTop;
      }
      item.changed = ++this.changes;
      if (!topShrank) this.rank(item);
    }
    if (topShrank) this.rankAll();
    return Number(events);
  }

  item(name) {
    let item = this.items.get(name);
    if (!item) {
      item = { name, total: 0n, kinds: new Map(), changed: 0, inTop: false };
      this.items.set(name, item);
    }
    return item;
  }

  /** Puts an item that did not shrink into its place among the top ones, if it belongs there. */
  rank(item) {
    const top = this.top;
    if (item.inTop) top.splice(top.indexOf(item), 1);
    let place = top.length;
    while (place > 0 && before(item, top[place - 1])) place--;
    item.inTop = place < TOP;
    if (!item.inTop) return;
    top.splice(place, 0, item);
    if (top.length > TOP) top.pop().inTop = false;
  }

  rankAll() {
    for (const item of this.top) item.inTop = false;
    this.top = [];
    for (const item of this.items.values()) this.rank(item);
  }
}
