// Waiting on what happens, for a bounded time.
const WITHIN_MS = 30_000;

export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = WITHIN_MS,
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) {
      return seen;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${withinMs} ms`);
    }
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

/** What a subscription was told, in order. */
export class Told<T> {
  readonly values: T[] = [];
  error: unknown;
  isComplete = false;

  readonly sink = {
    next: (value: T) => void this.values.push(value),
    error: (error: unknown) => {
      this.error = error ?? new Error('an error without a word');
    },
    complete: () => {
      this.isComplete = true;
    },
  };

  /** The `count`th value, counted from 1. */
  value(count: number, withinMs?: number): Promise<T> {
    return eventually(`value ${count}`, () => {
      if (this.error !== undefined) {
        throw this.error;
      }
      return this.values[count - 1];
    }, withinMs);
  }

  ended(withinMs?: number): Promise<boolean> {
    return eventually('the end', () => this.isComplete || this.error !== undefined, withinMs);
  }
}
