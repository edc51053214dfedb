/** What our pages look like beyond Mantine's own. The stylesheet of its variables is made of this at build: web/build/theme-css.ts. */
import { type CSSVariablesResolver, createTheme } from '@mantine/core'

const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace'
const SANS = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

/** Mantine locks scrolling by a style element of its own, which our content security policy refuses. */
const unlocked = { defaultProps: { lockScroll: false } }

export const theme = createTheme({
  primaryColor: 'indigo',
  // White on it is readable: the usual 6 has a contrast of 4.3 only.
  primaryShade: { light: 7, dark: 7 },
  autoContrast: true,
  fontFamily: SANS,
  fontFamilyMonospace: MONO,
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  headings: { fontFamily: SANS, fontWeight: '650' },
  components: { Modal: unlocked, Drawer: unlocked, NavLink: { defaultProps: { bdrs: 'md' } } },
})

/** Greys of text that have a contrast of 4.5 on every background we use. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#5a626b',
    '--mantine-color-placeholder': '#6b737c',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-body': '#ffffff',
    '--page-background': '#f7f8fa',
    '--page-line': '#e3e6ea',
  },
  dark: {
    '--mantine-color-dimmed': '#a3a9b1',
    '--mantine-color-placeholder': '#8f959d',
    '--mantine-color-error': '#ff8787',
    '--mantine-color-body': '#191b1f',
    '--page-background': '#121316',
    '--page-line': '#2c2f35',
  },
})
