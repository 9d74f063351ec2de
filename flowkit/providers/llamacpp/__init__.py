"""llama.cpp in this process: `llm` is the provider, `model` what it shares with other sessions."""
