/** One request on its way to the database, and who waits for its result. */
export interface Ticket<Request, Answer> {
  request: Request
  resolve(answer: Answer): void
  reject(error: unknown): void
  dropped: boolean
  /** Sent, and not known to be rolled back. */
  sent: boolean
  /** One of the times it was sent was lost: whatever is known of later ones, it may be in the database. */
  ambiguous: boolean
}
