/** A bill that can't be had or read. The message says what to do; it holds no key. */
export class ReconcileError extends Error {}
