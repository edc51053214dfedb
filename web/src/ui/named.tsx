/** A name, with the id it stands for to whoever points at it; the id where there is no name. */
export function Named({ name, id }: { name: string | null | undefined; id: string | null | undefined }) {
  if (name == null || name === '') return id == null || id === '' ? <span>–</span> : <span className="mono">{id}</span>
  return <span title={id ?? undefined}>{name}</span>
}
