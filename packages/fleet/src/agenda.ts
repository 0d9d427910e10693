/** What is due when: a binary heap, the earliest on top. */
export class Agenda<T> {
  readonly #heap: { readonly due: number; readonly item: T }[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the earliest is due; undefined when there is nothing. */
  get nextDue(): number | undefined {
    return this.#heap[0]?.due;
  }

  add(due: number, item: T): void {
    const heap = this.#heap;
    heap.push({ due, item });
    let n = heap.length - 1;
    while (n > 0) {
      const parent = (n - 1) >> 1;
      if (heap[parent]!.due <= heap[n]!.due) return;
      [heap[parent], heap[n]] = [heap[n]!, heap[parent]!];
      n = parent;
    }
  }

  /** Takes the earliest off, if it is due at `now`. */
  take(now: number): { readonly due: number; readonly item: T } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.due > now) return undefined;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #sink(): void {
    const heap = this.#heap;
    for (let n = 0; ; ) {
      let least = n;
      for (const child of [2 * n + 1, 2 * n + 2]) {
        if (child < heap.length && heap[child]!.due < heap[least]!.due) least = child;
      }
      if (least === n) return;
      [heap[least], heap[n]] = [heap[n]!, heap[least]!];
      n = least;
    }
  }
}
