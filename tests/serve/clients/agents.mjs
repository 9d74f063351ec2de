// A conversation by the official agents SDK over its WebSocket transport, unmodified: run as `node agents.mjs URL`.
// Prints what happened as JSON.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

const url = process.argv[2];
const happened = { errors: [], events: {} };
const look = tool({
  name: 'look',
  description: 'Look.',
  parameters: z.object({ at: z.number().nullable() }),
  execute: async () => 'on the left',
});
const agent = new RealtimeAgent({ name: 'Agent', instructions: 'Be kind.', tools: [look] });
const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
const session = new RealtimeSession(agent, { transport, model: 'any' });
session.on('error', (event) => happened.errors.push(JSON.stringify(event.error ?? event).slice(0, 300)));
session.on('audio_interrupted', () => { happened.interrupted = true; });
session.on('audio', () => { happened.audio = true; });
transport.on('*', (event) => { happened.events[event.type] = (happened.events[event.type] ?? 0) + 1; });

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const next = (type) => new Promise((resolve) => {
  const seen = (event) => {
    if (event.type !== type) return;
    transport.off('*', seen);
    resolve(event);
  };
  transport.on('*', seen);
});

async function speak() {
  const samples = new Int16Array(24000 * 1.8);
  for (let i = 0; i < 24000 * 0.8; i++) samples[i] = Math.round(8000 * Math.sin(i * 0.115));
  for (let i = 0; i < samples.length; i += 2400) {
    session.sendAudio(samples.slice(i, i + 2400).buffer);
    await pause(100);
  }
}

const said = (event) => event.response.output[0].content[0].transcript;

await session.connect({ apiKey: 'any-key' });
let done = next('response.done');
const speaking = speak();
happened.spoken = said(await done);
await speaking;
done = next('response.done');
session.sendMessage('Where is it?');
happened.called = (await done).response.output.at(-1).name;
happened.answered = said(await next('response.done'));
const sound = next('response.output_audio.delta');
session.sendMessage('Tell me.');
await sound;
done = next('response.done');
speak();
happened.status = (await done).response.status;
happened.after = said(await next('response.done'));
session.close();
console.log(JSON.stringify(happened));
process.exit(0);
