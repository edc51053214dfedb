/**
 * Mantine's variables as a file. At run time it would put them into a style element, which our content security policy refuses.
 */
import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from '@mantine/core'
import type { Plugin } from 'vite'
import { theme, variables } from '../src/theme.ts'

const NAME = 'virtual:theme.css'

export function themeCss(): Plugin {
  return {
    name: 'theme-css',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load(id) {
      if (id !== `\0${NAME}`) return null
      const merged = mergeMantineTheme(DEFAULT_THEME, theme)
      const [usual, own] = [defaultCssVariablesResolver(merged), variables(merged)]
      const all = {
        variables: { ...usual.variables, ...own.variables },
        light: { ...usual.light, ...own.light },
        dark: { ...usual.dark, ...own.dark },
      }
      return convertCssVariables(all, ':root')
    },
  }
}
