import { CopyButton, UnstyledButton } from '@mantine/core'
import dayjs from 'dayjs'
import { Fragment, type ReactNode } from 'react'
import type { Call } from '../../api/calls.ts'
import { Named } from '../../ui/named.tsx'

export function CallFacts({ call }: { call: Call }) {
  const facts: [string, ReactNode][] = [
    ['User', <Named key="user" {...call.user} />],
    ['Organization', <Named key="organization" {...call.organization} />],
    ['Key', <Named key="key" name={call.key?.name} id={call.key?.id} />],
    ['Model', call.model ?? '–'],
    ['Provider', call.provider ?? '–'],
    ['Power level', call.power_level ?? '–'],
    ['Started', dayjs(call.started_at).format('YYYY-MM-DD HH:mm:ss')],
    ['Call id', <Copied key="call" text={call.call_id} />],
    ...(call.request_id === null
      ? []
      : [['Request id', <Copied key="request" text={call.request_id} />] as [string, ReactNode]]),
    ...(call.session_id === null
      ? []
      : [['Session', <Copied key="session" text={call.session_id} />] as [string, ReactNode]]),
    ...(call.run === null ? [] : [['Run', <Named key="run" {...call.run} />] as [string, ReactNode]]),
  ]
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  )
}

function Copied({ text }: { text: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <UnstyledButton
          onClick={copy}
          className="mono"
          title="Copy it"
          aria-label={`${text}: ${copied ? 'copied' : 'copy it'}`}
        >
          {copied ? 'copied' : text}
        </UnstyledButton>
      )}
    </CopyButton>
  )
}
