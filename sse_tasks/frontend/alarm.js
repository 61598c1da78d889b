// A timer for pages that may be hidden.

/** A timer that also rings in time while the page is hidden: browsers slow a page's own timers down, not a worker's. */
export class Alarm {
  set(milliseconds, action) {
    this.clear();
    const ring = () => {
      this.clear();
      action();
    };
    this.timer = setTimeout(ring, milliseconds);
    if (!document.hidden) return;
    const url = URL.createObjectURL(new Blob([`setTimeout(postMessage, ${milliseconds}, 0);`], { type: 'text/javascript' }));
    try {
      this.worker = new Worker(url);
      this.worker.onmessage = ring;
    } catch {
      // A page that allows no workers: then the browser decides when a hidden page may look.
    }
    URL.revokeObjectURL(url);
  }

  clear() {
    clearTimeout(this.timer);
    this.worker?.terminate();
    this.timer = this.worker = undefined;
  }
}
