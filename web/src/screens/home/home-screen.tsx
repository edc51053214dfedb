/** What there is to spend, what was spent, and a first call to paste. */
import { Anchor, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { latestCallsQuery } from '../../api/calls.ts'
import { homeQuery } from '../../api/home.ts'
import { modelsQuery } from '../../api/models.ts'
import { CallTable } from '../../ui/call-table.tsx'
import { Card } from '../../ui/card.tsx'
import { Empty } from '../../ui/empty.tsx'
import { Loaded } from '../../ui/loaded.tsx'
import { Page } from '../../ui/page.tsx'
import { FirstSteps } from './first-steps.tsx'
import { HomeFigures } from './home-figures.tsx'

export function HomeScreen() {
  const home = useQuery(homeQuery)
  const calls = useQuery(latestCallsQuery)
  const models = useQuery(modelsQuery).data?.data ?? []
  return (
    <Page title="Home">
      <Loaded query={home} height={7}>
        {(figures) => <HomeFigures figures={figures} />}
      </Loaded>
      <FirstSteps models={models.map(({ id }) => id)} />
      <Card
        title="Newest calls"
        aside={
          <Anchor size="sm" renderRoot={(props) => <Link to="/app/calls" {...props} />}>
            All calls
          </Anchor>
        }
      >
        <Loaded query={calls} height={12}>
          {({ data }) =>
            data.length === 0 ? (
              <Empty title="No calls yet">
                <Text size="sm" span>
                  Copy the sample above and run it. The call appears here with its price, without a reload.
                </Text>
              </Empty>
            ) : (
              <CallTable calls={data} />
            )
          }
        </Loaded>
      </Card>
    </Page>
  )
}
