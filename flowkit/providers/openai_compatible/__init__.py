"""Any server with OpenAI's API: ``llm`` (chat completions), ``asr`` (transcriptions), ``tts`` (speech)."""
