// Asks the search of the built site what readers ask, in the site's own worker (node tools/site_search.mjs out/site).
// Exit code 1: for one of the questions another page comes first.

import { readFileSync, readdirSync } from "node:fs";
import vm from "node:vm";

const WANTED = {
  "end the call": "tools.html",
  "own voice": "writing-a-provider.html",
  "interrupt": "barge-in.html",
  "microphone": "live.html",
  "price": "cost.html",
  "telephone": "telephone.html",
  "another language": "languages.html",
  "asyncio": "embedding.html",
  "mcp": "tools.html",
  "docker": "deploying.html",
  "greeting": "tools.html",
  "write a provider": "writing-a-provider.html",
  "websocket": "serving.html",
  "latency": "tuning-latency.html",
  "recording": "replay.html",
  "barge-in": "barge-in.html",
  "end of turn": "turn-taking.html",
};

const site = process.argv[2];
const workers = `${site}/assets/javascripts/workers/`;
const worker = readFileSync(workers + readdirSync(workers).find((name) => /^search\..*\.js$/.test(name)), "utf8");
let heard, answered;
const world = { console, addEventListener: (_, listener) => { heard = listener; }, postMessage: (said) => answered(said) };
world.self = world;
vm.runInNewContext(worker, world);
const tell = (data) => new Promise((resolve) => { answered = resolve; heard({ data }); });

const index = JSON.parse(readFileSync(`${site}/search/search_index.json`, "utf8"));
await tell({ type: 0, data: { ...index, options: { suggest: false } } });
let wrong = 0;
for (const [question, page] of Object.entries(WANTED)) {
  const { data } = await tell({ type: 2, data: question });
  const found = data.items.map((items) => items[0].location.split("#")[0]);
  if (found[0] === page) continue;
  wrong += 1;
  console.error(`search: "${question}" finds ${found.slice(0, 3).join(", ")} and not ${page} first`);
}
console.log(`docs: ${Object.keys(WANTED).length - wrong} of ${Object.keys(WANTED).length} questions find their page first`);
process.exit(wrong ? 1 : 0);
