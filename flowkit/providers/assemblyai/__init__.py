"""AssemblyAI: `asr` is its streaming transcription, `turns` makes utterances of the service's turns."""
