/** The frame of every screen: the menu, who is signed in, and the stream of what changes. */
import { Burger } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useQueryClient } from '@tanstack/react-query'
import { Outlet } from '@tanstack/react-router'
import { lazy, Suspense, useEffect } from 'react'
import { EVENTS, listen } from '../api/live.ts'
import { AccountMenu } from './account-menu.tsx'
import { Brand } from './brand.tsx'
import { MenuList } from './menu-list.tsx'

// Narrow windows open it, and most are not narrow.
const MenuDrawer = lazy(() => import('./menu-drawer.tsx').then((module) => ({ default: module.MenuDrawer })))

export function Shell() {
  const queries = useQueryClient()
  const [isOpen, menu] = useDisclosure(false)
  useEffect(() => listen(queries, EVENTS), [queries])
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <nav className="frame-top" aria-label="Menu and account">
        <Burger opened={isOpen} onClick={menu.toggle} size="sm" aria-label="Menu" />
        <Brand />
        <AccountMenu isSmall />
      </nav>
      {isOpen && (
        <Suspense>
          <MenuDrawer close={menu.close} />
        </Suspense>
      )}
      <nav className="frame-side" aria-label="Screens">
        <Brand />
        <MenuList />
        <div className="frame-space" />
        <AccountMenu />
      </nav>
      <main className="frame-main" id="main" tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  )
}
