import { Anchor } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { Empty } from '../ui/empty.tsx'

export function NotFound() {
  return (
    <Empty title="There is no such page">
      <Anchor renderRoot={(props) => <Link to="/" {...props} />}>Go to the start</Anchor>
    </Empty>
  )
}
