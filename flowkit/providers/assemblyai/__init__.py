"""AssemblyAI's streaming speech recognition: `asr` is the provider, `turns` converts the service's turns into
utterances."""
