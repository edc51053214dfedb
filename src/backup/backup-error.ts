/** Why a backup could not be taken, or not be put back: says what to do. */
export class BackupError extends Error {}
