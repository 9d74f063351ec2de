"""ASRs that decode the growing utterance again and again. Read ``utterances`` (which audio, and when) and then ``asr``."""
