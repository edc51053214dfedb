/** Signing in: with the identity provider, with the operator's key, or with the link of the start banner, which needs no page. */
import { Alert, Anchor, Button, Divider, PasswordInput, Stack, Text, Title } from '@mantine/core'
import { useForm } from '@mantine/form'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { meQuery, signInOptions, signInWithKey } from '../api/me.ts'
import { Failure } from '../ui/failure.tsx'
import { Loaded } from '../ui/loaded.tsx'
import { Brand } from './brand.tsx'

export function SignInScreen() {
  const { return_to: to = '/', link } = useSearch({ from: '/app/sign-in' })
  const options = useQuery(signInOptions)
  return (
    <main className="sign-in">
      <div className="card">
        <Stack gap="md">
          <Brand />
          <Title order={1} size="h3">
            Sign in
          </Title>
          {link === 'over' && (
            <Alert color="orange" variant="outline" title="This link is over" role="alert">
              It was used already, or is older than a day. Each start of the server prints a new one.
            </Alert>
          )}
          <Loaded query={options} height={8}>
            {(ways) => (
              <Stack gap="md">
                {ways.oidc && (
                  <Button component="a" href={`/auth/login?return_to=${encodeURIComponent(to)}`} fullWidth>
                    Sign in with your organization
                  </Button>
                )}
                {ways.oidc && ways.master_key && <Divider label="or, as the operator" />}
                {ways.master_key && <MasterKeyForm to={to} />}
                {ways.one_time_link && (
                  <Text size="sm" c="dimmed">
                    Started it on this machine? Its first lines in the terminal end with a link that signs you in, once.
                  </Text>
                )}
                {!ways.oidc && !ways.master_key && !ways.one_time_link && (
                  <Text size="sm">
                    No way to sign in is configured. <Anchor href="/docs">The API</Anchor> works with keys all the same;
                    to open these pages, set up <span className="mono">tollgate.oidc</span> or a master key.
                  </Text>
                )}
              </Stack>
            )}
          </Loaded>
        </Stack>
      </div>
    </main>
  )
}

function MasterKeyForm({ to }: { to: string }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const form = useForm({
    initialValues: { key: '' },
    validate: { key: (key) => (key === '' ? 'Paste the key.' : null) },
  })
  const enter = useMutation({
    mutationFn: signInWithKey,
    async onSuccess() {
      form.reset()
      await queries.resetQueries(meQuery)
      await navigate({ href: to, replace: true })
    },
  })
  return (
    <form onSubmit={form.onSubmit(({ key }) => enter.mutate(key.trim()))}>
      <Stack gap="sm">
        <PasswordInput
          label="Master key"
          description="It is exchanged for a session; the browser does not keep it."
          autoComplete="off"
          visibilityToggleButtonProps={{ 'aria-label': 'Show the key' }}
          {...form.getInputProps('key')}
        />
        {enter.isError && <Failure error={enter.error} />}
        <Button type="submit" variant="default" loading={enter.isPending}>
          Sign in with the master key
        </Button>
      </Stack>
    </form>
  )
}
