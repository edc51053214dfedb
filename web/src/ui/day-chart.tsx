/** Dollars a day as bars. A picture only: the same figures stand in a table beside it, so screen readers are told to go there. */
import '@mantine/charts/styles.css'
import { BarChart } from '@mantine/charts'
import { heightOf, showNano } from '../money/amounts.ts'

interface Props {
  label: string
  days: readonly { day: string; nano: bigint }[]
}

export default function DayChart({ label, days }: Props) {
  const bars = days.map(({ day, nano }) => ({
    day: day.slice(5),
    whole: day,
    height: heightOf(nano),
    words: showNano(nano),
  }))
  return (
    <div role="img" aria-label={`${label}, as bars; the table has the figures`} className="chart">
      <BarChart
        h={220}
        data={bars}
        dataKey="day"
        series={[{ name: 'height', label: 'Charged', color: 'indigo.5' }]}
        gridAxis="x"
        tickLine="none"
        valueFormatter={(value) => short(value)}
        tooltipProps={{
          content: ({ payload }) => {
            const bar = payload?.[0]?.payload as (typeof bars)[number] | undefined
            return bar === undefined ? null : (
              <div className="card number">
                {bar.whole}: {bar.words}
              </div>
            )
          },
        }}
        barProps={{ radius: 3, isAnimationActive: false, maxBarSize: 36 }}
        barChartProps={{ accessibilityLayer: false }}
        yAxisProps={{ width: 64 }}
      />
    </div>
  )
}

/** For an axis: two digits that count, as many zeros before them as it takes. */
function short(dollars: number): string {
  if (dollars === 0) return '$0'
  const places = Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(dollars))))
  return `$${dollars
    .toFixed(places)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '')}`
}
