/** How the clients that people use are pointed here. */
export interface Snippet {
  client: string
  text: string
}

/** @param origin this server; @param key an API key, or what stands in for one; @param model a model the key may call. */
export function snippetsFor(origin: string, key: string, model: string): Snippet[] {
  return [
    { client: 'curl', text: curl(origin, key, model) },
    { client: 'Python', text: python(origin, key, model) },
    { client: 'JavaScript', text: javascript(origin, key, model) },
    {
      client: 'Claude Code',
      text: `ANTHROPIC_BASE_URL=${origin} \\\nANTHROPIC_AUTH_TOKEN=${key} \\\n  claude --model ${model}`,
    },
    { client: 'Codex', text: codex(origin, key, model) },
    { client: 'Vercel AI SDK', text: vercel(origin, key, model) },
  ]
}

function curl(origin: string, key: string, model: string): string {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] })
  return `curl ${origin}/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '${body}'`
}

function python(origin: string, key: string, model: string): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="${key}")
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`
}

function javascript(origin: string, key: string, model: string): string {
  return `import OpenAI from 'openai'

const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: '${key}' })
const answer = await client.chat.completions.create({
  model: '${model}',
  messages: [{ role: 'user', content: 'Hello' }],
})
console.log(answer.choices[0].message.content)`
}

function codex(origin: string, key: string, model: string): string {
  return `# ~/.codex/config.toml
model = "${model}"
model_provider = "tollgate"

[model_providers.tollgate]
name = "Tollgate"
base_url = "${origin}/v1"
env_key = "TOLLGATE_KEY"
wire_api = "responses"

# then, in the shell: export TOLLGATE_KEY=${key}`
}

function vercel(origin: string, key: string, model: string): string {
  return `import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText } from 'ai'

const tollgate = createOpenAICompatible({ name: 'tollgate', baseURL: '${origin}/v1', apiKey: '${key}' })
const { text } = await generateText({ model: tollgate('${model}'), prompt: 'Hello' })
console.log(text)`
}
