/** The schema of a database is not one this program can work with. The message is for the operator as it is. */
export class SchemaError extends Error {}

/** The database holds a breaking migration this program doesn't know. */
export class SchemaTooNewError extends SchemaError {}

/** The database was made before the first release. */
export class FormerSchemaError extends SchemaError {
  constructor(database: string) {
    super(
      `The database "${database}" was made by a Tollgate from before the first release, whose schema is not carried over: ` +
        'create a new database (without DATABASE_URL: name another folder with --data-dir, or move the old one away).',
    )
  }
}

/** Tollgate's tables are not in the database. */
export class NotTollgateError extends SchemaError {
  constructor(database: string) {
    super(`The database "${database}" is not a Tollgate database (yet): run \`tollgate migrate\`.`)
  }
}

/** Something is to be done before this program can work with the database. */
export class SchemaBehindError extends SchemaError {}

/** A migration or function file failed; nothing was changed. */
export class MigrationError extends SchemaError {}
