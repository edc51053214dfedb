/** What stands in the menu, for whom. A screen is an address in router.tsx and a line here. */
import { type Icon, IconChartBar, IconCpu, IconHome, IconKey, IconLockAccess, IconReceipt2 } from '@tabler/icons-react'
import type { LinkProps } from '@tanstack/react-router'
import type { Me } from '../api/me.ts'

export interface MenuItem {
  to: NonNullable<LinkProps['to']>
  title: string
  icon: Icon
  /** A permission of docs/identity.md; left out for everybody. */
  may?: string
}

export interface MenuSection {
  /** Null for what everybody has, which needs no heading. */
  title: string | null
  items: readonly MenuItem[]
}

const MENU: readonly MenuSection[] = [
  {
    title: null,
    items: [
      { to: '/', title: 'Home', icon: IconHome },
      { to: '/app/keys', title: 'Keys', icon: IconKey, may: 'keys:own' },
      { to: '/app/calls', title: 'Calls', icon: IconReceipt2, may: 'calls:read_own' },
      { to: '/app/usage', title: 'Usage', icon: IconChartBar, may: 'credits:read_own' },
      { to: '/app/models', title: 'Models', icon: IconCpu, may: 'llm:models' },
      { to: '/app/own-keys', title: 'Provider keys', icon: IconLockAccess, may: 'byok:own' },
    ],
  },
]

/** The sections that hold something for this caller. */
export function menuFor(me: Me): MenuSection[] {
  return MENU.map(({ title, items }) => ({
    title,
    items: items.filter(({ may }) => may === undefined || me.permissions.includes(may)),
  })).filter(({ items }) => items.length > 0)
}
