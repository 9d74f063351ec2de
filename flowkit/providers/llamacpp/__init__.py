"""llama.cpp in this process: `llm` is the provider, `model` is the model that sessions share."""
