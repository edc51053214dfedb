/** The frame of every screen: the menu, who is signed in, and the stream of what changes. */
import { Burger, Drawer } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useQueryClient } from '@tanstack/react-query'
import { Outlet } from '@tanstack/react-router'
import { useEffect } from 'react'
import { EVENTS, listen } from '../api/live.ts'
import { AccountMenu } from './account-menu.tsx'
import { Brand } from './brand.tsx'
import { MenuList } from './menu-list.tsx'

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
      <Drawer
        opened={isOpen}
        onClose={menu.close}
        size="17rem"
        title={<Brand />}
        closeButtonProps={{ 'aria-label': 'Close the menu' }}
      >
        <MenuList done={menu.close} />
      </Drawer>
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
