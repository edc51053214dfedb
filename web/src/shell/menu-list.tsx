import { NavLink, Text } from '@mantine/core'
import { Link, useLocation } from '@tanstack/react-router'
import { useMe } from '../api/me.ts'
import { menuFor } from './menu.ts'

/** @param done called when somebody chose: a drawer closes then. */
export function MenuList({ done }: { done?: () => void }) {
  const here = useLocation({ select: ({ pathname }) => pathname })
  return (
    <div>
      {menuFor(useMe()).map(({ title, items }) => (
        <div key={title ?? ''}>
          {title !== null && (
            <Text size="xs" fw={600} c="dimmed" px="sm" pt="md" pb={4}>
              {title}
            </Text>
          )}
          {items.map(({ to, title: label, icon: Icon }) => {
            const isHere = to === '/' ? here === '/' : here === to || here.startsWith(`${to}/`)
            return (
              <NavLink
                key={to}
                renderRoot={(props) => <Link to={to} {...props} />}
                label={label}
                active={isHere}
                aria-current={isHere ? 'page' : undefined}
                leftSection={<Icon size={18} stroke={1.7} aria-hidden />}
                onClick={() => done?.()}
              />
            )
          })}
        </div>
      ))}
    </div>
  )
}
