// A client of the public protocol, /v1/realtime, as any other: nothing here is for this page alone.

const encode = (bytes) => btoa(String.fromCharCode(...bytes));
const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// An address of this server, which may stand behind a path of another.
export const at = (path) => new URL(`../${path}`, import.meta.url);

// A WebSocket of this server. A browser cannot set its headers, so the secret is the name of a subprotocol.
export function socket(path, secret) {
  const url = at(path);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url, secret ? ["realtime", `openai-insecure-api-key.${secret}`] : ["realtime"]);
}

export class Realtime {
  #socket;
  // `values` are parameters of the address. `handlers` has a function for each type of event that matters, and `closed`, which is
  // called with the reason.
  constructor(secret, values, handlers) {
    this.#socket = socket(`v1/realtime?${new URLSearchParams(values)}`, secret);
    this.#socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "response.output_audio.delta") event.audio = decode(event.delta);
      handlers[event.type]?.(event);
    };
    this.#socket.onclose = ({ code, reason }) => handlers.closed(code, reason);
  }

  #send(type, fields = {}) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, ...fields }));
  }

  // The agent answers in text, and does not speak.
  read() { this.#send("session.update", { session: { type: "realtime", output_modalities: ["text"] } }); }

  append(bytes) { this.#send("input_audio_buffer.append", { audio: encode(bytes) }); }

  // The user has written something, and wants an answer.
  write(text) {
    this.#send("conversation.item.create", { item: { type: "message", role: "user", content: [{ type: "input_text", text }] } });
    this.#send("response.create");
  }

  // Of this item only so much was heard. A reply that is under way stops. The server then tells which words these were.
  truncate(item_id, ms) {
    this.#send("conversation.item.truncate", { item_id, content_index: 0, audio_end_ms: ms });
    this.#send("conversation.item.retrieve", { item_id });
  }

  cancel() { this.#send("response.cancel"); }

  close() { this.#socket.close(1000); }
}
