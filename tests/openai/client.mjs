// The public OpenAI client library, unchanged, against a router: node client.mjs URL MODEL. Prints one line of JSON.
import OpenAI from 'openai';

const [, , url, model] = process.argv;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 2 });
const messages = [{ role: 'user', content: 'hello' }];

const models = [];
for await (const found of client.models.list()) models.push(found.id);

const chat = await client.chat.completions.create({ model, messages, max_tokens: 8 });

const parts = [];
let usage = null;
for await (const part of await client.chat.completions.create({ model, messages, max_tokens: 8, stream: true, stream_options: { include_usage: true } })) {
  parts.push(part.choices[0]?.delta?.content ?? '');
  usage = part.usage ?? usage;
}

const completion = await client.completions.create({ model, prompt: 'hello', max_tokens: 4 });
const embedding = await client.embeddings.create({ model, input: ['a', 'b'], encoding_format: 'float' });

let missing = null;
try {
  await client.chat.completions.create({ model: 'nobody', messages });
} catch (error) {
  missing = { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
}

const abort = new AbortController();
let aborted = null;
try {
  const stream = await client.chat.completions.create({ model, messages, max_tokens: 2000, stream: true }, { signal: abort.signal });
  for await (const _ of stream) abort.abort();
} catch (error) {
  aborted = error.constructor.name;
}

console.log(JSON.stringify({
  models, chat: chat.choices[0].message.content, streamed: parts.join(''), used: usage?.completion_tokens, completion: completion.choices[0].text,
  embeddings: embedding.data.map((item) => item.embedding.length), missing, aborted,
}));
