/** The menu where the window is too narrow to show it. */
import { Drawer } from '@mantine/core'
import { Brand } from './brand.tsx'
import { MenuList } from './menu-list.tsx'

export function MenuDrawer({ close }: { close: () => void }) {
  return (
    <Drawer opened onClose={close} size="17rem" title={<Brand />} closeButtonProps={{ 'aria-label': 'Close the menu' }}>
      <MenuList done={close} />
    </Drawer>
  )
}
